"""What a learner's text may not say when it is graded: a check of its syntax tree before it runs.

It is the first of several walls, and the one a trainer can read. It is generous to what exercises need and refuses what
leads out of an answer: to the interpreter, to the operating system, to libraries' own names. A refusal is no zero: the
trainer looks at it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

MOST_CHARACTERS = 50_000

# Packages that answers may import from. What is not here may be harmless: the trainer sees what was refused.
PACKAGES = frozenset(
    """
    __future__ bisect calendar collections copy dataclasses datetime decimal enum fractions functools hashlib heapq
    itertools json math numbers operator random re statistics string textwrap time typing warnings zlib
    cityhash farmhash google google_cloud_pipeline_components hypertune keras kfp matplotlib numpy onnxruntime
    palmerpenguins pandas pyarrow saliency scipy seaborn shap skl2onnx sklearn statsmodels tensorflow
    tensorflow_data_validation tensorflow_metadata tensorflow_model_analysis tensorflow_probability
    tensorflow_transform tf_keras vertexai xgboost
    """.split()
)
# Names and attributes, wherever they stand: `np.os`, `from pandas.io import pickle`, `df.attrs.sys`.
MODULES = frozenset(
    """
    IPython asyncio atexit builtins code codeop concurrent ctypes ctypeslib f2py faulthandler gc get_ipython importlib
    inspect ipykernel joblib labkit linecache localgcp marshal mmap multiprocessing os pathlib pdb pickle pkgutil
    posix psutil pty runpy shutil socket subprocess sys sysconfig tempfile threading traceback tracemalloc unittest
    """.split()
)
NAMES = frozenset(
    "breakpoint compile delattr eval exec exit globals help input locals open quit setattr vars In Out".split()
)
# Attributes that run text, read objects through text, load pickles, or build classes.
ATTRIBUTES = frozenset(
    """
    Client allow_pickle attrgetter format_map from_formula get_type_hints make_dataclass methodcaller new_class py_func
    read_pickle run_line_magic run_cell to_pickle vformat Formatter get_source getsource gi_frame cr_frame ag_frame
    tb_frame to_gbq f_globals f_locals f_back f_builtins gi_code
    """.split()
)
EVALUATED = frozenset({"eval", "query"})  # of pandas: an expression in a text
# Methods with two underscores that a class may define. Not those that decide what a comparison says.
METHODS = frozenset(
    """
    __init__ __call__ __repr__ __str__ __len__ __iter__ __next__ __getitem__ __setitem__ __contains__ __enter__ __exit__
    __post_init__
    """.split()
)
_DUNDER = re.compile(r"__\w+__")
_FIELD = re.compile(r"\{[^{}]*[.\[]\s*_[^{}]*\}")  # a field of str.format that reads a private attribute
_SHELL = re.compile(r"^[ \t]*(?:[!%]|\?|[\w.]+\?{1,2}[ \t]*$)", re.MULTILINE)


@dataclass(frozen=True)
class Refusal:
    """What a text says that an answer may not, and in which of its lines."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


def refusals(text: str) -> list[Refusal]:
    """What is refused in a text, in the order of its lines; nothing for a text that may run.

    Raises SyntaxError for a text that is no Python.
    """
    if len(text) > MOST_CHARACTERS:
        return [Refusal(1, f"it has {len(text)} characters; at most {MOST_CHARACTERS} are read")]
    try:
        tree = ast.parse(text)
        found = set(_Reader(tree).found())
    except (RecursionError, MemoryError):
        return [Refusal(1, "it is nested too deeply to be read")]
    except SyntaxError:
        shell = _SHELL.search(text)
        if shell is None:
            raise
        return [Refusal(text.count("\n", 0, shell.start()) + 1, "a line for IPython or the system's shell (!, %, ?)")]
    except ValueError as error:  # a zero byte
        return [Refusal(1, str(error))]
    return sorted(found, key=lambda refusal: (refusal.line, refusal.reason))


class _Reader:
    """Walks through the tree of a text."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.made = _made(tree)
        self.bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and _stored(node)}
        self.bound |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
        self.bound |= {
            alias.asname or alias.name
            for node in ast.walk(tree)
            for alias in getattr(node, "names", ())
            if isinstance(alias, ast.alias)
        }
        self.parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}

    def found(self) -> Iterator[Refusal]:
        for node in ast.walk(self.tree):
            for reason in self._reasons(node):
                yield Refusal(getattr(node, "lineno", 1), reason)

    def _reasons(self, node: ast.AST) -> Iterator[str]:
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield from _imported(alias.name)
            case ast.ImportFrom(module=module, names=names):
                yield from _imported(module or ".")
                for alias in names:
                    yield from _named(alias.name)
            case ast.Name(id=name):
                yield from _named(name)
                if name == "type" and not self._harmless_type(node):
                    yield "type other than as type(value)"
            case ast.Attribute():
                yield from self._attribute(node)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                if _DUNDER.fullmatch(name) and name not in METHODS:
                    yield f"defining {name}"
                elif not isinstance(node, ast.ClassDef) or name in MODULES:
                    yield from _named(name) if name not in METHODS else ()
                if isinstance(node, ast.ClassDef) and node.keywords:
                    yield "a class with a metaclass or other keywords"
            case ast.keyword(arg=name) if name:
                yield from _spelled(name)
            case ast.Constant(value=str() as value):
                yield from _text(value)
            case ast.Call():
                yield from self._call(node)

    def _attribute(self, node: ast.Attribute) -> Iterator[str]:
        name = node.attr
        own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
        if name.lstrip("_") in MODULES or name in ATTRIBUTES or _DUNDER.fullmatch(name):
            if name != "__init__" or not _on_super(node):
                yield f"the attribute {name}"
        elif name.startswith("_") and not own and name not in ("_replace", "_asdict", "_fields"):
            yield f"the private attribute {name}"
        elif name in EVALUATED | {"format"} and not self._called(node):
            yield f"{name} other than as a call"
        if not isinstance(node.ctx, ast.Load):
            root = _root(node)
            if root == "type" or (root and root not in self.made):
                yield f"changing {ast.unparse(node)}, which is not made in this cell"

    def _call(self, node: ast.Call) -> Iterator[str]:
        function = node.func
        if isinstance(function, ast.Name) and function.id in ("getattr", "hasattr"):
            name = node.args[1] if len(node.args) > 1 else None
            if not (isinstance(name, ast.Constant) and isinstance(name.value, str)):
                yield f"{function.id} with a name that is not written out"
            else:
                yield from _spelled(name.value, "_")
        if not isinstance(function, ast.Attribute):
            return
        if function.attr in EVALUATED:
            expression = node.args[0] if node.args else None
            if not (isinstance(expression, ast.Constant) and isinstance(expression.value, str)):
                if not self._is_bigquery(node):
                    yield f".{function.attr}() of a text that is not written out"
            elif re.search(r"@\s*\w+\s*[.(\[]|\b(?:" + "|".join(MODULES) + r")\s*\.", expression.value):
                yield f".{function.attr}() with an attribute or call of a variable"
        if function.attr == "format":
            text = function.value
            if not (isinstance(text, ast.Constant) and isinstance(text.value, str)) and node.args + node.keywords:
                yield ".format() of a text that is not written out"
            elif isinstance(text, ast.Constant) and _FIELD.search(str(text.value)):
                yield ".format() that reads a private attribute"

    def _is_bigquery(self, node: ast.Call) -> bool:
        """Whether it is `query` of the lab's client, whose text goes to a database, and of no name bound here."""
        value = node.func.value if isinstance(node.func, ast.Attribute) else None
        if isinstance(value, ast.Name):
            return "client" in value.id.lower() and value.id not in self.bound
        return isinstance(value, ast.Call) and ast.unparse(value) == "lab.target.bigquery()" and "lab" not in self.bound

    def _called(self, node: ast.AST) -> bool:
        parent = self.parents.get(node)
        return isinstance(parent, ast.Call) and parent.func is node

    def _harmless_type(self, node: ast.Name) -> bool:
        parent = self.parents.get(node)
        if isinstance(parent, ast.Call) and parent.func is node:
            return len(parent.args) == 1 and not parent.keywords and not isinstance(parent.args[0], ast.Starred)
        return isinstance(parent, ast.Call) and isinstance(parent.func, ast.Name) and parent.func.id == "isinstance"


def _imported(module: str) -> Iterator[str]:
    parts = module.split(".")
    if parts[0] not in PACKAGES:
        yield f"importing {module}"
        return
    for part in parts:
        yield from _spelled(part, "_") if part != "__future__" else ()
    if module.startswith("statsmodels.formula"):
        yield f"importing {module}, which runs text"


def _named(name: str) -> Iterator[str]:
    if name in MODULES | NAMES | ATTRIBUTES or (_DUNDER.search(name) and name != "__future__"):
        yield f"the name {name}"


def _spelled(name: str, private: str = "__") -> Iterator[str]:
    if name in MODULES or name in ATTRIBUTES or name.startswith(private):
        yield f"the name {name}"


def _text(value: str) -> Iterator[str]:
    found = _DUNDER.search(value)
    if found and found[0] not in ("__main__", "__init__", "__INTERCEPT__", "__TABLES__", "__UNPARTITIONED__"):
        yield f"the name {found[0]} in a text"


def _on_super(node: ast.Attribute) -> bool:
    value = node.value
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "super"


def _root(node: ast.expr) -> str:
    """The name at the start of a chain of attributes and items; "" where it starts with a call other than of `type`."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
        node = node.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("type", "super", "getattr"):
        return "type"
    return node.id if isinstance(node, ast.Name) else ""


def _made(tree: ast.Module) -> set[str]:
    """Names that the text itself binds to something new: not to a name, or an attribute, of what was there before."""
    names = {"self", "cls"}
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=targets, value=value) if not isinstance(value, ast.Name | ast.Attribute):
                for target in targets:
                    names |= {part.id for part in ast.walk(target) if isinstance(part, ast.Name) and _stored(part)}
            case ast.AnnAssign(target=ast.Name(id=name), value=value) if not isinstance(
                value, ast.Name | ast.Attribute
            ):
                names.add(name)
            case ast.For(target=target) | ast.comprehension(target=target):
                names |= {part.id for part in ast.walk(target) if isinstance(part, ast.Name)}
            case ast.withitem(optional_vars=ast.Name(id=name)) | ast.NamedExpr(target=ast.Name(id=name)):
                names.add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.arg(arg=name):
                names.add(name)
    return names


def _stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)
