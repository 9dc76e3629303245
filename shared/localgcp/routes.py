"""Which function answers which path: the table behind a REST API."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Generic, TypeVar

Handler = TypeVar("Handler")


class Routes(Generic[Handler]):
    """Handlers by HTTP method and a path like /projects/{project}/datasets."""

    def __init__(self) -> None:
        self._routes: list[tuple[str, re.Pattern[str], Handler]] = []

    def __call__(self, method: str, template: str) -> Callable[[Handler], Handler]:
        """Registers a handler, as a decorator. A name in braces stands for a part of the path without "/"."""
        pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template) + r"\Z")

        def register(handler: Handler) -> Handler:
            self._routes.append((method, pattern, handler))
            return handler

        return register

    def find(self, method: str, path: str) -> tuple[Handler, dict[str, str]] | None:
        """The first handler whose path this is, with the parts that its names stand for; None when there is none."""
        for known, pattern, handler in self._routes:
            if known == method and (found := pattern.match(path)):
                return handler, found.groupdict()
        return None
