"""What a lab asks of Vertex AI, without what differs from run to run: it is compared with the lab's requests.json."""

from __future__ import annotations

import json
import re
import threading
from hashlib import sha256
from typing import Any

# Changes of resources; what only reads, and the data of predictions and of time series, differs from run to run.
_VERBS = re.compile(
    r"\.(Create|BatchCreate|Update|Delete|Upload|Deploy|Undeploy|Mutate|Cancel|Pause|Resume|Import|Export|Merge|Copy|"
    r"Add|Remove|Purge)"
)
# Labels that say which run made something.
_RUN_LABELS = ("run", "expires")
# Where a lab writes what it has measured.
_MEASURED = ("metadata", "metrics")
_LONG = 400
_TIMES = (
    (re.compile(r"\d{4}-\d\d-\d\d[T _-]?\d\d[:-]?\d\d[:-]?\d\d(\.\d+)?Z?"), "TIME"),
    (re.compile(r"\b\d{14}\b"), "TIME"),
)
_VOLATILE = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "ID"),
    *_TIMES,
    (re.compile(r"\b[0-9a-f]{16,}\b"), "ID"),
    (re.compile(r"\b\d{8,}\b"), "ID"),
    (re.compile(r"(?<![\w.-])-?\d+\.\d+(e[+-]?\d+)?(?![\w.-])"), "NUMBER"),
)


class Recorder:
    """Notes requests as they arrive, in any thread."""

    def __init__(self, project: str, bucket: str, seed: int | None = None) -> None:
        """`bucket` is the bucket's name; `seed` is what the lab was opened with: a request may carry it."""
        self._own = tuple(
            (re.compile(rf"(?<![\w-]){re.escape(own)}(?![\w-])"), name)
            for own, name in ((bucket, "BUCKET"), (project, "PROJECT"))
        )
        self._seed = seed
        # Only where it is called so: 7 is also the number of a version or of replicas.
        self._seed_text = re.compile(rf"(seed\W{{0,3}}){seed}(?!\d)", re.IGNORECASE) if seed is not None else None
        self._lock = threading.Lock()
        self._noted: list[str] = []

    def note(self, method: str, message: Any) -> None:
        """Keeps a request, "EndpointService.CreateEndpoint" and its message, if it changes something."""
        if not _VERBS.search(method):
            return
        from google.protobuf.json_format import MessageToDict

        request = self._plain(MessageToDict(message))
        line = json.dumps({"method": method, "request": request}, sort_keys=True, ensure_ascii=False)
        with self._lock:
            self._noted.append(line)

    @property
    def requests(self) -> list[str]:
        """What has been noted so far, in its order, each as a line of JSON."""
        with self._lock:
            return list(self._noted)

    def _plain(self, value: Any, key: str = "", measured: bool = False) -> Any:
        measured = measured or key in _MEASURED
        if key == "pipelineSpec":
            return self._digest(value)
        if isinstance(value, dict):
            return self._mapping(value, key, measured)
        if isinstance(value, list):
            return [self._plain(item, key, measured) for item in value]
        if isinstance(value, str):
            return self._text(value)
        if "seed" in key.lower() and value == self._seed and not isinstance(value, bool):
            return "SEED"
        return "NUMBER" if isinstance(value, float) and measured else value

    def _mapping(self, value: dict[str, Any], key: str, measured: bool) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for name, item in value.items():
            if not (key == "labels" and name in _RUN_LABELS):
                kept.setdefault(self._text(name), []).append(self._plain(item, name, measured))
        # Keys that are ids, as in a traffic split, may become one; their values have no order then.
        return {name: found[0] if len(found) == 1 else sorted(found, key=str) for name, found in kept.items()}

    def _digest(self, pipeline: dict[str, Any]) -> dict[str, Any]:
        """A compiled pipeline, of which each run sends the whole: what it is made of, and a hash of its text."""
        text = self._unowned(json.dumps(pipeline, sort_keys=True, ensure_ascii=False))
        for pattern, name in _TIMES:  # the SDK adds the moment to the pipeline's name
            text = pattern.sub(name, text)
        return {"components": sorted(pipeline.get("components", {})), "sha256": sha256(text.encode()).hexdigest()}

    def _unowned(self, text: str) -> str:
        for own, name in self._own:
            text = own.sub(name, text)
        return text if self._seed_text is None else self._seed_text.sub(r"\1SEED", text)

    def _text(self, text: str) -> str:
        if len(text) > _LONG:
            return "LONG TEXT"
        text = self._unowned(text)
        for pattern, name in _VOLATILE:
            text = pattern.sub(name, text)
        return text


def distinct(requests: list[str]) -> list[Any]:
    """The different requests among some, sorted: threads have no order, and a loop's length may depend on the seed."""
    return [json.loads(line) for line in sorted(set(requests))]
