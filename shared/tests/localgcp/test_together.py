"""BigQuery and BigQuery ML together, through the real client, across a restart."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.api_core.exceptions import BadRequest, NotFound
from google.cloud import bigquery
from localgcp.bigquery import Server, start
from localgcp.bqml import Models

from tests.localgcp.bigquery.conftest import connect as checked

PROJECT = "local-project"
CREATE = """
CREATE OR REPLACE MODEL d.line
OPTIONS (model_type = 'linear_reg', input_label_cols = ['y'], data_split_method = 'NO_SPLIT')
AS SELECT x, 3 * x + 1 AS y FROM UNNEST(GENERATE_ARRAY(1, 50)) AS x
"""
PREDICT = "SELECT predicted_y FROM ML.PREDICT(MODEL d.line, (SELECT 100 AS x))"


def serve(folder: Path) -> Server:
    return start(folder, PROJECT, [Models(folder / "models", PROJECT)])


def connect(server: Server) -> bigquery.Client:
    """The real client, whose responses are checked against the discovery document."""
    return checked(server.url)


def test_a_model_is_trained_listed_used_after_a_restart_and_dropped(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        client = connect(server)
        client.create_dataset("d")
        client.query(CREATE).result()
        (row,) = client.query("SELECT r2_score FROM ML.EVALUATE(MODEL d.line)").result()
        assert row.r2_score == pytest.approx(1)
        assert [model.model_id for model in client.list_models("d")] == ["line"]
        assert client.get_model("d.line").model_type == "LINEAR_REGRESSION"
        with pytest.raises(BadRequest, match=r"(?i)label"):
            client.query(CREATE.replace("['y']", "['z']")).result()
    with serve(tmp_path) as server:
        client = connect(server)
        (row,) = client.query(PREDICT).result()
        assert row.predicted_y == pytest.approx(301)
        client.delete_model("d.line")
        with pytest.raises(NotFound):
            client.query(PREDICT).result()


FIRST = "ML.PREDICT(MODEL d.third, (SELECT 7 AS x))"


def test_fields_of_probabilities_are_columns(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        client = connect(server)
        client.create_dataset("d")
        create = CREATE.replace("d.line", "d.third").replace("linear_reg", "logistic_reg")
        client.query(create.replace("3 * x + 1 AS y", "MOD(x, 3) = 0 AS y")).result()
        named = f"SELECT (SELECT c.prob FROM UNNEST(predicted_y_probs) AS c WHERE c.label) AS p FROM {FIRST}"
        ((expected,),) = client.query(named).result()
        for sql in (
            f"SELECT (SELECT prob FROM UNNEST(predicted_y_probs) WHERE label) AS p FROM {FIRST}",
            f"SELECT prob FROM {FIRST}, UNNEST(predicted_y_probs) WHERE label",
            f"WITH q AS (SELECT * FROM {FIRST}) SELECT (SELECT prob FROM UNNEST(predicted_y_probs) WHERE label) FROM q",
        ):
            assert [tuple(row) for row in client.query(sql).result()] == [(expected,)], sql
