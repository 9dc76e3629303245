"""The dated table of list prices, labs/blueprint/prices.toml, and the upper bound of a lab's cost computed from it."""

from __future__ import annotations

import datetime
import tomllib
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from labkit.catalog.card import Cloud, Machines
from labkit.catalog.places import labs_folder
from labkit.catalog.problems import LabError

YEAR = datetime.timedelta(days=365)
# Field of a card's plan -> what one unit of it is.
AMOUNTS = {
    "bigquery_gib": "GiB read by queries",
    "create_model_gib": "GiB read by CREATE MODEL",
    "slot_hours": "slot-hours of a reservation",
    "storage_gib": "GiB-months in the bucket",
    "metadata_gib": "GiB-months of metadata",
    "tensorboard_gib": "GiB-months of TensorBoard logs",
    "monitored_gib": "GiB analysed by monitoring",
    "pipeline_runs": "pipeline runs",
}


class Source(BaseModel):
    """Where prices were read, and when."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    page: str
    seen: datetime.date
    note: str


class Row(BaseModel):
    """One price, in USD for one unit: an hour of a machine or accelerator, or the unit of an amount."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    what: str
    usd: float = Field(gt=0)
    source: str
    machine: str = ""
    accelerator: str = ""


class Prices(BaseModel):
    """The whole table. `margin` is multiplied to hours of machines, for what is billed beside them."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    region: str
    margin: float = Field(ge=1)
    sources: dict[str, Source]
    rows: tuple[Row, ...]

    def row(self, what: str, machine: str = "", accelerator: str = "") -> Row | None:
        """The price, or None when the table has none."""
        wanted = ("endpoint" if what == "batch" else what, machine, accelerator)
        return next((row for row in self.rows if (row.what, row.machine, row.accelerator) == wanted), None)

    def stale(self, today: datetime.date) -> list[str]:
        """Names of the sources that are older than a year."""
        return [name for name, source in self.sources.items() if today - source.seen > YEAR]


@dataclass(frozen=True)
class Line:
    """One line of the sum."""

    text: str
    usd: float


@dataclass(frozen=True)
class Bound:
    """The most that a run can cost by the table; `unpriced` is what is billed and has no price in it."""

    lines: tuple[Line, ...]
    unpriced: tuple[str, ...]

    @property
    def usd(self) -> float:
        return sum(line.usd for line in self.lines)

    def table(self) -> list[str]:
        """The sum, line by line."""
        width = max((len(line.text) for line in self.lines), default=3)
        rows = [f"{line.text:{width}}  {line.usd:8.4f} USD" for line in self.lines]
        rows.append(f"{'sum':{width}}  {self.usd:8.4f} USD")
        return rows + [f"without a price: {what}" for what in self.unpriced]


@cache
def read_prices() -> Prices:
    """The table. Raises LabError when a field or a source is missing."""
    path = labs_folder() / "blueprint" / "prices.toml"
    try:
        prices = Prices.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise LabError(f"{path}: no table of prices: {str(error).splitlines()[0]}. Mend the file.") from error
    unknown = {row.source for row in prices.rows} - set(prices.sources)
    if unknown:
        raise LabError(f"{path}: rows name the sources {', '.join(sorted(unknown))}, which are not there. Add them.")
    return prices


def upper_bound(plan: Cloud, prices: Prices | None = None) -> Bound:
    """The most that one run of a lab costs by its card's plan."""
    table = prices or read_prices()
    lines: list[Line] = []
    unpriced = list(plan.unpriced)
    for machines in plan.machines:
        for item, text in _hours(machines):
            row = table.row(machines.use, **item)
            hours = machines.count * machines.hours * (machines.accelerators if "accelerator" in item else 1)
            if row is None:
                unpriced.append(f"{text} for {machines.use}")
            else:
                lines.append(Line(f"{machines.use}: {hours:g} h of {text}", hours * row.usd * table.margin))
    for field, unit in AMOUNTS.items():
        amount = getattr(plan, field)
        if not amount:
            continue
        row = table.row(field)
        if row is None:
            unpriced.append(unit)
        else:
            lines.append(Line(f"{amount:g} {unit}", amount * row.usd))
    return Bound(tuple(lines), tuple(dict.fromkeys(unpriced)))


def _hours(machines: Machines) -> list[tuple[dict[str, Any], str]]:
    """What is paid by the hour: the machine, and its accelerators where it has some."""
    items: list[tuple[dict[str, Any], str]] = [({"machine": machines.machine}, machines.machine)]
    if machines.accelerator:
        items.append(({"accelerator": machines.accelerator}, machines.accelerator))
    return items


def missing_amounts(plan: Cloud, priced_by: tuple[str, ...]) -> bool:
    """Whether the plan says nothing about any of the fields that a service is billed by."""
    uses = {machines.use for machines in plan.machines}
    return bool(priced_by) and not any(field in uses or getattr(plan, field, 0) for field in priced_by)
