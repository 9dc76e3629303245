"""The generator plants what it says: faults in episodes, tickets that cover them, values in range, relations broken."""

import numpy as np
import pandas as pd
import pytest
from labkit.catalog.datasets import load_dataset

SENSORS = ["speed_pct", "pressure_bar", "ambient_c", "power_kw", "flow_m3h", "oil_c", "vibration_mm_s"]
# What a healthy reading of each sensor follows from, as features of a linear fit; vibration has its resonance at 74%.
RELATIONS = {"leak": "flow_m3h", "fouled cooler": "oil_c", "bearing": "vibration_mm_s"}


def readings(seed: int = 7, **settings: object) -> pd.DataFrame:
    return load_dataset("compressor-readings", seed=seed, **settings)


def causes(frame: pd.DataFrame, sensor: str) -> np.ndarray:
    x, p = frame["speed_pct"] / 100, frame["pressure_bar"]
    columns = {
        "flow_m3h": [x, x * p],
        "oil_c": [frame["ambient_c"], frame["power_kw"]],
        "vibration_mm_s": [x, np.exp(-(((x - 0.74) / 0.07) ** 2))],
    }[sensor]
    return np.column_stack([np.ones(len(frame)), *columns])


@pytest.mark.parametrize("seed", [1, 7, 20260601])
@pytest.mark.parametrize(
    ("fault", "sensor", "shift"),
    [("leak", "flow_m3h", None), ("fouled cooler", "oil_c", 11), ("bearing", "vibration_mm_s", 1.5)],
)
def test_a_fault_breaks_its_relation_and_no_other(seed: int, fault: str, sensor: str, shift: float | None) -> None:
    frame = readings(seed)
    healthy, faulty = frame[frame["fault"].isna()], frame[frame["fault"] == fault]
    for name in RELATIONS.values():
        weights, *_ = np.linalg.lstsq(causes(healthy, name), healthy[name].to_numpy(), rcond=None)
        spread = (healthy[name] - causes(healthy, name) @ weights).std()
        off = (faulty[name] - causes(faulty, name) @ weights).mean()
        if name != sensor:
            assert abs(off) < 1.0 * spread
        elif shift is not None:
            assert off == pytest.approx(shift, rel=0.1)
        else:
            assert off / faulty[name].mean() == pytest.approx(-0.25 / 0.75, rel=0.1)


def test_each_faulty_value_alone_is_one_that_healthy_machines_show() -> None:
    frame = readings()
    healthy, faulty = frame[frame["fault"].isna()][SENSORS], frame[frame["fault"].notna()][SENSORS]
    assert len(faulty) > 200
    outside = (faulty < healthy.min()) | (faulty > healthy.max())
    assert not outside.to_numpy().any()


def test_without_in_range_every_faulty_reading_leaves_the_range_of_a_column() -> None:
    frame = readings(in_range=False)
    healthy, faulty = frame[frame["fault"].isna()][SENSORS], frame[frame["fault"].notna()][SENSORS]
    outside = ((faulty < healthy.quantile(0.005)) | (faulty > healthy.quantile(0.995))).any(axis=1)
    assert outside.mean() > 0.95


def test_every_faulty_reading_lies_within_twelve_hours_before_a_ticket_or_in_it() -> None:
    frame, tickets = readings(), readings(table="tickets")
    assert len(tickets) == 9
    covered = pd.Series(False, index=frame.index)
    without_lead = covered.copy()
    for ticket in tickets.itertuples():
        own = (frame["machine"] == ticket.machine) & (frame["read_at"] <= ticket.closed_at)
        covered |= own & (frame["read_at"] >= ticket.opened_at - pd.Timedelta(hours=12))
        without_lead |= own & (frame["read_at"] >= ticket.opened_at)
    faulty = frame["fault"].notna()
    assert covered[faulty].all()
    assert not without_lead[faulty].all()
    assert covered[~faulty].mean() < 0.05


def test_one_reading_an_hour_of_each_machine_and_ids_that_never_meet() -> None:
    history, later = readings(), readings(start="2026-02-09", days=14, episodes=0)
    assert len(history) == 10 * 21 * 24 and len(later) == 10 * 14 * 24
    assert not history.duplicated(["machine", "read_at"]).any()
    assert not set(history["reading_id"]) & set(later["reading_id"])
    assert history["reading_id"].is_unique and later["fault"].isna().all()


def test_the_seed_decides() -> None:
    pd.testing.assert_frame_equal(readings(3), readings(3))
    assert not readings(3)["speed_pct"].equals(readings(4)["speed_pct"])


def test_what_cannot_be_made_says_why() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        readings(days=2, episodes=40)
    with pytest.raises(ValueError, match="'readings' or 'tickets'"):
        readings(table="faults")
