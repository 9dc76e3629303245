"""Resources by name, each in a JSON file of its own that is replaced at once."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from google.protobuf import descriptor_pool, json_format
from google.protobuf.message_factory import GetMessageClass

from localgcp.vertex import surface
from localgcp.vertex.errors import already_exists, not_found
from localgcp.vertex.messages import Message, copied, full_name, raw, wrapped


class Store:
    """The resources below a folder. What goes in and comes out is a copy.

    Raises RuntimeError when another server has the folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "resources"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock_file = _locked(folder)
        self.lock = threading.RLock()
        self._resources: dict[str, Message] = dict(self._read())

    def close(self) -> None:
        """Gives the folder free. A second call does nothing."""
        self._lock_file.close()

    def get(self, name: str) -> Message:
        """Raises VertexError when there is none."""
        with self.lock:
            if name not in self._resources:
                raise not_found(name)
            return copied(self._resources[name])

    def find(self, name: str) -> Message | None:
        with self.lock:
            return copied(self._resources[name]) if name in self._resources else None

    def add(self, name: str, resource: Message) -> None:
        """Raises VertexError when there is one of that name."""
        with self.lock:
            if name in self._resources:
                raise already_exists(name)
            self.put(name, resource)

    def put(self, name: str, resource: Message) -> None:
        with self.lock:
            self._write(name, resource)
            self._resources[name] = copied(resource)

    def change(self, name: str, change: Callable[[Message], None]) -> Message:
        """Reads, changes and writes without anyone in between; gives the new resource. Raises VertexError."""
        with self.lock:
            resource = self.get(name)
            change(resource)
            self.put(name, resource)
            return resource

    def delete(self, name: str) -> None:
        """Removes a resource and what lies below it. Raises VertexError when there is none."""
        with self.lock:
            if name not in self._resources:
                raise not_found(name)
            for inner in [key for key in self._resources if key == name or key.startswith(f"{name}/")]:
                self._path(inner).unlink(missing_ok=True)
                del self._resources[inner]

    def children(self, parent: str, collection: str) -> list[Message]:
        """The resources right below a parent; a part of the parent that is "-" stands for any. They are not copied."""
        wanted = [*parent.split("/"), collection]
        with self.lock:
            return [item for name, item in self._resources.items() if _is_child(name.split("/"), wanted)]

    def of(self, message_class: Any) -> list[Message]:
        """Every resource of a class."""
        with self.lock:
            return [copied(item) for item in self._resources.values() if isinstance(item, message_class)]

    def _path(self, name: str) -> Path:
        *folders, last = (quote(part, safe="") for part in name.split("/"))
        return self._folder.joinpath(*folders, f"{last}.json")

    def _write(self, name: str, resource: Message) -> None:
        plain = raw(resource)
        body = {"type": full_name(resource), "resource": json_format.MessageToDict(plain)}
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(path.name + ".draft")
        draft.write_text(json.dumps(body, indent=1, ensure_ascii=False), encoding="utf-8")
        os.replace(draft, path)

    def _read(self) -> Iterator[tuple[str, Message]]:
        for draft in self._folder.rglob("*.draft"):
            draft.unlink()  # of a server that was killed while it wrote
        for path in sorted(self._folder.rglob("*.json")):
            parts = path.relative_to(self._folder).parts
            name = "/".join(unquote(part) for part in (*parts[:-1], parts[-1].removesuffix(".json")))
            yield name, _parsed(path)


def _parsed(path: Path) -> Message:
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        plain = _class(body["type"])()
        json_format.ParseDict(body["resource"], plain)
    except (ValueError, KeyError, json_format.ParseError) as error:
        raise RuntimeError(
            f"{path.name}: no resource that this version can read ({error}); delete the file, or the state's folder"
        ) from error
    return wrapped(plain)


def _class(name: str) -> Any:
    found = surface.message_class(name)
    if found is not None:
        return found.pb()
    return GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))


def _is_child(name: list[str], wanted: list[str]) -> bool:
    if len(name) != len(wanted) + 1:
        return False
    return all(want in ("-", part) for part, want in zip(name, wanted))


def _locked(folder: Path) -> Any:
    """The lock lies on the file handle: it goes with the process, however that ends."""
    handle = (folder / "lock").open("w")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise RuntimeError(
            f"{folder.name}: another server has this folder open; stop it or use another folder"
        ) from None
    return handle
