"""Cloud Storage on this machine: a bucket is a folder, an object a file, behind the API of the real client."""

from localgcp.storage.errors import StorageError
from localgcp.storage.server import Server, start

__all__ = ["Server", "StorageError", "start"]
