"""Model types x functions: each pair is run, and the package's README has the table that comes out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import localgcp.bqml
import pytest
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery
from localgcp.bigquery import start
from localgcp.bqml import Models
from localgcp.bqml.functions import registry

from tests.localgcp.bigquery.conftest import connect

PROJECT = "local-project"
README = Path(localgcp.bqml.__file__).parent / "README.md"
BEGIN, END = "<!-- table: begin, written by the test with LOCALGCP_WRITE=1 -->\n", "<!-- table: end -->"

ROWS = """
CREATE TABLE d.rows AS
SELECT
  n, MOD(n, 7) + RAND() AS a, MOD(n, 5) + RAND() AS b, IF(MOD(n, 3) = 0, 'red', 'blue') AS colour,
  MOD(n, 7) * 2.0 + MOD(n, 5) AS amount, MOD(n, 7) > 3 AS bought,
  MOD(n, 12) AS visitor, MOD(n, 9) AS item, 1.0 + MOD(n, 5) AS rating,
  DATE_ADD(DATE '2024-01-01', INTERVAL n DAY) AS day
FROM UNNEST(GENERATE_ARRAY(1, 120)) AS n
"""
REGRESSION, CLASSIFICATION = (
    ("input_label_cols=['amount']", "a, b, amount"),
    ("input_label_cols=['bought']", "a, b, bought"),
)
SMALL = "max_iterations=3, hidden_units=[4]"
# The model types in short, their options, and the columns that they are trained on.
TYPES = {
    "linear": (
        "LINEAR_REG",
        f"{REGRESSION[0]}, calculate_p_values=TRUE, category_encoding_method='DUMMY_ENCODING'",
        REGRESSION[1],
    ),
    "linear, tuned, TRANSFORM": (
        "LINEAR_REG",
        f"{REGRESSION[0]}, num_trials=2, l2_reg=HPARAM_CANDIDATES([0, 1])",
        REGRESSION[1],
    ),
    "logistic": (
        "LOGISTIC_REG",
        f"{CLASSIFICATION[0]}, calculate_p_values=TRUE, category_encoding_method='DUMMY_ENCODING'",
        CLASSIFICATION[1],
    ),
    "kmeans": ("KMEANS", "num_clusters=2", "a, b"),
    "pca": ("PCA", "num_principal_components=1", "a, b"),
    "boosted reg.": ("BOOSTED_TREE_REGRESSOR", f"{REGRESSION[0]}, max_iterations=3", REGRESSION[1]),
    "boosted class.": ("BOOSTED_TREE_CLASSIFIER", f"{CLASSIFICATION[0]}, max_iterations=3", CLASSIFICATION[1]),
    "forest reg.": ("RANDOM_FOREST_REGRESSOR", f"{REGRESSION[0]}, num_parallel_tree=3", REGRESSION[1]),
    "forest class.": ("RANDOM_FOREST_CLASSIFIER", f"{CLASSIFICATION[0]}, num_parallel_tree=3", CLASSIFICATION[1]),
    "dnn reg.": ("DNN_REGRESSOR", f"{REGRESSION[0]}, {SMALL}", REGRESSION[1]),
    "dnn class.": ("DNN_CLASSIFIER", f"{CLASSIFICATION[0]}, {SMALL}", CLASSIFICATION[1]),
    "autoencoder": ("AUTOENCODER", "max_iterations=3, hidden_units=[4, 2, 4]", "a, b"),
    "factorization": (
        "MATRIX_FACTORIZATION",
        "user_col='visitor', item_col='item', rating_col='rating', num_factors=2",
        "visitor, item, rating",
    ),
    "arima": ("ARIMA_PLUS", "time_series_timestamp_col='day', time_series_data_col='amount'", "day, amount"),
}
WITH_ROWS = {
    "PREDICT", "EXPLAIN_PREDICT", "DETECT_ANOMALIES", "RECONSTRUCTION_LOSS", "TRANSFORM",
}  # fmt: skip
SETTINGS = {"DETECT_ANOMALIES": "STRUCT(0.1 AS contamination), "}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bigquery.Client]:
    folder = tmp_path_factory.mktemp("cloud")
    buckets = folder / "buckets"
    (buckets / "b").mkdir(parents=True)
    models = Models(folder / "models", PROJECT, buckets=buckets)
    with start(folder / "bigquery", PROJECT, statements=[models], buckets=buckets) as server:
        client = connect(server.url)
        client.create_dataset("d")
        client.query(ROWS).result()
        for number, (kind, options, columns) in enumerate(TYPES.values()):
            explained = kind.startswith(("LINEAR", "LOGISTIC", "BOOSTED", "RANDOM"))
            extra = ", enable_global_explain=TRUE" if explained else ""
            transform = "TRANSFORM(2 * a AS twice_a, b, amount)" if "num_trials" in options else ""
            client.query(
                f"CREATE MODEL d.m{number} {transform} OPTIONS(model_type='{kind}', {options}{extra}) "
                f"AS SELECT {columns} FROM d.rows"
            ).result()
        yield client


def mark(client: bigquery.Client, sql: str) -> str:
    """How a statement ends: ✓ with rows (or without an error, where it has none), · refused, U unimplemented."""
    try:
        result = client.query(sql).result()
    except BadRequest as error:
        return "U" if "UNIMPLEMENTED" in str(error) else "·"
    return "✓" if sql.startswith("EXPORT") or result.total_rows else "∅"


def statement(function: str, kind: str, number: int) -> str:
    if function == "EXPORT MODEL":
        return f"EXPORT MODEL d.m{number} OPTIONS(URI='gs://b/m{number}')"
    given = SETTINGS.get(function, "")
    # A time series that has been trained is searched for anomalies by itself.
    if function in WITH_ROWS and kind != "ARIMA_PLUS":
        given += "TABLE d.rows"
    parts = ", ".join(part for part in (f"MODEL d.m{number}", given.rstrip(", ")) if part)
    if function == "DETECT_ANOMALIES" and kind == "ARIMA_PLUS":
        parts = f"MODEL d.m{number}, STRUCT(0.9 AS anomaly_prob_threshold)"
    return f"SELECT * FROM ML.{function}({parts})"


def table(client: bigquery.Client) -> str:
    lines = [f"| | {' | '.join(TYPES)} |", "|---" * (len(TYPES) + 1) + "|"]
    for function in [*sorted(registry()), "EXPORT MODEL"]:
        marks = [mark(client, statement(function, kind, number)) for number, (kind, _, _) in enumerate(TYPES.values())]
        lines.append(f"| {function} | {' | '.join(marks)} |")
    return "\n".join(lines) + "\n"


def test_the_readme_has_the_table_that_comes_out(client: bigquery.Client) -> None:
    found = table(client)
    text = README.read_text()
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    if os.environ.get("LOCALGCP_WRITE"):
        README.write_text(text[:begin] + found + text[end:])
        return
    assert found == text[begin:end]
    assert "∅" not in found


def test_the_resource_of_each_type_is_what_the_discovery_document_says(client: bigquery.Client) -> None:
    """`client` checks each response; a model's is the largest of the API."""
    listed = {model.model_id for model in client.list_models("d")}
    for number, (kind, _, _) in enumerate(TYPES.values()):
        model = client.get_model(f"d.m{number}")
        assert model.model_type.startswith(kind.split("_")[0]) and model.model_id in listed
        assert [column.name for column in model.feature_columns]
