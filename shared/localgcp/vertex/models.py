"""Models as records: training pipelines register them. Uploads, versions and evaluations are not emulated yet."""

from __future__ import annotations

from localgcp.vertex.core import Core
from localgcp.vertex.errors import not_found, unimplemented
from localgcp.vertex.generic import Resources
from localgcp.vertex.messages import Message, copied, now

_FIRST = "1"


class Models:
    """The model registry of a server."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._resources = Resources(core, "ModelService", "Model", verbs=("List", "Update", "Delete"))
        core.answers("ModelService.GetModel")(self.get)

    def get(self, request: Message) -> Message:
        """A model by its name, with "@" and a version or an alias behind it or not."""
        name, _, version = request.name.partition("@")
        model = self._core.store.get(name)
        if version and version != model.version_id and version not in model.version_aliases:
            raise not_found(request.name)
        return model

    def register(self, model: Message, identifier: str = "", parent_model: str = "") -> Message:
        """Adds the first version of a model. Raises VertexError for a version of a model that there is."""
        if parent_model:
            raise unimplemented("A further version of a model")
        model = copied(model)
        model.version_id, model.version_aliases = _FIRST, ["default"]
        model.version_create_time = model.version_update_time = now()
        return self._resources.add(self._core.parent, model, identifier)


def install(core: Core) -> None:
    core.parts["models"] = Models(core)
