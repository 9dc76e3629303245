"""Checks responses against Google's discovery document of the BigQuery API."""

from __future__ import annotations

from functools import partial

from tests.localgcp import discovery

check_response = partial(discovery.check_response, "bigquery.v2")
