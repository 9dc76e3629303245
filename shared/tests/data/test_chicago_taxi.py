"""The taxi trips hold the change that the lab builds on: from 2016 on a mile costs more, a minute does not."""

from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from labkit.catalog.datasets import load_dataset

pytestmark = pytest.mark.skipif(find_spec("tfx") is None, reason="the file ships with tfx, in the environment tfx")


def test_the_price_of_a_mile_rises_in_2016() -> None:
    trips = load_dataset("chicago-taxi").dropna(subset=["trip_seconds"])
    trips = trips[
        trips.fare.between(3.25, 100) & trips.trip_miles.between(1, 15) & trips.trip_seconds.between(60, 7200)
    ]
    new = pd.to_datetime(trips.trip_start_timestamp, unit="s").dt.year >= 2016
    # The median fare of like trips: short ones of about ten minutes, by miles rounded to one.
    like = trips[trips.trip_seconds.between(420, 900)]
    old_fare, new_fare = (part.groupby(part.trip_miles.round()).fare.median() for part in (like[~new], like[new]))
    miles = [1.0, 2.0, 3.0]
    rise = (new_fare - old_fare)[miles]
    assert np.all(rise > 0)
    slope = np.polyfit(miles, rise, 1)[0]
    assert 0.2 < slope < 0.7
