"""The taxi trips hold the change that the lab builds on: from 2016 on a mile costs more, a minute does not."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from labkit.catalog.datasets import read_dataset
from labkit.catalog.environments import environments

TFX = environments()["tfx"]


@pytest.mark.skipif(not TFX.made, reason="the file ships with tfx, whose environment is not made here")
def test_the_price_of_a_mile_rises_in_2016() -> None:
    entry = read_dataset("chicago-taxi")
    (file,) = TFX.folder.glob(f"lib/python*/site-packages/{entry.package}/{entry.path}")
    assert hashlib.sha256(file.read_bytes()).hexdigest() == entry.sha256
    trips = pd.read_csv(file).dropna(subset=["trip_seconds"])
    trips = trips[
        trips.fare.between(3.25, 100) & trips.trip_miles.between(1, 15) & trips.trip_seconds.between(60, 7200)
    ]
    # The median fare of like trips: about ten minutes, by miles rounded to one.
    like = trips[trips.trip_seconds.between(420, 900)]
    new = pd.to_datetime(like.trip_start_timestamp, unit="s").dt.year >= 2016
    old_fare, new_fare = (part.groupby(part.trip_miles.round()).fare.median() for part in (like[~new], like[new]))
    miles = [1.0, 2.0, 3.0]
    rise = (new_fare - old_fare)[miles]
    assert np.all(rise > 0)
    slope = np.polyfit(miles, rise, 1)[0]
    assert 0.2 < slope < 0.7
