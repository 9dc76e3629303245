"""Preconditions of a request: which generation and metageneration the object or bucket must have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from localgcp.storage.errors import condition_failed, invalid, not_modified


class Versioned(Protocol):
    @property
    def generation(self) -> int: ...

    @property
    def metageneration(self) -> int: ...


@dataclass(frozen=True)
class Conditions:
    """The four conditions; None where the request has not named one."""

    generation: int | None = None
    not_generation: int | None = None
    metageneration: int | None = None
    not_metageneration: int | None = None

    @classmethod
    def of(cls, query: Mapping[str, str], prefix: str = "if") -> Conditions:
        """From a request's parameters; `prefix` is "ifSource" for the source of a copy. Raises StorageError."""
        names = ("GenerationMatch", "GenerationNotMatch", "MetagenerationMatch", "MetagenerationNotMatch")
        return cls(*(number(query, prefix + name) for name in names))

    def check(self, current: Versioned | None, reading: bool = False) -> None:
        """Raises StorageError unless they hold; a missing object has generation 0."""
        found = current.generation if current else 0
        if self.generation is not None and found != self.generation:
            raise condition_failed()
        if self.metageneration is not None and (current is None or current.metageneration != self.metageneration):
            raise condition_failed()
        if self.not_generation is not None and found == self.not_generation:
            raise not_modified() if reading else condition_failed()
        if self.not_metageneration is not None and current and current.metageneration == self.not_metageneration:
            raise not_modified() if reading else condition_failed()


def number(query: Mapping[str, str], name: str) -> int | None:
    """A parameter that is an integer of at least 0. Raises StorageError for another."""
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise invalid(f"Invalid value for {name}: '{text}'. It takes an integer of at least 0.")
    return int(text)
