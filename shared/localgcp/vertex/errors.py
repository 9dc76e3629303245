"""The one exception that becomes a Vertex AI error, in the service's wording where it is known."""

from __future__ import annotations

from dataclasses import dataclass

# gRPC code and HTTP status of a canonical name. The SDK retries UNAVAILABLE, so that it is never used.
CODES = {
    "CANCELLED": (1, 499),
    "INVALID_ARGUMENT": (3, 400),
    "DEADLINE_EXCEEDED": (4, 504),
    "NOT_FOUND": (5, 404),
    "ALREADY_EXISTS": (6, 409),
    "PERMISSION_DENIED": (7, 403),
    "RESOURCE_EXHAUSTED": (8, 429),
    "FAILED_PRECONDITION": (9, 400),
    "ABORTED": (10, 409),
    "UNIMPLEMENTED": (12, 501),
    "INTERNAL": (13, 500),
}


@dataclass(frozen=True)
class Violation:
    """A field of the request, such as `job_spec.worker_pool_specs[0].machine_spec`, and what is wrong with it."""

    field: str
    message: str


class VertexError(Exception):
    """An error by its canonical name, such as "NOT_FOUND"; `violations` are the fields that it is about."""

    def __init__(self, status: str, message: str, violations: tuple[Violation, ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.violations = violations

    @property
    def grpc_code(self) -> int:
        return CODES[self.status][0]

    @property
    def http_status(self) -> int:
        return CODES[self.status][1]


def invalid(message: str) -> VertexError:
    return VertexError("INVALID_ARGUMENT", message)


def invalid_fields(*violations: Violation) -> VertexError:
    """The service lists every field that is wrong in one message."""
    listed = "\t".join(
        f"{number}.Field: {violation.field}; Message: {violation.message}"
        for number, violation in enumerate(violations, 1)
    )
    return VertexError("INVALID_ARGUMENT", f"List of found errors:\t{listed}\t", violations)


def not_found(name: str) -> VertexError:
    return VertexError("NOT_FOUND", f"The resource '{name}' was not found.")


def already_exists(name: str) -> VertexError:
    return VertexError("ALREADY_EXISTS", f"The resource '{name}' already exists.")


def precondition(message: str) -> VertexError:
    return VertexError("FAILED_PRECONDITION", message)


def unimplemented(what: str, instead: str = 'run with TARGET="vertex"') -> VertexError:
    """What Vertex AI can do and this cannot: never answered approximately. `instead` says what to do about it."""
    return VertexError("UNIMPLEMENTED", f"{what} is not emulated locally; {instead}")
