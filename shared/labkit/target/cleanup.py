"""Deletes what labs have created, by label and in dependency order; a step that fails does not stop the others."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from labkit.catalog import LabError
from labkit.catalog.card import Cloud
from labkit.catalog.collection import lab_folders
from labkit.target.cloud import VertexTarget
from labkit.target.created import SECONDS, Item, Place, Scope, gone, steps
from labkit.target.local import LocalTarget

IMPATIENT = 5.0  # seconds for a job that could not even be cancelled: it may have ended on its own


@dataclass(repr=False)
class Report:
    """What a clean-up found, deleted and left; `left` maps what is still there to the reason."""

    found: list[Item]
    deleted: list[Item] = field(default_factory=list)
    left: dict[Item, str] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    dry: bool = True

    def __repr__(self) -> str:
        # What a notebook shows under a cell that ends with lab.cleanup(), which has printed the lines.
        return f"<clean-up: {len(self.found)} found, {len(self.deleted)} deleted, {len(self.left)} left>"

    @property
    def clean(self) -> bool:
        """Whether everything could be looked at and, after a deletion, nothing is left."""
        return not self.unread and not self.left

    def lines(self) -> list[str]:
        """The report as text."""
        verb, items = ("would delete", self.found) if self.dry else ("deleted", self.deleted)
        lines = [f"{verb}: {item}" for item in items]
        lines += [f"left: {item}: {why}" for item, why in self.left.items()]
        lines += [f"could not be listed: {what}" for what in self.unread]
        if not self.clean:
            lines.append("Run it again: it goes on with what is left.")
        return lines or ["nothing is there"]


def survey(place: Place, scope: Scope) -> Report:
    """What would be deleted, in the order of deletion. Changes nothing."""
    report = Report([])
    for step in steps(place, scope):
        try:
            report.found += step.find()
        except Exception as error:
            if not _none(error):
                report.unread.append(f"{step.title} ({_reason(error)})")
    return report


def clean(place: Place, scope: Scope) -> Report:
    """Deletes what a survey finds, then looks again: what is still there is left."""
    found = survey(place, scope).found
    runs_on = {item.name: _failure(item.stop) for item in found if item.stop is not None}
    failed: dict[str, str] = {}
    for item in found:
        uncancelled = runs_on.get(item.name, "")
        why = _failure(partial(item.delete, IMPATIENT if uncancelled else SECONDS))
        if why:
            failed[item.name] = uncancelled or why
    again = survey(place, scope)
    still = {item.name for item in again.found}
    left = {item: failed.get(item.name, "is still there") for item in again.found}
    if again.unread:  # what could not be deleted may be among what cannot be listed
        left |= {item: failed[item.name] for item in found if item.name in failed.keys() - still}
    deleted = [item for item in found if item.name not in still and item.name not in failed]
    return Report(found, deleted, left, again.unread, dry=False)


def _failure(action: Callable[[], None]) -> str:
    """Runs it; the reason why it failed, empty when it went well or there was nothing left to do."""
    try:
        action()
    except Exception as error:
        return "" if gone(error) else _reason(error)
    return ""


def _none(error: Exception) -> bool:
    """Whether there can be nothing: ML Metadata that was never used, a resource that is not emulated locally."""
    from google.api_core.exceptions import MethodNotImplemented

    return gone(error) or isinstance(error, MethodNotImplemented)


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def place_of(target: Any, services: tuple[str, ...], slug: str) -> Place:
    """The place of a lesson's target; only the parts that `services` of the lab's card name are started for it."""
    on_vertex = any(service.startswith("vertex-") for service in services)
    with_bucket, with_bigquery = on_vertex or "storage" in services, "bigquery" in services
    # Not a rehearsal of it, which sends to this machine what it hands out.
    if type(target) is VertexTarget:
        connection = _connection(target)
        bigquery, storage = target.bigquery_client, target.storage_client
    else:
        connection = target.vertex if on_vertex else {"project": "", "location": ""}
        # What is asked for a client with the lab's dataset makes it again.
        local = isinstance(target, LocalTarget)
        bigquery, storage = cache(target.bigquery_client if local else target.bigquery), target.storage
    return Place(
        connection["project"],
        connection["location"],
        _generated(connection) if on_vertex else None,
        bigquery if with_bigquery else None,
        storage if with_bucket else None,
        target.bucket.removeprefix("gs://") if with_bucket else "",
        (f"{slug}/",),
    )


def place_of_project(project: str, location: str, bucket: str, lab: str) -> Place:
    """A project on Google Cloud with everything that labs can create there.

    What is empty comes from the environment; without a bucket, `gs://…`, no objects are looked at. Raises LabError
    without credentials or project.
    """
    given = {"LABS_PROJECT": project, "LABS_LOCATION": location, "LABS_BUCKET": bucket}
    environ = dict(os.environ) | {name: value for name, value in given.items() if value}
    target = VertexTarget(lab or "labs", Cloud(services=("storage",), max_cost_usd=0), environ=environ)
    settings = target.settings
    if not settings.project:
        raise LabError("no project: name one with --project.")
    if environ.get("LABS_BUCKET") and not settings.bucket:
        raise LabError("; ".join(settings.wrong))
    slugs = [lab] if lab else [folder.name for folder in lab_folders()]
    return Place(
        settings.project,
        settings.location,
        _generated(_connection(target)),
        target.bigquery_client,
        target.storage_client if settings.bucket else None,
        settings.bucket,
        tuple(f"{slug}/" for slug in slugs),
    )


def _connection(target: VertexTarget) -> dict[str, Any]:
    """What clients need, without the checks before a lab: clean-up must work where a lab may not be started."""
    settings = target.settings
    return {"project": settings.project, "location": settings.location, "credentials": target.credentials()}


def _generated(connection: dict[str, Any]) -> Callable[[Any], Any]:
    """Makes a client of a generated class, such as EndpointServiceClient."""
    endpoint = connection.get("api_endpoint") or f"{connection['location']}-aiplatform.googleapis.com"
    transport = connection.get("api_transport") or "grpc"
    credentials = connection["credentials"]
    return lambda kind: kind(credentials=credentials, transport=transport, client_options={"api_endpoint": endpoint})
