"""Limits of the sensors, from the table beside this module."""

import json
from importlib import resources


def out_of(readings):
    """The sensors whose readings are out of their limits."""
    table = json.loads(resources.files(__package__).joinpath("limits.json").read_text(encoding="utf-8"))
    return [name for name, value in readings.items() if not table[name][0] <= value <= table[name][1]]
