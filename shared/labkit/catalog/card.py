"""A lab's card, lab.toml, as a typed model."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from labkit.catalog.problems import Problem

Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Sentence = Annotated[str, Field(min_length=10, max_length=160)]


class Machines(BaseModel):
    """Machines of one kind that a run of the lab uses at most: `count` of them, each for `hours`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    use: Literal["training", "endpoint", "batch"]
    machine: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    hours: float = Field(gt=0, le=100)
    count: int = Field(default=1, ge=1, le=100)
    accelerator: str = ""
    accelerators: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _accelerators(self) -> Machines:
        if bool(self.accelerator) != bool(self.accelerators):
            raise ValueError("`accelerator` and `accelerators` belong together")
        return self


Amount = Annotated[float, Field(ge=0)]


class Cloud(BaseModel):
    """What the lab uses on Google Cloud, and the most that one run of it can cost.

    The amounts are upper bounds for one run: GiB that queries and CREATE MODEL of built-in models read, slot-hours of a
    reservation, GiB kept for a month in the bucket, in ML Metadata and in TensorBoard, GiB analysed by a monitoring
    job. `unpriced` says what is billed and has no published price.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    services: tuple[str, ...] = Field(min_length=1)
    max_cost_usd: float = Field(ge=0, le=50)
    machines: tuple[Machines, ...] = ()
    bigquery_gib: Amount = 0
    create_model_gib: Amount = 0
    slot_hours: Amount = 0
    storage_gib: Amount = 0
    metadata_gib: Amount = 0
    tensorboard_gib: Amount = 0
    monitored_gib: Amount = 0
    pipeline_runs: int = Field(default=0, ge=0)
    unpriced: tuple[Sentence, ...] = ()

    @property
    def uses_vertex(self) -> bool:
        """Whether a service of Vertex AI is among those it names."""
        return any(name.startswith("vertex-") for name in self.services)


class Card(BaseModel):
    """lab.toml."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: Sentence
    section: int = Field(ge=1, le=6)
    topics: tuple[Annotated[str, Field(pattern=r"^[TN]\d+$")], ...] = Field(min_length=1)
    objectives: tuple[Sentence, ...] = Field(min_length=2, max_length=5)
    minutes: int = Field(ge=5, le=180)
    environment: str
    prerequisites: tuple[Slug, ...] = ()
    data: tuple[str, ...] = ()
    # What it measures is time: where labs run side by side, nothing runs beside this one.
    alone: bool = False
    cloud: Cloud
    ablation: dict[str, bool | int | float | str] = Field(min_length=1)


def read_card(path: Path) -> Card | list[Problem]:
    """The card, or every rule that it violates."""
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return [Problem("C001", path, "there is no card", "Write lab.toml; labs/AUTHORING.md has the fields.")]
    except tomllib.TOMLDecodeError as error:
        return [Problem("C001", path, f"not TOML: {error}", "Mend the syntax.")]
    try:
        return Card.model_validate(fields)
    except ValidationError as error:
        return [_problem(path, found) for found in error.errors()]


def _problem(path: Path, found: Any) -> Problem:
    field = ".".join(str(part) for part in found["loc"])
    known = ", ".join(Card.model_fields)
    mend = f"Fields are: {known}." if found["type"] == "extra_forbidden" else "labs/AUTHORING.md shows the form."
    return Problem("C002", path, f"field `{field}`: {found['msg'].lower()}", mend)
