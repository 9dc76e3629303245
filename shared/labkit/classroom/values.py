"""Answers as values: refused where their type could say what suits it, held to that while a check works with them."""

from __future__ import annotations

import copy
import functools
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

ANSWER_FILE = "<answer to "  # how the name of an answer's code begins
_MOST_ITEMS = 20_000
# Values that no comparison refuses: `abs(masked - 3) > 1e-9` is false, as it is with NaN.
_PECULIAR = frozenset({"MaskedConstant", "MaskedArray", "matrix", "recarray", "NaTType", "NAType", "_ANY"})


class Refused(BaseException):
    """An answer did what it may not. No Exception, so that neither the answer nor a check catches it by accident."""


def strange(value: Any, reference: Any) -> str:
    """Why an answer is refused for its type; "" when it is plain, from a library, or made as the reference is.

    A class of the learner's own may say True to every comparison, so it is let in only where the exercise asks for one.
    """
    own_expected = any(_homemade(kind) for kind in (type(reference), reference) if isinstance(kind, type))
    for part in _parts(value):
        method = overridden(part)
        if method:
            return f"it is or holds a {_name(type(part))} whose {method} is the answer's own"
        kind = part if isinstance(part, type) else type(part)
        if _homemade(kind, learner=True) and not own_expected:
            return f"it is or holds a {_name(kind)}, a class made in the answer"
        if _name(kind) in _PECULIAR and type(reference) is not kind:
            return f"it is or holds a {_name(kind)}"
    return ""


def overridden(value: Any) -> str:
    """The method of an object that an answer has put its own function over, or ""."""
    if isinstance(value, type | types.ModuleType | types.FunctionType):
        return ""
    try:
        own = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return ""
    for name, part in list(own.items()) if type(own) is dict else ():
        code = getattr(getattr(part, "__func__", part), "__code__", None)
        from_answer = isinstance(code, types.CodeType) and code.co_filename.startswith(ANSWER_FILE)
        if from_answer and hasattr(type(value), str(name)):
            return str(name)
    return ""


def _parts(value: Any) -> Iterator[Any]:
    """The value and what its containers hold, up to a bound."""
    waiting, seen = [value], 0
    while waiting and seen < _MOST_ITEMS:
        part = waiting.pop()
        seen += 1
        yield part
        if type(part) in (list, tuple, set, frozenset):
            waiting += list(part)[:_MOST_ITEMS]
        elif type(part) is dict:
            waiting += [*list(part)[:_MOST_ITEMS], *list(part.values())[:_MOST_ITEMS]]
        elif type(part).__module__.split(".")[0] in ("numpy", "pandas"):
            waiting += _objects_in(part)


def _objects_in(array: Any) -> list[Any]:
    """The elements of an array, column or table whose elements are Python objects."""
    columns = (
        [array[name] for name in array] if type(array).__name__ == "DataFrame" and array.columns.is_unique else [array]
    )
    found: list[Any] = []
    for column in columns:
        if getattr(getattr(column, "dtype", None), "kind", "") == "O":
            found += list(column.ravel() if hasattr(column, "ravel") else column)[:_MOST_ITEMS]
    return found


def _name(kind: type) -> str:
    return str(type.__getattribute__(kind, "__name__"))


def _homemade(kind: type, learner: bool = False) -> bool:
    """Whether a class comes from the notebook, or with `learner` from an answer, and from no module."""
    module = type.__getattribute__(kind, "__module__")
    if not isinstance(module, str) or (module == "__main__" and not learner):
        return True
    found: Any = sys.modules.get(module)
    for name in type.__getattribute__(kind, "__qualname__").split("."):
        found = getattr(found, name, None) if found is not None else None
    # Libraries make classes inside of functions, too; those of an answer carry the name of its namespace.
    return found is not kind and module == "__main__"


def not_a_number(value: Any, reference: Any) -> bool:
    """Whether an answer holds NaN where the reference has a number: comparisons let NaN through."""
    if isinstance(value, float | complex) and isinstance(reference, float | int) and not isinstance(reference, bool):
        return value != value and reference == reference
    if type(value) is dict and isinstance(reference, dict):
        return any(not_a_number(value[key], reference[key]) for key in value if key in reference)
    if type(value) in (list, tuple) and isinstance(reference, list | tuple) and len(value) == len(reference):
        return any(not_a_number(one, other) for one, other in zip(value, reference, strict=True))
    if type(value).__name__ == "ndarray" and type(reference).__name__ == "ndarray" and value.dtype.kind == "f":
        return bool((value != value).any()) and not bool((reference != reference).any())
    return False


class Holder:
    """Wraps functions that are answers: what they give back is held to the rule for values, what they get is watched.

    Not for functions that TensorFlow, Keras or the pipeline compiler read: they look into the code.
    """

    def __init__(self, refuse: Callable[[str], None], copies: bool = False) -> None:
        """`copies`: hand the function copies of tables, arrays and lists, so that it can change none of the check's."""
        self.refuse, self.copies = refuse, copies
        self.changed = False  # whether a function has changed what it was given

    def hold(self, value: Any) -> Any:
        if type(value) is not types.FunctionType:
            return value

        @functools.wraps(value)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            before = [_data(arg) for arg in (*args, *kwargs.values())]
            if self.copies:
                args, kwargs = _data(args), _data(kwargs)
            result = value(*args, **kwargs)
            self.changed |= any(not _same(*pair) for pair in zip(before, (*args, *kwargs.values()), strict=True))
            return map(self._looked_at, result) if type(result) is types.GeneratorType else self._looked_at(result)

        return wrapper

    def _looked_at(self, result: Any) -> Any:
        reason = strange(result, None)
        if reason:
            self.refuse(f"what it gives back: {reason}")
            raise Refused(reason)
        return self.hold(result)


def _data(value: Any) -> Any:
    """A copy of a table, an array or a container of such; anything else is the value itself."""
    kind = type(value)
    if kind in (list, tuple):
        return kind(_data(part) for part in value)
    if kind is dict:
        return {name: _data(part) for name, part in value.items()}
    if kind is set or kind.__name__ in ("DataFrame", "Series", "ndarray"):
        return copy.deepcopy(value)
    return value


def _same(one: Any, other: Any) -> bool:
    """Whether two values of `_data` hold the same."""
    if type(one) is not type(other):
        return False
    if type(one) in (list, tuple):
        return len(one) == len(other) and all(_same(*pair) for pair in zip(one, other, strict=True))
    if type(one) is dict:
        return one.keys() == other.keys() and all(_same(part, other[name]) for name, part in one.items())
    if type(one).__name__ in ("DataFrame", "Series"):
        return bool(one.equals(other))
    if type(one).__name__ == "ndarray":
        same_form = one.shape == other.shape and one.dtype == other.dtype
        return same_form and (one.tobytes() == other.tobytes() or bool((one == other).all()))
    if type(one) in (set, int, float, str, bool, bytes):
        return bool(one == other) or one != one
    return True
