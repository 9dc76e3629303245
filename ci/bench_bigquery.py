"""Measures the local BigQuery against its targets; each figure stands beside its limit. `nox -s bench` runs it.

Machines are shared and noisy: what can be a ratio within one run is one, and of repeated calls the median counts.
Exits with 1 when a limit is not kept.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from limits import FAILED, say, seconds
from localgcp.bigquery import Server, start
from localgcp.bqml import Models

warnings.simplefilter("ignore", PendingDeprecationWarning)
PROJECT = "local-project"


def side_by_side(ours: Callable[[], Any], theirs: Callable[[], Any], times: int = 7) -> tuple[float, float]:
    """Medians of both, taken in turns: whoever else uses the machine slows down both."""
    ours(), theirs()  # the first call imports what it needs
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(times)]
    return statistics.median(ours for ours, _ in pairs), statistics.median(theirs for _, theirs in pairs)


def query(client: bigquery.Client, sql: str) -> None:
    client.query(sql).result()


def serve(folder: Path) -> tuple[Server, bigquery.Client]:
    server = start(folder / "bigquery", PROJECT, statements=[Models(folder / "models", PROJECT)])
    client = bigquery.Client(
        PROJECT, AnonymousCredentials(), client_options={"api_endpoint": server.url}, location="US"
    )
    client.create_dataset("bench", exists_ok=True)
    return server, client


def bench_start(folder: Path) -> None:
    def ready() -> None:
        server = start(folder / "first", PROJECT, statements=[Models(folder / "models", PROJECT)])
        client = bigquery.Client(PROJECT, AnonymousCredentials(), client_options={"api_endpoint": server.url})
        client.query("SELECT 1").result()
        server.stop()

    say("start to first answer, beyond imports", seconds(ready), 1.0, "s")


def bench_small_query(client: bigquery.Client) -> None:
    client.query("CREATE OR REPLACE TABLE bench.small AS SELECT x, x * 2 AS y FROM UNNEST([1, 2, 3, 4]) AS x").result()

    def milliseconds(sql: str) -> float:
        taken = [1000 * seconds(lambda: list(client.query_and_wait(sql))) for _ in range(200)]
        return statistics.median(taken)

    say("SELECT 1 through the client, median", milliseconds("SELECT 1"), 8.0, "ms")
    say("filter on a small table, median", milliseconds("SELECT y FROM bench.small WHERE x > 2"), 8.0, "ms")


def rows(count: int, columns: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(count, columns)), columns=[f"x{i}" for i in range(columns)])
    score = frame.to_numpy() @ rng.normal(size=columns)
    frame["amount"] = score + rng.normal(size=count)
    frame["bought"] = score + rng.logistic(size=count) > 0
    return frame


def load(client: bigquery.Client, frame: pd.DataFrame, name: str) -> None:
    overwrite = bigquery.LoadJobConfig(write_disposition="WRITE_TRUNCATE")
    client.load_table_from_dataframe(frame, f"bench.{name}", job_config=overwrite).result()


def bench_training(client: bigquery.Client) -> None:
    """50,000 rows x 4 columns, each type beside the library called directly on the same standardised columns."""
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from xgboost import XGBClassifier

    frame = rows(50_000, 4)
    load(client, frame, "sales")
    columns = ["x0", "x1", "x2", "x3"]

    def standardised() -> Any:
        x = frame[columns].to_numpy()
        return (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)

    def least_squares() -> Any:
        x = np.hstack([standardised(), np.ones((len(frame), 1))])
        return np.linalg.lstsq(x.T @ x, x.T @ frame.amount.to_numpy(), rcond=None)

    direct: dict[str, tuple[str, Callable[[], Any]]] = {
        "LINEAR_REG": ("amount", least_squares),
        "LOGISTIC_REG": ("bought", lambda: LogisticRegression(C=np.inf).fit(standardised(), frame.bought)),
        "BOOSTED_TREE_CLASSIFIER": (
            "bought",
            lambda: XGBClassifier(n_estimators=20, max_depth=6, n_jobs=1).fit(frame[columns], frame.bought),
        ),
        "KMEANS": ("", lambda: KMeans(4, n_init=1, max_iter=20, random_state=0).fit(standardised())),
        "PCA": ("", lambda: PCA(2).fit(standardised())),
    }
    more = {"KMEANS": ", num_clusters=4", "PCA": ", num_principal_components=2"}
    for kind, (label, library) in direct.items():
        options = f"model_type='{kind}'{more.get(kind, '')}"
        options += f", input_label_cols=['{label}'], data_split_method='NO_SPLIT'" if label else ""
        chosen = ", ".join([*columns, label] if label else columns)
        sql = f"CREATE OR REPLACE MODEL bench.m OPTIONS({options}) AS SELECT {chosen} FROM bench.sales"
        ours, theirs = side_by_side(partial(query, client, sql), library)
        say(f"CREATE MODEL {kind} 50k x 4, library alone {theirs:.3f} s", ours, 2 * theirs + 0.2, "s")


def bench_arima(client: bigquery.Client) -> None:
    rng = np.random.default_rng(0)
    day = np.arange(366)
    sales = 100 + 0.1 * day + 10 * np.sin(2 * np.pi * day / 7) + rng.normal(0, 3, 366)
    frame = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=366).date, "sales": sales})
    load(client, frame, "days")
    options = "model_type='ARIMA_PLUS', time_series_timestamp_col='day', time_series_data_col='sales'"
    sql = f"CREATE OR REPLACE MODEL bench.days_model OPTIONS({options}) AS SELECT day, sales FROM bench.days"
    query(client, sql)
    taken = statistics.median(seconds(partial(query, client, sql)) for _ in range(3))
    say("CREATE MODEL ARIMA_PLUS, 366 days", taken, 3.0, "s")


def bench_million() -> None:
    """In a process of its own, since the peak of its memory is asked for."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import bench_bigquery as b; b.million()"
    peak = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    say("LOGISTIC_REG on 1,000,000 x 10, peak memory of the process", float(peak.split()[-1]), 4.0, "GiB")


def million() -> None:
    with tempfile.TemporaryDirectory() as folder:
        server, client = serve(Path(folder))
        terms = ", ".join(f"RAND() - 0.5 AS x{i}" for i in range(10))
        numbers = "UNNEST(GENERATE_ARRAY(1, 1000)) AS a, UNNEST(GENERATE_ARRAY(1, 1000)) AS b"
        client.query(f"CREATE TABLE bench.big AS SELECT {terms} FROM {numbers}").result()
        options = "model_type='LOGISTIC_REG', input_label_cols=['bought'], data_split_method='NO_SPLIT'"
        client.query(
            f"CREATE MODEL bench.m OPTIONS({options}) AS SELECT *, x0 + x1 + RAND() - 0.5 > 0 AS bought FROM bench.big"
        ).result()
        server.stop()
    # ru_maxrss is in KiB on Linux and in bytes on macOS.
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20))


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        bench_start(Path(folder))
        server, client = serve(Path(folder))
        bench_small_query(client)
        bench_training(client)
        bench_arima(client)
        server.stop()
    bench_million()
    return len(FAILED) > 0


if __name__ == "__main__":
    sys.exit(main())
