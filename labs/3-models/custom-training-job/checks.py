"""Checks, hints and wrong answers of custom-training-job."""

import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from labkit.lesson import Exercise, Incorrect


class Label(str):
    """A text whose hash depends on a salt, as it does from process to process."""

    def __new__(cls, text, salt):
        label = super().__new__(cls, text)
        label.salt = salt
        return label

    def __hash__(self):
        return hash((self.salt, str(self)))

    __eq__ = str.__eq__


class HeldOut(Exercise):
    name = "held_out"
    hints = [
        "What has an order that depends on the process, and what has one that depends on the files?",
        "np.random.default_rng(seed) always draws the same places. Which machine stands at a place?",
        "Each machine once, in an order that is a property of the labels themselves.",
    ]
    wrong = {
        "a list of the set": """
def held_out(machines, seed):
    return np.random.default_rng(seed).choice(list(set(machines)), 3, replace=False).tolist()
""",
        "in the order of appearance": """
def held_out(machines, seed):
    return np.random.default_rng(seed).choice(pd.unique(np.array(machines)), 3, replace=False).tolist()
""",
        "of all readings": """
def held_out(machines, seed):
    return np.random.default_rng(seed).choice(sorted(machines), 3, replace=False).tolist()
""",
        "the last three": """
def held_out(machines, seed):
    return sorted(set(machines))[-3:]
""",
        "without the seed": """
def held_out(machines, seed):
    return np.random.default_rng().choice(sorted(set(machines)), 3, replace=False).tolist()
""",
        "by the global generator": """
def held_out(machines, seed):
    return np.random.choice(sorted(set(machines)), 3, replace=False).tolist()
""",
    }

    def check(self, held_out):
        rng = np.random.default_rng(0)
        names = [f"C{number:02d}" for number in range(1, 11)] * 20
        base = {seed: self.drawn(held_out, names, seed, names) for seed in range(12)}
        if len({tuple(sorted(labels)) for labels in base.values()}) < 4:
            raise Incorrect("Other seeds give the same machines: whether the result is luck could never be tried.")
        for seed, labels in base.items():
            if set(self.drawn(held_out, names, seed, names)) != set(labels):
                raise Incorrect(
                    f"Twice with seed {seed}, and other machines: the draw depends on what was drawn before."
                )
            shuffled = [names[place] for place in rng.permutation(len(names))]
            if set(self.drawn(held_out, shuffled, seed, names)) != set(labels):
                raise Incorrect(
                    "The same readings in another order, and other machines: a bucket and a disk list differently."
                )
            salted = [Label(name, salt=seed) for name in names]
            if set(map(str, self.drawn(held_out, salted, seed, names))) != set(labels):
                raise Incorrect(
                    "With other hashes, as another process has them, the draw gives other machines: a set of texts has "
                    "no order of its own."
                )

    def drawn(self, held_out, machines, seed, names):
        labels = held_out(list(machines), seed)
        try:
            labels = [str(label) for label in labels]
        except TypeError:
            raise Incorrect(f"Three labels, got {labels!r}.") from None
        if len(labels) != 3 or not set(labels) <= set(names):
            raise Incorrect(f"Three labels of machines, got {labels!r}.")
        if len(set(labels)) < 3:
            raise Incorrect(
                f"Three different machines, got {labels!r}: there is one label per reading, so names repeat."
            )
        return labels


class SetupPy(Exercise):
    name = "setup_py"
    hints = [
        "Two things are missing in the package: modules of a folder below trainer, and a file that is no module.",
        "setuptools can find packages by itself: every folder with an __init__.py.",
        "Files that are no modules need package_data, by package: {'trainer.features': [pattern]}.",
    ]
    wrong = {
        "only the packages": '''
setup_py = """
from setuptools import find_packages, setup
setup(name="trainer", version="2.0", packages=find_packages())
"""
''',
        "only the data": '''
setup_py = """
from setuptools import setup
setup(name="trainer", version="2.0", packages=["trainer"], package_data={"trainer": ["features/*.json"]})
"""
''',
        "modules named one by one": '''
setup_py = """
from setuptools import setup
setup(name="trainer", version="2.0", py_modules=["trainer.task", "trainer.features.limits"])
"""
''',
        "no packages at all": '''
setup_py = """
from setuptools import setup
setup(name="trainer", version="2.0", packages=[])
"""
''',
        "a dictionary": """
setup_py = {"packages": ["trainer", "trainer.features"]}
""",
        "no python": '''
setup_py = """
[project]
name = "trainer"
"""
''',
    }

    def check(self, setup_py, project):
        if not isinstance(setup_py, str):
            raise Incorrect(f"The text of a setup.py, got {type(setup_py).__name__}.")
        with tempfile.TemporaryDirectory() as folder:
            copy, unpacked, installed = (Path(folder) / name for name in ("copy", "unpacked", "installed"))
            shutil.copytree(project, copy, ignore=shutil.ignore_patterns("__pycache__"))
            (copy / "setup.py").write_text(setup_py, encoding="utf-8")
            self.run(copy, "setup.py", "-q", "sdist", "--dist-dir", str(Path(folder) / "dist"))
            archive = next((Path(folder) / "dist").glob("*.tar.gz"), None)
            if archive is None:
                raise Incorrect("`python setup.py sdist` has made no archive: does it call setup()?")
            with tarfile.open(archive) as source:
                source.extractall(unpacked, filter="data")
            # What pip would install from the archive, and nothing that only lies beside it.
            self.run(next(unpacked.iterdir()), "setup.py", "-q", "build", "--build-lib", str(installed))
            installed.mkdir(exist_ok=True)
            self.run(installed, "-m", "trainer.task")

    def run(self, folder, *arguments):
        ended = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
        if ended.returncode == 0:
            return
        last = (ended.stderr.strip().splitlines() or ["no message"])[-1]
        if arguments[0] == "setup.py":
            raise Incorrect(f"`python setup.py {arguments[2]}` fails: {last}")
        raise Incorrect(f"With only the package installed, `python -m trainer.task` ends with: {last}")


WHY = {
    "A": (
        "BigQuery ML",
        "The data and the people are in BigQuery: CREATE MODEL trains boosted trees where the data lie.",
    ),
    "B": ("CustomJob", "One file, once, and no model in the registry: from_local_script sends it as it is."),
    "C": (
        "CustomContainerTrainingJob",
        "C++ and system libraries need an image of their own, and a training pipeline registers what it has trained.",
    ),
    "D": (
        "Kubeflow",
        "The machines are paid for and have queues: a TrainJob runs there, a CustomJob would rent others.",
    ),
    "E": (
        "AutoML",
        "Nobody is there to write a trainer, and a table is what AutoML and the Tabular Workflows are for.",
    ),
    "F": (
        "CustomPythonPackageTrainingJob",
        "There is a package already, pure Python, and each run must end in a Model: a CustomJob leaves only files.",
    ),
}


class Forms(Exercise):
    name = "forms"
    hints = [
        "First: does anybody write a trainer? In which language?",
        "Then: must a Model come out, or are files enough?",
        "Who owns the machines?",
    ]
    wrong = {
        "a custom job for everything of one's own": """
forms = {"A": "BigQuery ML", "B": "CustomJob", "C": "CustomJob", "D": "Kubeflow", "E": "AutoML", "F": "CustomJob"}
""",
        "a container for everything of one's own": """
forms = {"A": "BigQuery ML", "B": "CustomContainerTrainingJob", "C": "CustomContainerTrainingJob", "D": "Kubeflow",
         "E": "AutoML", "F": "CustomContainerTrainingJob"}
""",
        "AutoML for tables in BigQuery": """
forms = {"A": "AutoML", "B": "CustomJob", "C": "CustomContainerTrainingJob", "D": "Kubeflow", "E": "AutoML",
         "F": "CustomPythonPackageTrainingJob"}
""",
        "C++ as a Python package": """
forms = {"A": "BigQuery ML", "B": "CustomJob", "C": "CustomPythonPackageTrainingJob", "D": "Kubeflow", "E": "AutoML",
         "F": "CustomPythonPackageTrainingJob"}
""",
        "a list": """
forms = ["BigQuery ML", "CustomJob", "CustomContainerTrainingJob", "Kubeflow", "AutoML"]
""",
    }

    def check(self, forms):
        if not isinstance(forms, dict) or set(forms) != set(WHY):
            raise Incorrect('A dictionary with one form for each case: {"A": "…", … "F": "…"}.')
        for case, (right, why) in WHY.items():
            if str(forms[case]).strip().lower() != right.lower():
                raise Incorrect(f"Case {case} with {forms[case]!r}: {why}")
