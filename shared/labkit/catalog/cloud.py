"""Facts about Google Cloud that labs rely on, dated, from labs/blueprint/cloud.toml."""

from __future__ import annotations

import tomllib
from functools import cache

from pydantic import BaseModel, ConfigDict, Field

from labkit.catalog.places import labs_folder


class Service(BaseModel):
    """A service that a lab's card may name: what it is billed by and what a lab needs, as of `checked`.

    `apis` must be enabled in the project. Of the fields of a card's plan in `priced_by` one, at least, must be there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    title: str
    roles: tuple[str, ...]
    billed: str
    apis: tuple[str, ...] = ()
    priced_by: tuple[str, ...] = ()
    checked: str = Field(pattern=r"^\d{4}-\d{2}$")
    source: str


@cache
def read_services() -> dict[str, Service]:
    """The services by the name that cards use."""
    text = (labs_folder() / "blueprint" / "cloud.toml").read_text(encoding="utf-8")
    return {name: Service.model_validate(fields) for name, fields in tomllib.loads(text)["services"].items()}
