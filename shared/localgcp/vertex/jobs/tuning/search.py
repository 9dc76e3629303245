"""The search over a study's parameters, in a process of its own: Vizier with JAX is large and slow to import."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from google.cloud.aiplatform_v1.types import StudySpec

from localgcp.vertex.errors import VertexError, unimplemented
from localgcp.vertex.messages import Message, raw

_PROGRAM = Path(__file__).with_name("suggester.py")
_SCALES = {
    "UNIT_LINEAR_SCALE": "LINEAR", "UNIT_LOG_SCALE": "LOG", "UNIT_REVERSE_LOG_SCALE": "REVERSE_LOG",
}  # fmt: skip

# A parameter's value: a number, or the text of a category.
Value = float | int | str
# A trial for the search: its parameters, and its objective; None when it is infeasible or not known yet.
Known = tuple[dict[str, Value], float | None]


class SearchEnded(Exception):
    """The process has been ended, by `Search.kill` or from outside."""


def require_vizier() -> None:
    """Raises VertexError where Vizier is not installed."""
    if importlib.util.find_spec("vizier") is None:
        what = "HyperparameterTuningJob needs OSS Vizier, which this environment does not have; without it, it"
        raise unimplemented(what, 'use the environment vizier, or run with TARGET="vertex"')


class Search:
    """A search process. A context manager: the process ends with the block. `kill` may come from another thread."""

    def __init__(self, spec: Message, name: str, log: Path) -> None:
        self._problem = _problem(spec, name)
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, str(_PROGRAM)],
                env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONWARNINGS": "ignore"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )

    def __enter__(self) -> Search:
        self._send(self._problem)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    pass  # what was still to be sent has nobody to read it

    def suggest(self, completed: Iterable[Known], pending: Iterable[dict[str, Value]]) -> dict[str, Value] | None:
        """The parameters of the next trial; None when the space is exhausted.

        Raises SearchEnded when the process is gone, and VertexError (INTERNAL) when the search has failed.
        """
        self._send({"completed": [list(trial) for trial in completed], "pending": list(pending)})
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SearchEnded
        answer = json.loads(line)
        if "error" in answer:
            raise VertexError("INTERNAL", f"OSS Vizier has failed: {answer['error']}. See {self._log.name}.")
        found: dict[str, Value] | None = answer["parameters"]
        return found

    def kill(self) -> None:
        self._process.kill()

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise SearchEnded from None


def _problem(spec: Message, name: str) -> dict[str, Any]:
    """What suggester.py reads first. The same study under the same display name is searched in the same way again."""
    content = raw(spec).SerializeToString(deterministic=True) + name.encode()
    return {
        "algorithm": StudySpec.Algorithm(spec.algorithm).name,
        "maximize": spec.metrics[0].goal == StudySpec.MetricSpec.GoalType.MAXIMIZE,
        "parameters": [_parameter(parameter) for parameter in spec.parameters],
        "seed": zlib.crc32(content),
    }


def _parameter(parameter: Message) -> dict[str, Any]:
    kind = str(raw(parameter).WhichOneof("parameter_value_spec"))
    given = getattr(parameter, kind)
    found: dict[str, Any] = {"id": parameter.parameter_id, "kind": kind.removesuffix("_value_spec")}
    found["scale"] = _SCALES.get(parameter.scale_type.name)
    if found["kind"] in ("double", "integer"):
        return found | {"min": given.min_value, "max": given.max_value}
    return found | {"values": list(given.values)}
