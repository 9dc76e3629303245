"""Two years of a courier's orders in one city, with a planted truth: what each cause adds to the minutes to the door.

    minutes = BASE + SHIFT_DELAY[district][shift] + ICE (temperature - MILD)^2 + PER_KM distance + PER_KG weight + noise

The shift acts differently in each district, so no sum of a district's and an hour's own share can express it.
"""

import numpy as np
import pandas as pd

BASE, PER_KM, PER_KG, ICE, MILD = 8.0, 2.6, 0.9, 0.05, 20.0
SHIFTS = (11, 14, 17, 20)  # o'clock, when riders change
SHIFT_DELAY = {  # minutes that an order waits for a rider: until 11, 14, 17, 20 o'clock, and later
    "Campus": (0, 14, 2, 1, 12),
    "Centre": (2, 16, 4, 7, 1),
    "Harbour": (8, 1, 3, 5, 0),
    "Hillside": (1, 2, 9, 12, 3),
    "Station": (3, 5, 1, 15, 6),
    "Suburbs": (0, 3, 11, 16, 2),
}
SHARE = (0.2, 0.28, 0.1, 0.12, 0.16, 0.14)  # of the orders, district by district
TYPICAL_KM = (2.0, 1.5, 3.0, 3.5, 2.5, 5.0)
HOUR_SHARE = (1, 3, 5, 4, 2, 2, 2, 4, 6, 5, 3, 2, 1)  # from 10 to 22 o'clock


def make(seed: int, orders_a_day: int = 45, noise: float = 3.0, unweighed: float = 0.15) -> pd.DataFrame:
    """One row an order, 2024-01-01 to 2025-12-31, in the order of time.

    `noise`: standard deviation in minutes of what no column explains. `unweighed`: share of orders without a weight.
    Columns: order_id, ordered_at (no time zone), district, distance_km, temperature_c, weight_kg (NaN: not weighed),
    minutes. `attrs["truth"]` holds what was planted: per_km, per_kg, ice, mild, noise and shift_delay.
    """
    rng = np.random.default_rng(seed)
    days = pd.date_range("2024-01-01", "2025-12-31", freq="D")
    day = np.repeat(np.arange(len(days)), orders_a_day)
    n = len(day)
    hour = rng.choice(np.arange(10, 23), n, p=np.array(HOUR_SHARE) / sum(HOUR_SHARE))
    second = rng.integers(0, 3600, n)
    place = rng.choice(len(SHIFT_DELAY), n, p=SHARE)
    distance = np.array(TYPICAL_KM)[place] * rng.lognormal(0, 0.4, n)
    temperature = _temperature(rng, days)[day] + 3 * np.sin((hour - 9) / 24 * 2 * np.pi) + rng.normal(0, 0.5, n)
    weight = 3.5 * rng.lognormal(0, 0.5, n)
    delay = np.array(list(SHIFT_DELAY.values()))[place, np.searchsorted(SHIFTS, hour, side="right")]
    minutes = BASE + delay + ICE * (temperature - MILD) ** 2 + PER_KM * distance + PER_KG * weight
    orders = pd.DataFrame(
        {
            "ordered_at": days[day] + pd.to_timedelta(hour * 3600 + second, unit="s"),
            "district": np.array(list(SHIFT_DELAY))[place],
            "distance_km": distance.round(2),
            "temperature_c": temperature.round(1),
            "weight_kg": np.where(rng.random(n) < unweighed, np.nan, weight.round(2)),
            "minutes": (minutes + rng.normal(0, noise, n)).round(1),
        }
    ).sort_values("ordered_at", ignore_index=True)
    orders.insert(0, "order_id", np.arange(1, n + 1))
    truth = {"per_km": PER_KM, "per_kg": PER_KG, "ice": ICE, "mild": MILD, "noise": noise}
    orders.attrs["truth"] = {**truth, "shift_delay": {name: list(row) for name, row in SHIFT_DELAY.items()}}
    return orders


def _temperature(rng: np.random.Generator, days: pd.DatetimeIndex) -> np.ndarray:
    """Mean temperature of each day in degrees Celsius: the season, and weather that lasts for some days."""
    season = 11 - 10 * np.cos((days.day_of_year.to_numpy() - 15) / 365.25 * 2 * np.pi)
    weather = np.zeros(len(days))
    for today in range(1, len(days)):
        weather[today] = 0.7 * weather[today - 1] + rng.normal(0, 2.2)
    return season + weather
