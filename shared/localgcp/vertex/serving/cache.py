"""Which models are loaded: each version once, each custom container once per deployment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from localgcp.vertex.core import Core
from localgcp.vertex.errors import precondition, unimplemented
from localgcp.vertex.messages import Message, raw
from localgcp.vertex.places import Places
from localgcp.vertex.serving import images
from localgcp.vertex.serving.arrays import Sklearn, Xgboost
from localgcp.vertex.serving.container import Container, Place
from localgcp.vertex.serving.predictor import Predictor
from localgcp.vertex.serving.saved_model import SavedModel

_PREBUILT: dict[str, Callable[[images.Image, Path], Predictor]] = {
    "sklearn": Sklearn,
    "xgboost": Xgboost,
    "tf": SavedModel,
    "tf2": SavedModel,
}


@dataclass
class _Slot:
    """A model that is loaded, or is just being loaded by whoever holds the lock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    predictor: Predictor | None = None


class Serving:
    """The loaded models of a server."""

    def __init__(self, core: Core) -> None:
        self._core, self._places = core, Places(core.buckets)
        self._lock = threading.Lock()
        self._slots: dict[tuple[str, ...], _Slot] = {}
        self._stopped = False

    def load(self, model: Message, place: Place | None = None) -> Predictor:
        """The predictor of a model version, loaded at the first call. Raises VertexError when it cannot be served.

        `place` says where a custom container is deployed: each deployment has a process of its own.
        """
        key = _key(model, place)
        with self._lock:
            if self._stopped:
                raise precondition("The local server is stopping.")
            slot = self._slots.setdefault(key, _Slot())
        with slot.lock:
            if slot.predictor is None:
                slot.predictor = self._new(model, place or Place())
            return slot.predictor

    def release(self, model: Message, place: Place | None = None) -> None:
        """Frees a model that nobody asks any more. A later `load` loads it again."""
        with self._lock:
            slot = self._slots.pop(_key(model, place), None)
        _close(slot)

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            slots = list(self._slots.values())
            self._slots.clear()
        for slot in slots:
            _close(slot)

    def log(self, model: Message, place: Place) -> Path:
        """The file with what a custom container has written."""
        name = place.deployed_model or model.name.rpartition("/")[2]
        return self._core.folder / "logs" / "serving" / f"{name}.log"

    def _new(self, model: Message, place: Place) -> Predictor:
        spec = model.container_spec
        folder = self._folder(model)
        if spec.command:
            work = self._core.folder / "work" / "serving"
            return Container(model, place, folder, self.log(model, place), work, self._core.reached)
        if not spec.image_uri:
            raise unimplemented(f"Serving the model '{model.display_name}', which has no container_spec,")
        if not images.is_prebuilt(spec.image_uri):
            what = f"The entry point of the image '{spec.image_uri}'"
            raise unimplemented(what, 'give serving_container_command, or run with TARGET="vertex"')
        image = images.prebuilt(spec.image_uri)
        if folder is None:
            raise precondition(f"The model '{model.display_name}' has no artifact_uri, which a prebuilt image needs.")
        return _PREBUILT[image.framework](image, folder)

    def _folder(self, model: Message) -> Path | None:
        if not model.artifact_uri:
            return None
        folder = self._places.local(model.artifact_uri)
        if not folder.is_dir():
            raise precondition(
                f"The artifact_uri '{model.artifact_uri}' of the model '{model.display_name}' is no folder of a bucket."
            )
        return folder


def is_container(model: Message) -> bool:
    """Whether each deployment of the model has a process of its own."""
    return bool(raw(model).container_spec.command)


def _key(model: Message, place: Place | None) -> tuple[str, ...]:
    # A version's number comes again when a model is deleted and uploaded anew under the same id.
    plain = raw(model)
    made = plain.version_create_time
    key = (plain.name.partition("@")[0], plain.version_id, f"{made.seconds}.{made.nanos}")
    if is_container(model) and place is not None:
        return (*key, place.endpoint, place.deployed_model)
    return key


def _close(slot: _Slot | None) -> None:
    if slot is None:
        return
    with slot.lock:
        if slot.predictor is not None:
            slot.predictor.close()
            slot.predictor = None
