"""The one exception that becomes a Cloud Storage error, with the service's wording where it is known."""

from __future__ import annotations

import errno

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class StorageError(Exception):
    """An error as the JSON API reports it: an HTTP status, a reason and a message.

    The client retries 408, 429, 500, 502, 503 and 504 for two minutes, so none of them is ever used.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message

    def body(self) -> dict[str, object]:
        """The API's form of the error."""
        item = {"domain": "global", "reason": self.reason, "message": self.message}
        return {"error": {"code": self.status, "message": self.message, "errors": [item]}}


def invalid(message: str) -> StorageError:
    return StorageError(400, "invalid", message)


def forbidden(message: str) -> StorageError:
    return StorageError(403, "forbidden", message)


def no_bucket(name: str) -> StorageError:
    return StorageError(404, "notFound", f"The specified bucket does not exist: {name}")


def no_object(bucket: str, name: str) -> StorageError:
    return StorageError(404, "notFound", f"No such object: {bucket}/{name}")


def conflict(message: str) -> StorageError:
    return StorageError(409, "conflict", message)


def not_modified() -> StorageError:
    return StorageError(304, "notModified", "Not modified")


def condition_failed() -> StorageError:
    message = "At least one of the pre-conditions you specified did not hold."
    return StorageError(412, "conditionNotMet", message)


def unimplemented(what: str, instead: str | None = None) -> StorageError:
    """What Cloud Storage can do and this cannot. `instead` says what to do about it."""
    rest = f"; {instead}." if instead else "."
    return StorageError(501, "notImplemented", f"UNIMPLEMENTED: {what} is not emulated locally{rest}")


def from_os(error: OSError) -> StorageError:
    """The error of a file operation, without the paths of this machine."""
    if error.errno in _NO_SPACE:
        message = f"The disk that holds the bucket is full ({error.strerror}); what was stored before is unchanged."
        return StorageError(507, "insufficientStorage", message)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return forbidden(f"The bucket's folder on this machine does not allow it ({error.strerror}).")
    if error.errno == errno.ENAMETOOLONG:
        return invalid("The object's name is too long for a path on this machine.")
    return invalid(f"The file behind the object cannot be used: {error.strerror}.")
