"""Options of CREATE MODEL: which a model type takes, their types, defaults and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from localgcp.bqml.errors import BadRequest, unimplemented
from localgcp.bqml.statement import Candidates, Range


@dataclass(frozen=True)
class Option:
    """One option. `search` is the default range of hyperparameter tuning; None: it cannot be tuned."""

    kind: str  # bool, int, float, string, strings, ints, choice, weights, order
    default: Any = None
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    search: tuple[float, float] | tuple[str, ...] | None = None
    log: bool = False


@dataclass(frozen=True)
class Only:
    """An option that BigQuery has and of which only some values can be had here."""

    values: tuple[Any, ...]


@dataclass
class Options:
    """Checked options of one model: a value for each that the type has."""

    values: dict[str, Any]
    given: frozenset[str]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def get(self, name: str, default: Any = None) -> Any:
        return self.values.get(name, default)

    def changed(self, **values: Any) -> Options:
        return Options({**self.values, **values}, self.given | frozenset(values))


TUNED = Range | Candidates
LABEL: dict[str, Option | Only] = {"input_label_cols": Option("strings")}
SPLIT: dict[str, Option | Only] = {
    "data_split_method": Option("choice", "AUTO_SPLIT", choices=("AUTO_SPLIT", "RANDOM", "CUSTOM", "SEQ", "NO_SPLIT")),
    "data_split_eval_fraction": Option("float", None, low=0, high=1),
    "data_split_test_fraction": Option("float", None, low=0, high=1),
    "data_split_col": Option("string"),
}
STOP: dict[str, Option | Only] = {
    "max_iterations": Option("int", 20, low=1),
    "early_stop": Option("bool", True),
    "min_rel_progress": Option("float", 0.01, low=0),
    "warm_start": Only((False,)),
}
CLASSES: dict[str, Option | Only] = {"auto_class_weights": Option("bool", False), "class_weights": Option("weights")}
EXPLAIN: dict[str, Option | Only] = {"enable_global_explain": Option("bool", False)}
TUNING: dict[str, Option | Only] = {
    "num_trials": Option("int", None, low=1, high=100),
    "max_parallel_trials": Option("int", 1, low=1, high=5),
    "hparam_tuning_algorithm": Option(
        "choice", "RANDOM_SEARCH", choices=("VIZIER_DEFAULT", "RANDOM_SEARCH", "GRID_SEARCH")
    ),
    "hparam_tuning_objectives": Option("strings"),
}
REGISTRY: dict[str, Option | Only] = {
    "model_registry": Only(()),
    "vertex_ai_model_id": Only(()),
    "vertex_ai_model_version_aliases": Only(()),
    "kms_key_name": Only(()),
}
L1 = Option("float", 0.0, low=0, search=(0, 10), log=True)
L2 = Option("float", 0.0, low=0, search=(0, 10), log=True)


@dataclass(frozen=True)
class Given:
    """What a statement said, checked: plain options, and those that are to be tuned."""

    options: Options
    tuned: Mapping[str, TUNED] = field(default_factory=dict)


def check_options(model_type: str, raw: Mapping[str, Any], known: Mapping[str, Option | Only]) -> Given:
    """Raises BadRequest for an unknown option, a wrong type or a value outside the documented range."""
    values = {name: option.default for name, option in known.items() if isinstance(option, Option)}
    tuned: dict[str, TUNED] = {}
    for name, value in raw.items():
        if name == "model_type":
            continue
        if name not in known:
            raise BadRequest(f"Unknown option: {name}. Model type {model_type} does not have it.")
        option = known[name]
        if isinstance(option, Only):
            if value not in option.values:
                raise unimplemented(f"option {name}={value!r}")
        elif isinstance(value, Range | Candidates):
            tuned[name] = _check_tuned(name, value, option)
        else:
            values[name] = check_value(name, value, option)
    if tuned and not values.get("num_trials"):
        raise BadRequest("NUM_TRIALS must be specified to use hyperparameter tuning.")
    return Given(Options(values, frozenset(raw)), tuned)


def check_value(name: str, value: Any, option: Option) -> Any:
    """The value in the type that the option declares. Raises BadRequest."""
    converted = _convert(option.kind, value)
    if converted is None:
        raise BadRequest(f"Option {name} has an invalid value {value!r}: expected {_expected(option)}.")
    if option.kind == "choice" and converted not in option.choices:
        raise BadRequest(f"Option {name} has an invalid value {value!r}: expected {_expected(option)}.")
    below = option.low is not None and isinstance(converted, int | float) and converted < option.low
    above = option.high is not None and isinstance(converted, int | float) and converted > option.high
    if below or above:
        raise BadRequest(f"Option {name} must be in [{option.low}, {option.high or '∞'}], got {value}.")
    return converted


def _check_tuned(name: str, value: TUNED, option: Option) -> TUNED:
    if option.search is None:
        raise BadRequest(f"Option {name} cannot be tuned: give it one value.")
    if isinstance(value, Candidates):
        if not value.values:
            raise BadRequest(f"HPARAM_CANDIDATES of {name} is empty.")
        # An array has to be wrapped in a struct to be one candidate among several.
        unwrapped = [v[0] if option.kind == "ints" and isinstance(v, tuple) else v for v in value.values]
        return Candidates(tuple(check_value(name, v, option) for v in unwrapped))
    if option.kind not in ("int", "float"):
        raise BadRequest(f"Option {name} is not numeric: use HPARAM_CANDIDATES.")
    if not value.low < value.high:
        raise BadRequest(f"HPARAM_RANGE of {name}: the first bound must be below the second.")
    return Range(check_value(name, value.low, option), check_value(name, value.high, option))


def _convert(kind: str, value: Any) -> Any:
    """The value as the kind, or None if it is none."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "bool":
        return value if isinstance(value, bool) else None
    if kind == "int":
        return value if is_number and isinstance(value, int) else None
    if kind == "float":
        return float(value) if is_number else None
    if kind in ("string", "choice"):
        return (value.upper() if kind == "choice" else value) if isinstance(value, str) else None
    if kind == "strings":
        items = [value] if isinstance(value, str) else value
        return list(items) if isinstance(items, list) and all(isinstance(v, str) for v in items) else None
    if kind == "ints":
        return value if isinstance(value, list) and value and all(isinstance(v, int) for v in value) else None
    if kind == "order":
        whole = isinstance(value, tuple) and len(value) == 3 and all(isinstance(v, int) for v in value)
        return value if whole else None
    if kind == "weights":
        pairs = isinstance(value, list) and all(isinstance(v, tuple) and len(v) == 2 for v in value)
        return {str(label): float(weight) for label, weight in value} if pairs and value else None
    raise AssertionError(kind)


def _expected(option: Option) -> str:
    names = {
        "bool": "a BOOL",
        "int": "an INT64",
        "float": "a FLOAT64",
        "string": "a STRING",
        "strings": "an ARRAY<STRING>",
        "ints": "an ARRAY<INT64>",
        "weights": "an ARRAY<STRUCT<STRING, FLOAT64>>",
        "order": "a tuple of three INT64",
        "choice": "one of " + ", ".join(option.choices),
    }
    return names[option.kind]
