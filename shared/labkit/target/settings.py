"""What TARGET="vertex" needs to know of your project, from environment variables."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

MAX_COST_USD = 1.0
LOCATION = "us-central1"
_BUCKET = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]/?")


@dataclass(frozen=True)
class Settings:
    """Project, region, bucket and limits. `wrong` says, a line each, what is missing or cannot be read.

    `project` and `bucket` are empty when they are not set; `bucket` has no `gs://`. `max_cost_usd` is the most that one
    run may cost, in USD. `accept_unpriced`: what has no price in the table may be billed all the same.
    """

    project: str = ""
    location: str = LOCATION
    bucket: str = ""
    max_cost_usd: float = MAX_COST_USD
    accept_unpriced: bool = False
    wrong: tuple[str, ...] = ()

    @classmethod
    def read(cls, environ: Mapping[str, str], max_cost_usd: float | None = None) -> Settings:
        """The settings; `max_cost_usd`, where given, is used in the place of LABS_MAX_COST_USD."""
        wrong = []
        named = environ.get("LABS_BUCKET", "")
        bucket = named.removeprefix("gs://").rstrip("/") if _BUCKET.fullmatch(named) else ""
        if not named:
            wrong.append("no bucket: LABS_BUCKET is not set. Set it to a bucket of yours in the region, gs://…")
        elif not bucket:
            wrong.append(f"no bucket: LABS_BUCKET={named!r}. Set it to gs:// and the bucket's name, without a folder.")
        limit: float | str = environ.get("LABS_MAX_COST_USD") or MAX_COST_USD if max_cost_usd is None else max_cost_usd
        try:
            most = float(limit)
        except ValueError:
            most = math.nan
        if not (math.isfinite(most) and most >= 0):
            wrong.append(f"no limit of cost: {limit!r} is no amount in USD. Set LABS_MAX_COST_USD to one, as 1.00.")
            most = math.nan  # no comparison with it holds: the one line above is enough
        return cls(
            environ.get("LABS_PROJECT") or environ.get("GOOGLE_CLOUD_PROJECT") or "",
            environ.get("LABS_LOCATION") or LOCATION,
            bucket,
            most,
            environ.get("LABS_ACCEPT_UNPRICED", "").lower() == "yes",
            tuple(wrong),
        )
