"""Runs first in every Python of a job: points the SDKs at the local servers, as they are at the services in a job.

On the service a trainer calls `aiplatform.init()` or `storage.Client()` and finds project, location and credentials
around it. This folder is on the job's PYTHONPATH only; it imports nothing of the SDKs by itself.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType


class _Changer(importlib.abc.MetaPathFinder):
    """Finds some modules as others do, and changes each once it has run."""

    def __init__(self, changes: dict[str, Callable[[ModuleType], None]]) -> None:
        self._changes = changes

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        change = self._changes.pop(name, None)
        if change is None:
            return None
        spec = importlib.util.find_spec(name)
        loader = spec.loader if spec is not None else None
        if loader is not None:
            execute = loader.exec_module

            def run(module: ModuleType) -> None:
                execute(module)
                change(module)

            loader.exec_module = run  # type: ignore[method-assign]
        return spec


def _answer_default(module: ModuleType) -> None:
    """google.auth.default() finds the credentials and the project of the job."""
    from google.auth.credentials import AnonymousCredentials

    def default(*args: object, **kwargs: object) -> tuple[AnonymousCredentials, str]:
        return AnonymousCredentials(), os.environ["CLOUD_ML_PROJECT_ID"]

    module.default = default  # type: ignore[attr-defined]


def _set_defaults(module: ModuleType) -> None:
    from google.auth.credentials import AnonymousCredentials

    endpoints = json.loads(os.environ["LOCALGCP_VERTEX"])
    config = module.global_config
    config._credentials = AnonymousCredentials()
    config._project = os.environ["CLOUD_ML_PROJECT_ID"]
    config._location = os.environ["CLOUD_ML_REGION"]
    # init() without a project changes the transport to REST: the endpoint must go with it.
    type(config).api_endpoint = property(lambda self: self._api_endpoint or endpoints[self._api_transport or "grpc"])


def _run_next() -> None:
    """Runs the sitecustomize of the environment, which this one hides."""
    here = os.path.dirname(os.path.abspath(__file__))
    others = [folder for folder in sys.path if os.path.abspath(folder or ".") != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


if "LOCALGCP_VERTEX" in os.environ:
    sys.meta_path.insert(
        0, _Changer({"google.cloud.aiplatform.initializer": _set_defaults, "google.auth._default": _answer_default})
    )
_run_next()
