"""Walls between an answer and its judge, which share a process: what the answer sees, and what it may have changed.

None of them is complete in Python. Before them stands the check of the text (`policy`), behind them the sandbox
(`sandbox`): what gets through here can reach one learner's own verdict, and nothing outside.
"""

from __future__ import annotations

import builtins
import functools
import re
import sys
import types
from collections.abc import Mapping
from typing import Any

from labkit.catalog.source import Task
from labkit.classroom.policy import MODULES, NAMES, PACKAGES
from labkit.classroom.values import ANSWER_FILE, Refused

_REMOVED = NAMES | {"copyright", "credits", "license", "display", "get_ipython", "__IPYTHON__", "runfile", "execfile"}
_WATCHED = ("builtins", "math", "operator", "functools", "statistics", "numpy", "pandas", "scipy", "sklearn", "labkit")
_WATCHED_CLASSES = ("pandas", "labkit", "sklearn")
_TOP_ONLY = ("tensorflow", "keras", "xgboost", "kfp", "matplotlib", "random", "json", "itertools")
# Events of sys.addaudithook that nothing needs while an answer is judged; below, those it may not cause itself.
_NEVER = frozenset(
    "os.system os.exec os.startfile pty.spawn gc.get_objects gc.get_referrers gc.get_referents sys.settrace "
    "sys.setprofile sys.addaudithook code.__new__ ctypes.string_at ctypes.wstring_at".split()
)
_NOT_BY_ANSWER = frozenset(
    "open compile exec sys._getframe sys._current_frames subprocess.Popen os.fork os.kill os.posix_spawn os.putenv "
    "socket.connect socket.bind ctypes.dlopen object.__getattr__ function.__new__ pickle.find_class".split()
)


# Methods of a BigQuery client, and statements, that write.
_WRITING = re.compile(r"load_|insert_|create_|delete_|update_|undelete_|copy_|extract_|set_|cancel_|close")
_COMMENT = re.compile(r"/\*.*?\*/|(?:--|#)[^\n]*", re.DOTALL)
_WRITES = re.compile(
    r"(?:^|;|\bBEGIN\b|\bTHEN\b)\s*(?:CREATE|INSERT|UPDATE|DELETE|MERGE|DROP|TRUNCATE|ALTER|LOAD|EXPORT|CALL|EXECUTE)\b",
    re.IGNORECASE,
)


class Alarm:
    """Notes what answers did; it cannot be removed from the interpreter once it is set."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.on = False
        sys.addaudithook(self._event)

    def _event(self, event: str, _: tuple[Any, ...]) -> None:
        if not self.on or (event not in _NEVER and event not in _NOT_BY_ANSWER):
            return
        self.on = False
        try:
            caller = sys._getframe(1).f_code.co_filename
        finally:
            self.on = True
        if event in _NEVER or caller.startswith(ANSWER_FILE):
            self.reasons.append(f"it called for {event}")
            raise Refused(event)


class StandIn:
    """What an answer finds as `lab`: data, target and folders, and no way to the checks."""

    def __init__(self, lab: Any) -> None:
        self.slug, self.folder, self.card, self.seed = lab.slug, lab.folder, lab.card, lab.seed
        self.work, self.data, self.target = lab.work, _DataOf(lab), _ReadOnlyTarget(lab.target)

    def __repr__(self) -> str:
        return f"<lab {self.slug}, target {self.target.name}, seed {self.seed}>"

    def check(self, name: str, *values: Any) -> Any:
        """Hands back what it gets: the judge asks for itself."""
        return values[0] if len(values) == 1 else values

    def _nothing(self, *_: Any, **__: Any) -> None:
        """Hints, questions and claims belong to the learner's notebook."""

    hint = solution = quiz = predict = revisit = claim = finish = _nothing


class _ReadOnlyTarget:
    """The lab's target, whose tables can be read and not written: a check compares with what is in them."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "_target"), name)

    def bigquery(self) -> ReadOnlyClient:
        return ReadOnlyClient(self._target.bigquery())


class ReadOnlyClient:
    """A BigQuery client that sends no statement that writes."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        if _WRITING.match(name):
            raise PermissionError(f"While answers are graded, {name} is off: tables are only read.")
        found = getattr(object.__getattribute__(self, "_client"), name)
        if name not in ("query", "query_and_wait"):
            return found

        def reading(query: str, *args: Any, **kwargs: Any) -> Any:
            if _WRITES.search(_COMMENT.sub(" ", str(query))):
                raise PermissionError("While answers are graded, statements that write are off: tables are only read.")
            return found(query, *args, **kwargs)

        return reading


class _DataOf:
    def __init__(self, lab: Any) -> None:
        # Through the class: a bound method would lead to the lab itself.
        self._load = type(lab).data

    def __call__(self, name: str, **parameters: Any) -> Any:
        return self._load(None, name, **parameters)


def answer_namespace(before: Mapping[str, Any], task: Task, lab: Any) -> dict[str, Any]:
    """The variables that an answer starts with: those of the notebook above it, no history, no answer, no way out.

    `before`: copies of the notebook's variables as they were before the worked exercise cell ran.
    """
    kept = {name: value for name, value in before.items() if not name.startswith("_") and not _leads_out(name, value)}
    kept = {name: ReadOnlyClient(value) if _is_client(value) else value for name, value in kept.items()}
    kept |= dict.fromkeys(task.answers, ...)
    return kept | {"lab": StandIn(lab), "__name__": "__main__", "__builtins__": _safe_builtins()}


def _leads_out(name: str, value: Any) -> bool:
    if name in _REMOVED or name in MODULES:
        return True
    home = value.__name__ if isinstance(value, types.ModuleType) else ""
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType | type):
        home = str(getattr(value, "__module__", "") or "")
    return home.split(".")[0] in MODULES - {"pathlib", "concurrent"}


def _is_client(value: Any) -> bool:
    return type(value).__name__ == "Client" and type(value).__module__ == "google.cloud.bigquery.client"


@functools.cache
def _removed_builtins() -> dict[str, Any]:
    return {name: value for name, value in vars(builtins).items() if name not in _REMOVED}


def _safe_builtins() -> dict[str, Any]:
    return _removed_builtins() | {
        "__import__": _guarded_import,
        "getattr": _guarded_getattr,
        "hasattr": _guarded_hasattr,
    }


def _guarded_import(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
    if level or name.split(".")[0] not in PACKAGES:
        raise ImportError(f"answers may not import {name}")
    return __import__(name, globals, locals, fromlist, level)


def _guarded_getattr(value: Any, name: str, *default: Any) -> Any:
    if str(name).startswith("_") or name in MODULES:
        raise AttributeError(f"answers may not read {name}")
    return getattr(value, name, *default)


def _guarded_hasattr(value: Any, name: str) -> bool:
    return not str(name).startswith("_") and hasattr(value, name)


class Snapshot:
    """The functions and classes that checks rely on, by name: an answer that replaces one is found out.

    `more`: names beside those of the libraries, such as the variables of the lab's checks.
    """

    def __init__(self, more: Mapping[str, Any] | None = None) -> None:
        self.kept: list[tuple[str, Mapping[str, Any], dict[str, Any]]] = []
        for label, names in [("checks", more or {}), *((m.__name__, vars(m)) for m in _watched_modules())]:
            self.kept.append((label, names, _tools(names)))
            for value in list(names.values()):
                if isinstance(value, type) and (label == "checks" or _is_watched_class(value, label)):
                    inside = type.__getattribute__(value, "__dict__")
                    self.kept.append((f"{label}.{value.__name__}", inside, _tools(inside, private=True)))

    def changed(self) -> str:
        """What is not as it was, or ""."""
        for label, names, before in self.kept:
            for name, value in before.items():
                # Libraries put the real module in the place of one that is loaded late.
                if names.get(name) is not value and not isinstance(names.get(name), types.ModuleType):
                    return f"{label}.{name}"
        return ""


def _watched_modules() -> list[types.ModuleType]:
    found = []
    for name, module in list(sys.modules.items()):
        deep = name.split(".")[0] in _WATCHED and not any(part.startswith("_") for part in name.split("."))
        if isinstance(module, types.ModuleType) and (deep or name in _TOP_ONLY):
            found.append(module)
    return found


def _tools(names: Mapping[str, Any], private: bool = False) -> dict[str, Any]:
    kinds = (property, classmethod, staticmethod)
    return {
        name: value
        for name, value in list(names.items())
        if (private or not name.startswith("_")) and (callable(value) or isinstance(value, kinds))
    }


def _is_watched_class(value: type, module: str) -> bool:
    home = type.__getattribute__(value, "__module__")
    # pandas says of its classes that they are made in "pandas".
    return home in (module, "pandas") and module.split(".")[0] in _WATCHED_CLASSES
