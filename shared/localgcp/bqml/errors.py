"""The one error of BigQuery ML statements, with BigQuery's reason and status."""

from __future__ import annotations


class BadRequest(Exception):
    """A statement that BigQuery would refuse, or that is not emulated here.

    `reason` and `code` are those of the REST error: invalidQuery 400, notFound 404, duplicate 409, notImplemented 501.
    """

    def __init__(self, message: str, reason: str = "invalidQuery", code: int = 400) -> None:
        super().__init__(message)
        self.message, self.reason, self.code = message, reason, code


def not_found(project: str, dataset: str, model: str) -> BadRequest:
    return BadRequest(f"Not found: Model {project}:{dataset}.{model}", "notFound", 404)


def already_exists(project: str, dataset: str, model: str) -> BadRequest:
    return BadRequest(f"Already Exists: Model {project}:{dataset}.{model}", "duplicate", 409)


def unimplemented(what: str) -> BadRequest:
    """For what BigQuery can and this cannot: refused rather than approximated."""
    return BadRequest(f"UNIMPLEMENTED: {what} is not emulated locally.", "notImplemented", 501)
