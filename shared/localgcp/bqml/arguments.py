"""Arguments after the model in ML.X(MODEL m, …): a TABLE or a query, a STRUCT of settings, an array."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from localgcp.bqml.engine import Engine
from localgcp.bqml.errors import BadRequest


@dataclass(frozen=True)
class Arguments:
    rows: pa.Table | None
    settings: dict[str, Any]
    array: list[float] | None


def read_arguments(
    function: str, texts: tuple[str, ...], known: Mapping[str, type], engine: Engine, ctes: list[str]
) -> Arguments:
    """Runs the query, evaluates the rest. Raises BadRequest for an unknown setting or a wrong type."""
    rows: pa.Table | None = None
    settings: dict[str, Any] | None = None
    array: list[float] | None = None
    for text in texts:
        word = text.lstrip().upper()
        if word.startswith("STRUCT"):
            if settings is not None:
                raise BadRequest(f"ML.{function}: more than one STRUCT of settings.")
            settings = _settings(function, text, known, engine)
        elif word.startswith(("TABLE", "(")):
            if rows is not None:
                raise BadRequest(f"ML.{function}: more than one input table or query.")
            rows = engine.query(_query(text, ctes))
        elif word.startswith(("GENERATE_ARRAY", "[", "ARRAY")):
            array = _array(text, engine)
        else:
            raise BadRequest(f"Invalid table-valued function ML.{function}: unexpected argument {text}.")
    return Arguments(rows, settings or {}, array)


def _array(text: str, engine: Engine) -> list[float]:
    """GENERATE_ARRAY of numbers here, since engines differ on fractions; anything else by the engine."""
    numbers = re.fullmatch(r"(?is)\s*GENERATE_ARRAY\s*\(([-+.\de\s,]+)\)\s*", text)
    if numbers is None:
        return [float(v) for v in engine.query(f"SELECT {text} AS a")["a"][0].as_py()]
    start, stop, *rest = (float(part) for part in numbers[1].split(","))
    step = rest[0] if rest else 1.0
    if step == 0:
        raise BadRequest("Sequence step cannot be 0.")
    # Half a rounding error beyond, so that GENERATE_ARRAY(0, 1, 0.1) reaches 1.
    count = math.floor((stop - start) / step + 1e-9) + 1
    return [start + i * step for i in range(max(0, count))]


def _query(text: str, ctes: list[str]) -> str:
    """The input as a query of its own, which brings the WITH clauses that it can see."""
    stripped = text.strip()
    source = stripped if stripped.startswith("(") else stripped[len("TABLE") :].strip()
    if not ctes:
        return stripped[1:-1].strip() if stripped.startswith("(") else f"SELECT * FROM {source}"
    # The input may have a WITH of its own: so it stays in its parentheses.
    return f"WITH {', '.join(ctes)} SELECT * FROM {source}"


def _settings(function: str, text: str, known: Mapping[str, type], engine: Engine) -> dict[str, Any]:
    given = engine.query(f"SELECT {text} AS s")["s"][0].as_py()
    out: dict[str, Any] = {}
    for name, value in given.items():
        kind = known.get(name.lower())
        if kind is None:
            raise BadRequest(
                f"Invalid table-valued function ML.{function}: unknown setting {name}; "
                f"known: {', '.join(known) if known else 'none'}."
            )
        if value is None:
            continue
        number = kind in (int, float) and not isinstance(value, bool)
        if (kind is bool and not isinstance(value, bool)) or (kind is int and not isinstance(value, int)):
            raise BadRequest(f"ML.{function}: setting {name} must be of type {'BOOL' if kind is bool else 'INT64'}.")
        out[name.lower()] = kind(value) if number else value
    return out
