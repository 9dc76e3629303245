"""The courier's orders hold the truth that their generator plants, and every part of it can be found again."""

import numpy as np
import pandas as pd
import pytest
from labkit.catalog.datasets import load_dataset

KM, KG, ICE, MILD = 2.6, 0.9, 0.05, 20.0
CENTRE = (2, 16, 4, 7, 1)
SUBURBS = (0, 3, 11, 16, 2)


@pytest.fixture(scope="module", params=[1, 2])
def orders(request: pytest.FixtureRequest) -> pd.DataFrame:
    return load_dataset("courier-deliveries", seed=request.param)


def design(orders: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Columns in which the truth is a sum, of the weighed orders, and their minutes."""
    weighed = orders.dropna()
    shift = np.searchsorted((11, 14, 17, 20), weighed.ordered_at.dt.hour, side="right")
    cells = pd.get_dummies(weighed.district + "_" + shift.astype(str), dtype=float)
    numbers = weighed[["distance_km", "weight_kg", "temperature_c"]]
    return pd.concat([cells, numbers, (numbers["temperature_c"] ** 2).rename("square")], axis=1), weighed.minutes


def solve(x: pd.DataFrame, y: pd.Series) -> tuple[pd.Series, float]:
    """Least squares: the weights, and the standard deviation of what is left."""
    weights, *_ = np.linalg.lstsq(x.to_numpy(), y.to_numpy())
    return pd.Series(weights, x.columns), float(np.std(y - x.to_numpy() @ weights))


def test_least_squares_on_the_right_columns_finds_the_planted_numbers(orders: pd.DataFrame) -> None:
    weights, left = solve(*design(orders))
    assert weights["distance_km"] == pytest.approx(KM, abs=0.05)
    assert weights["weight_kg"] == pytest.approx(KG, abs=0.05)
    assert weights["square"] == pytest.approx(ICE, abs=0.002)
    assert -weights["temperature_c"] / (2 * weights["square"]) == pytest.approx(MILD, abs=0.5)
    truth = orders.attrs["truth"]
    assert (truth["per_km"], truth["per_kg"], truth["ice"], truth["mild"], truth["noise"]) == (KM, KG, ICE, MILD, 3.0)
    for name, planted in (("Centre", CENTRE), ("Suburbs", SUBURBS)):
        assert truth["shift_delay"][name] == list(planted)
        found = weights[[f"{name}_{shift}" for shift in range(5)]].to_numpy()
        assert np.abs(np.diff(found) - np.diff(planted)).max() < 1.0
    assert left == pytest.approx(3.0, abs=0.1)


def test_without_crosses_much_more_is_left(orders: pd.DataFrame) -> None:
    x, y = design(orders)
    weighed = orders.loc[x.index]
    shift = pd.Series(np.searchsorted((11, 14, 17, 20), weighed.ordered_at.dt.hour, side="right"), x.index)
    apart = [pd.get_dummies(weighed.district, dtype=float), pd.get_dummies("shift_" + shift.astype(str), dtype=float)]
    numbers = x[["distance_km", "weight_kg", "temperature_c", "square"]]
    assert solve(pd.concat([*apart, numbers], axis=1), y)[1] > 4.5


def test_years_are_alike_and_days_are_not(orders: pd.DataFrame) -> None:
    spread = orders.temperature_c.std()
    yearly = orders.groupby(orders.ordered_at.dt.year).temperature_c.mean()
    daily = orders.groupby(orders.ordered_at.dt.date).temperature_c
    assert abs(yearly.diff().iloc[-1]) < 0.25 * spread
    assert daily.mean().std() > 0.8 * spread
    assert daily.std().mean() < 0.5 * spread


def test_shape_parameters_and_seed() -> None:
    small = load_dataset("courier-deliveries", seed=3, orders_a_day=4, unweighed=0.5)
    assert len(small) == 4 * 731
    assert small.order_id.tolist() == list(range(1, len(small) + 1))
    assert small.ordered_at.is_monotonic_increasing
    assert small.ordered_at.dt.hour.between(10, 22).all()
    assert 0.4 < small.weight_kg.isna().mean() < 0.6
    assert (small.minutes > 0).all()
    pd.testing.assert_frame_equal(small, load_dataset("courier-deliveries", seed=3, orders_a_day=4, unweighed=0.5))
    assert not small.minutes.equals(load_dataset("courier-deliveries", seed=4, orders_a_day=4).minutes)
