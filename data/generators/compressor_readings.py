"""Hourly readings of compressors with planted faults: every value is within its healthy range, the combination is not.

What a compressor does has three causes: speed, delivery pressure and the weather. The other four sensors follow from
them. A fault breaks one of these relations:

- leak: air is lost, so flow is too low for the speed;
- fouled cooler: the oil is too warm for power and weather;
- bearing: vibration is too high for the speed. Healthy vibration has a resonance at 74% speed, so high values as such
  are normal.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

SENSORS = ["speed_pct", "pressure_bar", "ambient_c", "power_kw", "flow_m3h", "oil_c", "vibration_mm_s"]
NOISE = [0.5, 0.05, 0.4, 1.0, 9.0, 0.8, 0.15]  # standard deviation of each sensor's error
FAULTS = ("leak", "fouled cooler", "bearing")
MACHINES = 10
EPISODE_HOURS = (24, 48)
LARGEST_DELAY_HOURS = 12  # from the begin of a fault to its ticket
POOL = 4_000


def make(
    seed: int,
    days: int = 21,
    start: str = "2026-01-05",
    episodes: int = 9,
    in_range: bool = True,
    table: str = "readings",
) -> pd.DataFrame:
    """Readings of 10 machines, one an hour, in random order; or the maintenance tickets of the same days.

    Faults come in `episodes` of 24 to 48 hours, the kinds in turn. With `in_range`, every value of a faulty reading
    lies within the healthy range; without it, the fault is four times as large and some value lies outside.

    readings: reading_id, machine, read_at (UTC), the seven sensors, fault (None for healthy).
    tickets: machine, opened_at (up to 12 hours after the begin), closed_at (when the fault is mended).
    Raises ValueError for another table, or more episodes than fit.
    """
    if table not in ("readings", "tickets"):
        raise ValueError(f"table={table!r}: 'readings' or 'tickets'.")
    first = pd.Timestamp(start, tz="UTC")
    rng = np.random.default_rng([seed, first.day_of_year, days])
    hours = days * 24
    planned = _plan(rng, hours, episodes)
    if table == "tickets":
        return _tickets(planned, first)

    readings = _operate(rng, MACHINES * hours)
    readings["fault"] = None
    for episode in planned.itertuples():
        rows = episode.machine * hours + np.arange(episode.begin, episode.end)
        readings.loc[rows, SENSORS] = _faulty(rng, len(rows), episode.fault, in_range).to_numpy()
        readings.loc[rows, "fault"] = episode.fault
    readings.insert(0, "machine", [f"C{number + 1:02d}" for number in np.repeat(np.arange(MACHINES), hours)])
    readings.insert(1, "read_at", first + pd.to_timedelta(np.tile(np.arange(hours), MACHINES), unit="h"))
    readings = readings.iloc[rng.permutation(len(readings))].reset_index(drop=True)
    # Ids of different dates never meet: readings of several months can share a table.
    readings.insert(0, "reading_id", int(first.strftime("%Y%m%d")) * 100_000 + np.arange(len(readings)))
    return readings


def _plan(rng: np.random.Generator, hours: int, episodes: int) -> pd.DataFrame:
    """Machine, begin, end (hours, end excluded), fault and ticket delay of each episode; none overlap."""
    per_machine = -(-episodes // MACHINES)
    slot = hours // max(1, per_machine)
    shortest, longest = EPISODE_HOURS
    if slot < longest:
        raise ValueError(f"{episodes} episodes do not fit into {hours} hours of {MACHINES} machines.")
    order = rng.permutation(MACHINES)
    rows = []
    for number in range(episodes):
        length = int(rng.integers(shortest, longest + 1))
        begin = (number // MACHINES) * slot + int(rng.integers(0, slot - length + 1))
        delay = int(rng.integers(1, LARGEST_DELAY_HOURS + 1))
        rows.append((int(order[number % MACHINES]), begin, begin + length, FAULTS[number % len(FAULTS)], delay))
    return pd.DataFrame(rows, columns=["machine", "begin", "end", "fault", "delay"])


def _tickets(planned: pd.DataFrame, first: pd.Timestamp) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "machine": [f"C{number + 1:02d}" for number in planned.machine],
            "opened_at": first + pd.to_timedelta(planned.begin + planned.delay, unit="h"),
            "closed_at": first + pd.to_timedelta(planned.end, unit="h"),
        }
    )


def _operate(rng: np.random.Generator, rows: int, fault: str | None = None, size: float = 1.0) -> pd.DataFrame:
    """Readings of all seven sensors at random operating points."""
    mode = rng.choice(3, rows, p=[0.35, 0.45, 0.20])  # night, day, peak
    speed = np.clip(np.array([45, 70, 92])[mode] + rng.normal(0, 1, rows) * np.array([4, 8, 4])[mode], 35, 100)
    pressure = rng.uniform(6, 9, rows)
    ambient = rng.uniform(2, 32, rows)
    x = speed / 100
    flow = 900 * x * (1 - 0.02 * (pressure - 6))
    power = 8 + 95 * x * np.log(pressure) / np.log(9) * (0.55 + 0.45 * x**2)
    oil = ambient + 10 + 0.42 * power
    vibration = 1 + 1.2 * x + 3.2 * np.exp(-(((x - 0.74) / 0.07) ** 2))
    if fault == "leak":
        flow = flow * max(0.0, 1 - 0.25 * size)
    elif fault == "fouled cooler":
        oil = oil + 11 * size
    elif fault == "bearing":
        vibration = vibration + 1.5 * size
    values = np.column_stack([speed, pressure, ambient, power, flow, oil, vibration])
    return pd.DataFrame(values + rng.normal(0, 1, values.shape) * NOISE, columns=SENSORS)


def _faulty(rng: np.random.Generator, rows: int, fault: str, in_range: bool) -> pd.DataFrame:
    """Readings of a faulty machine: those that the limits of single columns let pass, or those that they do not."""
    healthy = _operate(rng, POOL)
    low, high = healthy.quantile(0.005), healthy.quantile(0.995)
    kept: list[pd.DataFrame] = []
    while sum(map(len, kept)) < rows:
        drawn = _operate(rng, POOL, fault, 1.0 if in_range else 4.0)
        inside = ((drawn >= low) & (drawn <= high)).all(axis=1)
        kept.append(drawn[inside if in_range else ~inside])
    return pd.concat(kept).head(rows)
