"""Where Cloud Storage lies on this machine: gs://bucket/object and /gcs/bucket/object are files below one folder."""

from __future__ import annotations

import re
from pathlib import Path

from localgcp.vertex.errors import invalid

_URI = re.compile(r"(?:gs://|/gcs/)([^/]+)(?:/(.*))?\Z", re.S)
# Only where a path begins: not in "data/gcs/x".
_MOUNT = re.compile(r"(?<![\w./-])/gcs/(?=[a-z0-9])")


class Places:
    """The buckets of a folder, each a folder in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def local(self, uri: str) -> Path:
        """The path of a gs:// URI or /gcs/ path. Raises VertexError for another text, or one that leaves the bucket."""
        found = _URI.match(uri)
        if found is None:
            raise invalid(f"'{uri}' is no Cloud Storage URI; it begins with gs://.")
        parts = [part for part in (found[2] or "").split("/") if part]
        if found[1] in (".", "..") or any(part in (".", "..") for part in parts):
            raise invalid(f"'{uri}' has a part that is '.' or '..', which no object's name has here.")
        return self.folder.joinpath(found[1], *parts)

    def bucket(self, uri: str) -> Path:
        """The folder of the bucket of a URI."""
        return self.folder / self.local(uri).relative_to(self.folder).parts[0]

    def mounted(self, text: str) -> str:
        """A text with every /gcs/… in it as the local path: what Cloud Storage FUSE does for a training container."""
        return _MOUNT.sub(f"{self.folder}/".replace("\\", "\\\\"), text)
