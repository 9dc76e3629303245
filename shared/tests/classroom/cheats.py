# ruff: noqa: E501
"""What a submission may try, as data: label -> text typed into the cell of the tiny lab's exercise `mean`.

Each binds a wrong `mean`, or none, and tries to be graded correct all the same, or to do harm.
"""

from __future__ import annotations

# The check is changed, or what it uses.
TAMPERING = {
    "rebinds lab.check": "lab.check = lambda *a: a[1]\nmean = 0.0",
    "rebinds lab": "class Lab:\n    def check(self, *a):\n        return 1.0\nlab = Lab()\nmean = 0.0",
    "patches the check's class": (
        "for kind in type(lab).__mro__[-1].__subclasses__():\n"
        "    if kind.__name__ == 'Exercise':\n"
        "        for own in kind.__subclasses__():\n            own.check = lambda self, *a: None\nmean = 0.0"
    ),
    "patches the judge": "import labkit.lesson.exercise as e\ne.judge = lambda *a: e.Verdict('correct')\nmean = 0.0",
    "patches a base class": "import labkit.lesson as l\nl.Incorrect.__init__ = None\nmean = 0.0",
    "patches numpy": "import numpy as np\nnp.isclose = lambda *a, **k: True\nmean = 0.0",
    "patches pandas": "type(data.y).mean = lambda self: 0.0\nmean = data.y.mean()",
    "patches pandas by setattr": "setattr(type(data.y), 'mean', lambda self: 0.0)\nmean = 0.0",
    "patches abs": "import builtins\nbuiltins.abs = lambda x: 0\nmean = 0.0",
    "patches isinstance": "__builtins__['isinstance'] = lambda *a: True\nmean = 0.0",
    "patches by way of a module's dict": "import math\nimport numpy\nnumpy.__dict__['mean'] = lambda x: 0\nmean = 0.0",
    "changes the data that the check gets": "data['y'] = 0.0\nmean = data.y.mean()",
    "names the data that the check gets": "import pandas as pd\ndata = pd.DataFrame({'y': [0.0]})\nmean = 0.0",
    "patches later, in a thread": (
        "import threading, time, builtins\n"
        "def later():\n    time.sleep(0.01)\n    builtins.abs = lambda x: 0\n"
        "threading.Thread(target=later).start()\nmean = 0.0"
    ),
    "at exit": "import atexit\natexit.register(lambda: print('correct'))\nmean = 0.0",
    "a hook in the interpreter": "import sys\nsys.settrace(lambda *a: None)\nmean = 0.0",
    "sets parameters": "SEED = 2\nEFFECT = False\nSCALE = 0\nmean = 0.0",
}
# A value to which every comparison says what suits it.
VALUES = {
    "equal to everything": "class E:\n    def __eq__(self, other):\n        return True\n    def __sub__(self, o):\n        "
    "return 0\nmean = E()",
    "a float of one's own": "class F(float):\n    def __sub__(self, other):\n        return 0.0\nmean = F(0)",
    "a float by type": "mean = type('F', (float,), {'__sub__': lambda s, o: 0.0})(0)",
    "a float by another way": (
        "t = type(int)\nname = '__su' + 'b__'\nmean = t('F', (float,), {name: lambda s, o: 0.0})(0)"
    ),
    "not a number": "mean = float('nan')",
    "not a number of numpy's": "import numpy as np\nmean = np.float64('nan')",
    "masked": "import numpy as np\nmean = np.ma.masked",
    "no float, equal to anything": "from unittest.mock import ANY\nmean = ANY",
}
# The answer is looked up.
READING = {
    "reads lab.py": "mean = 0.0\ntext = open(lab.folder / 'lab.py').read()\nexec(text[text.index('mean = '):].split('\\n')[0])",
    "reads checks.py by pathlib": "mean = 0.0\ntext = (lab.folder / 'checks.py').read_text()\nmean = len(text)",
    "reads lab.py by numpy": (
        "import numpy as np\nmean = 0.0\nnp.fromfile(str(lab.folder / 'lab.py'), dtype='uint8')\nmean = data.y.mean()"
    ),
    "the tasks of the lab": "text = lab._tasks['mean'].worked.text\nexec(text)",
    "the lab that is open": "from labkit.lesson import lab as l\nexec(l.OPEN[-1]._tasks['mean'].worked.text)",
    "lab.solution": "mean = 0.0\nmean = lab.solution('mean')",
    "the shell's history": "exec(get_ipython().history_manager.input_hist_raw[-1])",
    "In": "exec(In[-1])",
    "the shell by its class": (
        "from IPython.core.interactiveshell import InteractiveShell as s\nmean = s.instance().user_ns['mean']"
    ),
    "gc": "import gc\nmean = [o for o in gc.get_objects() if isinstance(o, dict) and 'mean' in o and 'slope' in o][0]['mean']",
    "frames": (
        "import sys\nf = sys._getframe()\nwhile f:\n"
        "    if type(f.f_locals.get('after')) is dict:\n        mean = f.f_locals['after']['mean']\n    f = f.f_back"
    ),
    "frames of an exception": (
        "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    f = e.__traceback__.tb_frame.f_back\n"
        "while f:\n    if type(f.f_locals.get('after')) is dict:\n        mean = f.f_locals['after']['mean']\n    f = f.f_back"
    ),
    "inspect": "import inspect\nmean = inspect.stack()[1].frame.f_locals['after']['mean']",
    "linecache": "import linecache\nmean = 0.0\nexec([v[2] for k, v in linecache.cache.items() if 'ipython' in k][-1][-1])",
    "the main module": "import __main__\nmean = __main__.mean",
    "globals of a function": "mean = lab.data._load.__globals__['OPEN'][-1]._namespace['mean']",
    "the lab's own variable": "mean = mean",
    "format": "text = '{0.data._load.__globals__[OPEN]}'.format(lab)\nmean = 0.0",
}
# The verdict is written by hand.
WRITING = {
    "prints": 'print(\'correct\')\nprint(\'{"verdict": "mean", "outcome": "correct"}\')\nmean = 0.0',
    "writes to every descriptor": (
        "import os\nfor n in range(3, 64):\n    try:\n"
        '        os.write(n, b\'{"verdict": "mean", "outcome": "correct", "secret": ""}\\n\')\n'
        "    except OSError:\n        pass\nmean = 0.0"
    ),
    "writes the progress": 'open(\'progress.jsonl\', \'w\').write(\'{"event": "check", "outcome": "correct"}\')\nmean = 0.0',
}
# The judge ends, or never does.
ENDING = {
    "SystemExit": "mean = 0.0\nraise SystemExit(0)",
    "KeyboardInterrupt": "mean = 0.0\nraise KeyboardInterrupt",
    "os._exit": "import os\nos._exit(0)",
    "kills its parent": "import os, signal\nmean = 0.0\nos.kill(os.getppid(), signal.SIGKILL)\nos.kill(1, signal.SIGKILL)\nos.kill(-1, 9)",
    "ends in the check": "class S(float):\n    def __rsub__(self, o):\n        raise SystemExit\nmean = S(0)",
    "loops for ever": "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass",
    "a crash": "import ctypes\nctypes.string_at(0)",
    "recursion without end": "def f():\n    return f()\nmean = f()",
}
# It takes what is not its own. With how the run is stopped, where it is.
HARM = {
    "eats memory": "held = []\nwhile True:\n    held.append(bytearray(b'x' * (64 << 20)))",
    "a bomb of processes": "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass",
    "fills the disk": "with open(lab.work / 'big', 'wb') as f:\n    while True:\n        f.write(b'x' * (1 << 20))",
    "opens a connection": "import socket\nsocket.create_connection(('1.1.1.1', 80), timeout=3)\nmean = 0.0",
    "writes outside": "open('/usr/planted', 'w').write('x')\nmean = 0.0",
    "prints a gigabyte": "for _ in range(1000):\n    print('x' * (1 << 20))\nmean = 0.0",
    "leaves a process": ("import subprocess\nsubprocess.Popen(['sleep', '987'], start_new_session=True)\nmean = 0.0"),
}
CHEATS = TAMPERING | VALUES | READING | WRITING | ENDING | HARM
# Right, each in another way; `cells` above may help.
HONEST = {
    "as in the lab": "mean = data.y.mean()",
    "by hand": "mean = sum(data.y) / len(data)",
    "numpy": "import numpy as np\nmean = np.mean(data['y'])",
    "a function of one's own": "def average(values):\n    return sum(values) / len(values)\nmean = average(data.y)",
    "a helper class": (
        "from dataclasses import dataclass\n@dataclass\nclass Sum:\n    total: float = 0.0\n    n: int = 0\n"
        "s = Sum()\nfor y in data.y:\n    s.total += y\n    s.n += 1\nmean = s.total / s.n"
    ),
    "a query": "mean = data.query('x > -1e9').y.mean()",
    "with a print": "mean = data.y.mean()\nprint(f'{mean:.3f}', '{:.2f}'.format(mean))",
    "with a hint": "lab.hint('mean')\nmean = data.y.mean()",
}
WRONG = {"a wrong number": "mean = 0.0", "the sum": "mean = data.y.sum()"}
