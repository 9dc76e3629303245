"""A custom container: the command of its spec as a local process, asked over HTTP under the AIP_* contract."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from localgcp.loopback import HOST
from localgcp.vertex.errors import VertexError, invalid, precondition
from localgcp.vertex.jobs import environment
from localgcp.vertex.jobs.replica import Replica
from localgcp.vertex.messages import Message, new_id, raw
from localgcp.vertex.serving.predictor import JSON, Answer, Predictor

# The service waits for a container for many minutes, a program on this machine has no image to pull.
_READY_SECONDS = 60.0
_POLL_SECONDS = 0.05
_GONE_SECONDS = 2.0
# The service's own limit for a prediction.
_ANSWER_SECONDS = 60.0
_CONNECTIONS = 64
_REFERENCE = re.compile(r"\$(\$)?\(([A-Za-z_][A-Za-z0-9_]*)\)")


@dataclass(frozen=True)
class Place:
    """Where a container is deployed: the ids of the endpoint and the deployed model, and the machine type."""

    endpoint: str = ""
    deployed_model: str = ""
    machine_type: str = ""


class Container(Predictor):
    """A running server program. It starts again when it has ended by itself."""

    def __init__(
        self, model: Message, place: Place, artifacts: Path | None, log: Path, work: Path, reached: dict[str, str]
    ) -> None:
        """Starts the program and waits until it is healthy. Raises VertexError with the log's tail if it is not."""
        self._spec, self._lock, self._closed = model.container_spec, threading.Lock(), False
        self._work = work / new_id()
        self._port = _free_port()
        route = f"/v1/endpoints/{place.endpoint}/deployedModels/{place.deployed_model}"
        self._health = self._spec.health_route or route
        self._predict = self._spec.predict_route or f"{route}:predict"
        variables = self._variables(model, place, artifacts) | environment.sdk(reached)
        command = [_expanded(part, variables) for part in (*self._spec.command, *self._spec.args)]
        log.unlink(missing_ok=True)
        self._process = Replica("container", command, variables, self._work, log)
        self._http = urllib3.HTTPConnectionPool(HOST, self._port, maxsize=_CONNECTIONS, retries=False)
        self._start()

    def predict(self, instances: list[Any], parameters: Any = None) -> list[Any]:
        body = {"instances": instances} | ({"parameters": parameters} if parameters is not None else {})
        answer = self.raw(json.dumps(body).encode(), JSON)
        try:
            predictions = json.loads(answer.body)["predictions"]
        except (ValueError, KeyError, TypeError):
            text = answer.body[:200].decode(errors="replace")
            raise precondition(f'The container\'s answer is no JSON object with "predictions": {text}') from None
        if not isinstance(predictions, list):
            raise precondition('The "predictions" of the container\'s answer are no list.')
        return predictions

    def raw(self, body: bytes, content_type: str) -> Answer:
        headers = {"Content-Type": content_type or JSON}
        response = self._send(body, headers)
        if response.status >= 400:
            raise _refused(response.status, response.data)
        return Answer(response.data, response.headers.get("Content-Type", JSON))

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._end()
        self._http.close()

    def _send(self, body: bytes, headers: Mapping[str, str], again: bool = True) -> Any:
        if self._process.status is not None:
            self._restart()
        try:
            return self._ask(body, headers)
        except urllib3.exceptions.NewConnectionError as error:
            # Nobody listens, so that nobody has got the request: it can be sent again.
            self._wait_for_end()
            if again:
                return self._send(body, headers, again=False)
            raise self._broken("refuses connections", error) from None
        except urllib3.exceptions.TimeoutError:
            text = f"The container has not answered within {_ANSWER_SECONDS:g} s."
            raise VertexError("DEADLINE_EXCEEDED", text) from None
        except urllib3.exceptions.HTTPError as error:
            # The request may have reached the program: it is not sent again.
            self._wait_for_end()
            raise self._broken("has broken off the request", error) from None

    def _broken(self, how: str, error: Exception) -> VertexError:
        return precondition(f"The container {how} ({type(error).__name__}).\n{self._process.tail()}".strip())

    def _ask(self, body: bytes, headers: Mapping[str, str]) -> Any:
        return self._http.request("POST", self._predict, body=body, headers=headers, timeout=_ANSWER_SECONDS)

    def _wait_for_end(self) -> None:
        """A program that has just gone is seen a moment later: its guard has to end, too."""
        end = time.monotonic() + _GONE_SECONDS
        while self._process.status is None and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)

    def _restart(self) -> None:
        with self._lock:
            if self._closed:
                raise precondition("The model has been undeployed.")
            if self._process.status is not None:
                self._process.note("the program has ended; it is started again")
                self._start()

    def _start(self) -> None:
        self._process.start()
        limit = raw(self._spec).deployment_timeout.ToTimedelta().total_seconds() or _READY_SECONDS
        end = time.monotonic() + limit
        while time.monotonic() < end:
            if self._process.status is not None:
                raise self._unhealthy(f"has exited with the status {self._process.status}")
            if self._is_healthy():
                return
            time.sleep(_POLL_SECONDS)
        self._end()
        raise self._unhealthy(f"has not answered {self._health} with 200 within {limit:g} s")

    def _end(self) -> None:
        self._process.end()
        self._process.wait()
        shutil.rmtree(self._work, ignore_errors=True)

    def _is_healthy(self) -> bool:
        try:
            return bool(self._http.request("GET", self._health, timeout=2.0).status == 200)
        except urllib3.exceptions.HTTPError:
            return False

    def _unhealthy(self, why: str) -> VertexError:
        return precondition(f"Model server never became ready: the container {why}.\n{self._process.tail()}".strip())

    def _variables(self, model: Message, place: Place, artifacts: Path | None) -> dict[str, str]:
        """The AIP_* variables, and those of the spec, which may refer to what comes before them."""
        _, project, _, _, _, identifier = model.name.partition("@")[0].split("/")
        found = dict(os.environ)
        # The interpreter's folder first: "python" in a command is the one that has the labs' packages.
        found["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), found.get("PATH", os.defpath)])
        found |= {"PYTHONUNBUFFERED": "1", "CLOUD_ML_PROJECT_ID": project, "CLOUD_ML_REGION": model.name.split("/")[3]}
        known = [found["PYTHONPATH"]] if found.get("PYTHONPATH") else []
        found["PYTHONPATH"] = os.pathsep.join([str(environment.INSIDE), *known])
        found |= {
            "AIP_MODE": "PREDICTION",
            "AIP_MODE_VERSION": "1.0.0",
            "AIP_FRAMEWORK": "CUSTOM_CONTAINER",
            "AIP_HTTP_PORT": str(self._port),
            "AIP_HEALTH_ROUTE": self._health,
            "AIP_PREDICT_ROUTE": self._predict,
            "AIP_STORAGE_URI": str(artifacts or ""),
            "AIP_ENDPOINT_ID": place.endpoint,
            "AIP_DEPLOYED_MODEL_ID": place.deployed_model,
            "AIP_MACHINE_TYPE": place.machine_type,
            "AIP_PROJECT_NUMBER": project,
            "AIP_MODEL_NAME": identifier,
            "AIP_VERSION_NAME": str(model.version_id),
        }
        for item in self._spec.env:
            found[item.name] = _expanded(item.value, found)
        return found


def _expanded(text: str, variables: Mapping[str, str]) -> str:
    """A text with $(NAME) replaced, as Kubernetes does: an unknown name stays, $$(NAME) is $(NAME)."""

    def replace(found: re.Match[str]) -> str:
        return f"$({found[2]})" if found[1] else variables.get(found[2], found[0])

    return _REFERENCE.sub(replace, text)


def _refused(status: int, body: bytes) -> VertexError:
    text = body.decode(errors="replace").strip() or f"The container has answered with the status {status}."
    return invalid(text) if status < 500 else VertexError("INTERNAL", text)


def _free_port() -> int:
    with socket.socket() as holder:
        holder.bind((HOST, 0))
        return int(holder.getsockname()[1])
