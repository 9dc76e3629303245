"""The table of prices, and the upper bound that is computed from it."""

from __future__ import annotations

import datetime
import tomllib
from pathlib import Path

import pytest
from labkit.catalog import LabError
from labkit.catalog.card import Cloud, Machines, read_card
from labkit.catalog.collection import lab_folders
from labkit.catalog.prices import AMOUNTS, read_prices, upper_bound

from ..conftest import ROOT, replace

MACHINES = ROOT / "shared" / "localgcp" / "vertex" / "machines.toml"
USES = {"training": "training", "endpoint": "serving"}


def plan(**fields: object) -> Cloud:
    return Cloud.model_validate({"services": ("bigquery",), "max_cost_usd": 1} | fields)


def test_the_bound_is_the_sum_of_what_is_used() -> None:
    machines = Machines(use="training", machine="n1-standard-4", count=2, hours=1.5)
    bound = upper_bound(plan(machines=(machines,), bigquery_gib=1024, pipeline_runs=3))
    assert [round(line.usd, 4) for line in bound.lines] == [round(3 * 0.21849885 * 1.25, 4), 6.25, 0.09]
    assert bound.usd == pytest.approx(sum(line.usd for line in bound.lines)) and not bound.unpriced
    assert bound.table()[-1].split() == ["sum", f"{bound.usd:.4f}", "USD"]


def test_an_accelerator_is_paid_beside_its_machine_and_once_for_each() -> None:
    machines = Machines(
        use="training", machine="n1-standard-4", hours=1, accelerator="NVIDIA_H100_80GB", accelerators=2
    )
    assert upper_bound(plan(machines=(machines,))).usd == pytest.approx(1.25 * (0.21849885 + 2 * 9.79655057))


def test_what_has_no_row_has_no_price() -> None:
    machines = Machines(use="endpoint", machine="n1-standard-4", hours=1, accelerator="TPU_V3", accelerators=8)
    bound = upper_bound(plan(machines=(machines,), unpriced=("trees trained elsewhere",)))
    assert bound.unpriced == ("trees trained elsewhere", "TPU_V3 for endpoint")
    assert bound.usd == pytest.approx(1.25 * 0.219)
    assert any(row.startswith("without a price: TPU_V3") for row in bound.table())


def test_batch_costs_what_an_endpoint_costs() -> None:
    hours = [Machines(use=use, machine="n1-standard-2", hours=1) for use in ("batch", "endpoint")]
    batch, endpoint = (upper_bound(plan(machines=(machines,))).usd for machines in hours)
    assert batch == endpoint > 0


def test_accelerators_need_a_number() -> None:
    with pytest.raises(ValueError, match="belong together"):
        Machines(use="training", machine="n1-standard-4", hours=1, accelerator="NVIDIA_L4")


def test_every_amount_of_a_plan_has_a_price() -> None:
    fields = {name for name, field in Cloud.model_fields.items() if field.default == 0}
    assert fields == set(AMOUNTS)
    assert not upper_bound(plan(**dict.fromkeys(AMOUNTS, 1))).unpriced


def test_every_priced_machine_exists() -> None:
    """Against the table of the local Vertex AI, which is another one with other sources."""
    rows = tomllib.loads(MACHINES.read_text())["rows"]
    for row in read_prices().rows:
        here = [other for other in rows if other["for"] == USES.get(row.what)]
        if row.machine:
            assert any(row.machine in other["types"] for other in here), row
        if row.accelerator:
            assert any(row.accelerator in other.get("accelerators", {}) for other in here), row


def test_every_source_is_dated_and_used() -> None:
    prices = read_prices()
    assert {row.source for row in prices.rows} == set(prices.sources)
    assert all(source.seen <= datetime.date(2026, 11, 21) for source in prices.sources.values())
    keys = [(row.what, row.machine, row.accelerator) for row in prices.rows]
    assert len(keys) == len(set(keys))


def test_a_year_makes_a_source_stale() -> None:
    prices = read_prices()
    oldest = min(source.seen for source in prices.sources.values())
    assert prices.stale(oldest + datetime.timedelta(days=365)) == []
    assert prices.stale(oldest + datetime.timedelta(days=366)) == ["vertex-endpoints"]


def test_a_broken_table_is_one_line(collection: Path) -> None:
    table = collection / "labs" / "blueprint" / "prices.toml"
    replace(table, 'source = "storage"', 'source = "hearsay"')
    with pytest.raises(LabError, match="the sources hearsay, which are not there"):
        read_prices()
    table.unlink()
    with pytest.raises(LabError, match="no table of prices"):
        read_prices()


@pytest.mark.parametrize("folder", lab_folders(), ids=lambda folder: folder.name)
def test_a_card_never_promises_less_than_its_plan_costs(folder: Path) -> None:
    card = read_card(folder / "lab.toml")
    assert upper_bound(card.cloud).usd <= card.cloud.max_cost_usd  # type: ignore[union-attr]
