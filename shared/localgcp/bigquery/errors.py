"""The one exception that becomes a BigQuery error, with the wording the service uses where it is known."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localgcp.bigquery.names import DatasetName, TableName

# The HTTP status that each reason is sent with. `internalError` is missing on purpose: the real client retries it for
# minutes, so a fault of this server is reported as `invalid`.
STATUS = {
    "invalid": 400,
    "invalidQuery": 400,
    "bytesBilledLimitExceeded": 400,
    "resourceInUse": 400,
    "required": 400,
    "parseError": 400,
    "stopped": 499,
    "accessDenied": 403,
    "notFound": 404,
    "duplicate": 409,
    "conditionNotMet": 412,
}


class BigQueryError(Exception):
    """An error as BigQuery reports it: a message, a reason and where it lies."""

    def __init__(self, message: str, reason: str = "invalidQuery", location: str = "query") -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.location = location

    @property
    def code(self) -> int:
        return STATUS[self.reason]

    def proto(self) -> dict[str, str]:
        """The error as the API's ErrorProto."""
        return {"reason": self.reason, "location": self.location, "message": self.message}


def unimplemented(what: str, instead: str | None = None) -> BigQueryError:
    """What BigQuery can do and this cannot: never answered approximately. `instead` says what to do about it.

    Its reason is `invalidQuery` and not `notImplemented`, for which the client would raise another class than
    BadRequest, and only on some of the ways that lead to a result.
    """
    return BigQueryError(f"UNIMPLEMENTED: {what} is not emulated locally" + (f"; {instead}." if instead else "."))


def from_hook(error: Exception) -> BigQueryError:
    """The error of a statement that somebody else's code has run: its `message` and `reason` if it has them."""
    reason = getattr(error, "reason", "invalidQuery")
    message = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
    return BigQueryError(str(message), reason if reason in STATUS else "invalidQuery")


def invalid(message: str) -> BigQueryError:
    """A request whose fields are wrong."""
    return BigQueryError(message, "invalid", "")


def dataset_not_found(name: DatasetName) -> BigQueryError:
    return BigQueryError(f"Not found: Dataset {name} was not found in location US", "notFound", "")


def table_not_found(name: TableName) -> BigQueryError:
    return BigQueryError(f"Not found: Table {name} was not found in location US", "notFound", "")


def already_exists(kind: str, name: object) -> BigQueryError:
    return BigQueryError(f"Already Exists: {kind} {name}", "duplicate", "")


Locate = Callable[[str], str]


def from_duckdb(error: Exception, locate: Locate) -> BigQueryError:
    """A DuckDB error in BigQuery's words. `locate` gives " at [line:column]" of a name in the user's SQL."""
    # DuckDB echoes the statement that it was given: that is our translation, which the user has not written.
    text = re.split(r"\n+LINE \d+:", str(error))[0].strip()
    for pattern, rewrite in _REWRITES:
        if found := pattern.search(text):
            return BigQueryError(rewrite(found, locate))
    if found := re.search(r"executing the UDF: \w+: (?P<text>.*?)(?:\n\nAt:|$)", text, re.S):
        return BigQueryError(found["text"])
    kind, _, rest = text.partition(": ")
    return BigQueryError(rest if kind.endswith("Error") and rest else text)


def _unrecognized(found: re.Match[str], locate: Locate) -> str:
    name = found["name"].split(".")[-1]
    close = re.search(r'Candidate bindings: "?(?:[^",]*\.)?(?P<other>[^",.]+)"', found.string)
    hint = f"; Did you mean {close['other']}?" if close and _alike(close["other"], name) else ""
    return f"Unrecognized name: {name}{hint}{locate(name)}"


def _alike(one: str, other: str) -> bool:
    from difflib import SequenceMatcher

    return SequenceMatcher(None, one.lower(), other.lower()).ratio() > 0.7


def _not_grouped(found: re.Match[str], locate: Locate) -> str:
    name = found["name"]
    return f"SELECT list expression references column {name} which is neither grouped nor aggregated{locate(name)}"


def _own_name(name: str) -> str:
    """The name of a function as the user wrote it: bqemulator and this package put helpers in the place of some."""
    if "__" in name:  # a dataset's function has become project__dataset__name
        return ".".join(name.split("__")[-2:])
    return re.sub(r"^(bqemu_|local_(safe_)?|py_([sb]_)?)|(_unicode|_iso|_any)$", "", name, flags=re.IGNORECASE)


def _function(found: re.Match[str], locate: Locate) -> str:
    name = _own_name(found["name"])
    return f"Function not found: {name if '.' in name else name.upper()}{locate(name.split('.')[-1])}"


_TYPES = {"BIGINT": "INT64", "INTEGER": "INT64", "HUGEINT": "INT64", "DOUBLE": "FLOAT64", "VARCHAR": "STRING"}


def _signature(found: re.Match[str], locate: Locate) -> str:
    kinds = [kind.strip().removesuffix("_LITERAL") for kind in found["types"].split(",")]
    arguments = ", ".join(_TYPES.get(kind, kind) for kind in kinds)
    name = _own_name(found["name"])
    what = f"function {name.upper()}" if name[0].isalpha() else f"operator {name}"
    return f"No matching signature for {what} for argument types: {arguments}.{locate(name)}"


_REWRITES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], Locate], str]], ...] = (
    (re.compile(r'Referenced (?:column|table) "(?P<name>[^"]+)" (?:was )?not found'), _unrecognized),
    (re.compile(r'does not have a column named "(?P<name>[^"]+)"'), _unrecognized),
    (re.compile(r'column "?(?P<name>[\w.]+)"? must appear in the GROUP BY clause'), _not_grouped),
    (re.compile(r"(?:Scalar|Aggregate|Table) Function with name \"?(?P<name>\w+)\"? does not exist"), _function),
    (
        re.compile(r"No function matches the given name and argument types '(?P<name>[^(]+)\((?P<types>.*?)\)'"),
        _signature,
    ),
    (
        re.compile(r'Ambiguous reference to column name "(?P<name>[^"]+)"'),
        lambda found, locate: f"Column name {found['name']} is ambiguous{locate(found['name'])}",
    ),
    (
        re.compile(r'best candidate function for the function call "(?P<name>[^(]+)\((?P<types>.*?)\)"'),
        _signature,
    ),
    (re.compile(r"Division by zero"), lambda found, locate: "division by zero"),
    (
        re.compile(r'date field value out of range: "(?P<text>[^"]*)"'),
        lambda found, locate: f"Invalid date: '{found['text']}'",
    ),
    (
        re.compile(r"Could not convert string '(?P<text>.*)' to INT(?:64|32)", re.S),
        lambda found, locate: f"Bad int64 value: {found['text']}",
    ),
    (
        re.compile(r"Could not convert string '(?P<text>.*)' to DOUBLE", re.S),
        lambda found, locate: f"Bad double value: {found['text']}",
    ),
    (
        re.compile(r"Could not convert string '(?P<text>.*)' to BOOL", re.S),
        lambda found, locate: f"Bad bool value: {found['text']}",
    ),
    (
        re.compile(r'invalid date field format: "(?P<text>[^"]*)"'),
        lambda found, locate: f"Invalid date: '{found['text']}'",
    ),
    (
        re.compile(r'invalid timestamp field format: "(?P<text>[^"]*)"'),
        lambda found, locate: f"Invalid timestamp: '{found['text']}'",
    ),
    (re.compile(r"Overflow in \w+ of INT64"), lambda found, locate: "int64 overflow"),
    (
        re.compile(r"NOT NULL constraint failed: (?:\S+\.)?(?P<name>\w+)"),
        lambda found, locate: f"Required field {found['name']} cannot be null",
    ),
)
