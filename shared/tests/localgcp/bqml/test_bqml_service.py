"""The entry point: statements, names, errors, persistence and the REST resource."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from localgcp.bqml import BadRequest, Models

from tests.localgcp.bqml.conftest import PROJECT, DuckEngine

CREATE = (
    "CREATE MODEL {} OPTIONS(model_type='linear_reg', input_label_cols=['body_mass_g']) "
    "AS SELECT island, body_mass_g FROM d.penguins"
)


@pytest.mark.parametrize(
    "sql, expected",
    [
        ("create or replace model d.m OPTIONS(a=1) AS SELECT 1", True),
        ("DROP MODEL IF EXISTS d.m", True),
        ("-- a comment\nSELECT * FROM ml.predict(MODEL `d.m`, TABLE d.t)", True),
        ("SELECT ML.BUCKETIZE(x, [1]) FROM t", True),
        ("SELECT 'ML.PREDICT(MODEL m)' AS s", False),
        ("SELECT t.ML.f(1)", False),
        ("CREATE TABLE d.model AS SELECT 1", False),
        ("SELECT 'unclosed", False),
    ],
)
def test_handles(models, sql, expected):
    assert models.handles(sql) is expected


def test_names_and_lifecycle(models, engine, run):
    run(CREATE.format("m"))
    with pytest.raises(BadRequest, match=f"Already Exists: Model {PROJECT}:d.m") as error:
        run(CREATE.format("d.m"))
    assert (error.value.code, error.value.reason) == (409, "duplicate")
    before = models.get("d", "m")["etag"]
    run(CREATE.format("d.m").replace("MODEL", "MODEL IF NOT EXISTS", 1))
    assert models.get("d", "m")["etag"] == before
    run(CREATE.format(f"`{PROJECT}.d.m`").replace("CREATE", "CREATE OR REPLACE", 1))
    assert models.get("d", "m")["etag"] != before
    run(f"DROP MODEL `{PROJECT}`.d.m")
    run("DROP MODEL IF EXISTS d.m")
    with pytest.raises(BadRequest, match=f"Not found: Model {PROJECT}:d.m") as error:
        run("SELECT * FROM ML.EVALUATE(MODEL d.m)")
    assert error.value.code == 404
    with pytest.raises(BadRequest, match="missing dataset"):
        models.run("SELECT * FROM ML.WEIGHTS(MODEL m)", engine)


def test_calls_nest_and_take_part_in_queries(run):
    run(CREATE.format("d.m"))
    run(CREATE.format("d.n"))
    found = run(
        """
        WITH base AS (SELECT * FROM d.penguins WHERE species = 'Gentoo'),
             scored AS (SELECT * FROM ML.PREDICT(MODEL d.m, (SELECT * FROM base)))
        SELECT s.island, COUNT(*) AS n, MAX(w.weight) AS intercept
        FROM ML.PREDICT(
            MODEL d.n, (WITH x AS (SELECT * EXCEPT (predicted_body_mass_g) FROM scored) SELECT * FROM x)) AS s
        JOIN ML.WEIGHTS(MODEL d.m) AS w ON w.processed_input = '__INTERCEPT__'
        GROUP BY s.island
        """
    )
    assert found.island.tolist() == ["Biscoe"] and found.n.tolist() == [124] and found.intercept.notna().all()
    run("CREATE TABLE d.kept AS SELECT * FROM ML.WEIGHTS(MODEL d.m)")
    assert len(run("SELECT * FROM d.kept")) == 2
    run(
        "CREATE MODEL d.second OPTIONS(model_type='linear_reg', input_label_cols=['body_mass_g']) AS "
        "SELECT predicted_body_mass_g AS p, body_mass_g FROM ML.PREDICT(MODEL d.m, TABLE d.penguins)"
    )
    with pytest.raises(BadRequest, match="UNIMPLEMENTED: a view"):
        run("CREATE VIEW d.v AS SELECT * FROM ML.WEIGHTS(MODEL d.m)")


@pytest.mark.parametrize(
    "options, message",
    [
        ("model_type='linear_reg', no_such=1", "Unknown option: no_such"),
        ("model_type='linear_reg', l1_reg='much'", "invalid value 'much': expected a FLOAT64"),
        ("model_type='linear_reg', num_clusters=3", "Unknown option: num_clusters"),
        ("model_type='no_such'", "Invalid model type: no_such"),
        ("model_type='automl_regressor'", "UNIMPLEMENTED: MODEL_TYPE AUTOML_REGRESSOR"),
        ("l1_reg=1.0", "Model type must be specified"),
        ("model_type='linear_reg', input_label_cols=['weight']", "Invalid label column: weight"),
        ("model_type='linear_reg'", "Unable to identify the label column"),
        ("model_type='linear_reg', input_label_cols=['island']", "needs a numeric label"),
        ("model_type='logistic_reg', input_label_cols=['body_mass_g']", "at most 50 unique labels"),
        ("model_type='linear_reg', warm_start=TRUE", "UNIMPLEMENTED: option warm_start"),
        ("model_type='linear_reg', l1_reg=-1.0", r"must be in \[0"),
        ("model_type='linear_reg', l1_reg=1.0, l1_reg=2.0", "Duplicate option"),
        ("model_type='linear_reg', l1_reg=(SELECT 1)", "must be a constant"),
        ("model_type='kmeans', num_clusters=1", r"must be in \[2, 100\]"),
        ("model_type='kmeans', distance_type='COSINE'", "UNIMPLEMENTED: option distance_type"),
        ("model_type='pca'", "Either NUM_PRINCIPAL_COMPONENTS or"),
    ],
)
def test_wrong_options_are_refused(models, run, options, message):
    with pytest.raises(BadRequest, match=message):
        run(f"CREATE MODEL d.m OPTIONS({options}) AS SELECT island, body_mass_g FROM d.penguins")
    assert models.list("d") == []


@pytest.mark.parametrize(
    "sql, message",
    [
        ("SELECT * FROM ML.PREDICT(MODEL d.m)", "an input TABLE or query is required"),
        ("SELECT * FROM ML.WEIGHTS(MODEL d.m, TABLE d.penguins)", "takes no input table"),
        ("SELECT * FROM ML.PREDICT(MODEL d.m, TABLE d.penguins, STRUCT(1 AS nothing))", "unknown setting nothing"),
        (
            "SELECT * FROM ML.EVALUATE(MODEL d.m, TABLE d.penguins, STRUCT(0.5 AS threshold))",
            "not supported for model type",
        ),
        ("SELECT * FROM ML.CENTROIDS(MODEL d.m)", "ML.CENTROIDS is not supported for model type LINEAR_REG"),
        ("SELECT * FROM ML.NO_SUCH(MODEL d.m)", "Table-valued function not found: ML.NO_SUCH"),
        ("SELECT * FROM ML.GENERATE_TEXT(MODEL d.m, TABLE d.penguins)", "UNIMPLEMENTED: ML.GENERATE_TEXT"),
        (
            "SELECT * FROM ML.PREDICT(MODEL d.m, (SELECT 1 AS x))",
            "Column island is not found in the input data to the PREDICT",
        ),
        ("SELECT * FROM ML.TRIAL_INFO(MODEL d.m)", "hyperparameter tuning"),
        ("EXPORT MODEL d.m OPTIONS(uri='gs://b/m')", "started without Cloud Storage buckets"),
        ("CREATE MODEL d.r REMOTE WITH CONNECTION `us.c` OPTIONS(endpoint='x')", "UNIMPLEMENTED"),
        ("CREATE MODEL d.r OPTIONS(model_type='linear_reg' AS SELECT 1", "Syntax error"),
    ],
)
def test_wrong_calls_are_refused(run, sql, message):
    run(CREATE.format("d.m"))
    with pytest.raises(BadRequest, match=message):
        run(sql)


def test_models_survive_a_restart(models, engine, run, tmp_path):
    run(CREATE.format("d.m"))
    run(
        "CREATE MODEL d.t OPTIONS(model_type='boosted_tree_classifier', input_label_cols=['species']) "
        "AS SELECT * FROM d.penguins"
    )
    query = "SELECT SUM(predicted_body_mass_g) AS s FROM ML.PREDICT(MODEL d.m, TABLE d.penguins)"
    before = run(query).s[0]
    again = Models(tmp_path / "models", PROJECT)
    assert again.run(query, engine)["s"][0].as_py() == before
    assert len(again.run("SELECT * FROM ML.PREDICT(MODEL d.t, TABLE d.penguins)", engine)) == 344
    assert [m["modelReference"]["modelId"] for m in again.list("d")] == ["m", "t"]
    again.delete("d", "m")
    assert [m["modelReference"]["modelId"] for m in again.list("d")] == ["t"]
    assert not list((tmp_path / "models" / "d").glob("m.*"))


def test_a_job_names_the_dataset_and_a_server_lists_and_deletes(models, engine):
    job = SimpleNamespace(dataset=f"{PROJECT}.d")
    models.run(CREATE.format("m"), engine, job)
    assert len(models.run("SELECT * FROM ML.WEIGHTS(MODEL m)", engine, job)) == 2
    assert [m["trainingRuns"][0]["results"][0]["index"] for m in models.models(PROJECT, "d")] == [0]
    assert models.models("other", "d") == []
    assert models.delete_model(PROJECT, "d", "m") and not models.delete_model(PROJECT, "d", "m")


def test_resource(models, run):
    run(
        "CREATE MODEL d.b OPTIONS(model_type='logistic_reg', input_label_cols=['sex'], l2_reg=0.5) "
        "AS SELECT * FROM d.penguins WHERE sex != '.'"
    )
    found = models.get("d", "b")
    assert found["modelType"] == "LOGISTIC_REGRESSION"
    assert found["modelReference"] == {"projectId": PROJECT, "datasetId": "d", "modelId": "b"}
    assert found["labelColumns"] == [{"name": "predicted_sex", "type": {"typeKind": "STRING"}}]
    assert {"name": "body_mass_g", "type": {"typeKind": "FLOAT64"}} in found["featureColumns"]
    run_ = found["trainingRuns"][0]
    assert run_["trainingOptions"]["l2Regularization"] == 0.5
    assert run_["trainingOptions"]["inputLabelColumns"] == ["sex"]
    assert run_["evaluationMetrics"]["binaryClassificationMetrics"]["positiveLabel"] == "male"
    assert (
        0.9 < run_["evaluationMetrics"]["binaryClassificationMetrics"]["aggregateClassificationMetrics"]["rocAuc"] < 1
    )


KILLED = """
import os, sys
from pathlib import Path
from localgcp.bqml import store
from localgcp.bqml.service import Models
from tests.localgcp.bqml.conftest import DuckEngine, PROJECT
engine = DuckEngine()
replace = os.replace
def killed(*names):
    os.kill(os.getpid(), 9)
store.os.replace = killed
Models(Path(sys.argv[1]), PROJECT).run(
    "CREATE OR REPLACE MODEL d.m OPTIONS(model_type='linear_reg') "
    "AS SELECT x, x * 3 AS label FROM UNNEST([1, 2, 3]) AS x",
    engine,
)
"""


def test_a_model_can_be_deleted_while_another_trains(models, run, engine):
    """Who deletes a dataset holds the engine, for which a training may be waiting."""
    run("CREATE MODEL d.m OPTIONS(model_type='linear_reg') AS SELECT x, x * 2 AS label FROM UNNEST([1, 2, 3]) AS x")
    rows, deleted = engine.query, []

    def held(sql):
        thread = threading.Thread(target=lambda: deleted.append(models.delete_model(PROJECT, "d", "m")), daemon=True)
        thread.start()
        thread.join(5)
        return rows(sql)

    engine.query = held
    run("CREATE MODEL d.n OPTIONS(model_type='linear_reg') AS SELECT x, x * 2 AS label FROM UNNEST([1, 2, 3]) AS x")
    assert deleted[0] is True
    assert [model["modelReference"]["modelId"] for model in models.list("d")] == ["n"]


def test_a_kill_in_create_model_leaves_the_old_one(models, run, engine, tmp_path):
    run("CREATE MODEL d.m OPTIONS(model_type='linear_reg') AS SELECT x, x * 2 AS label FROM UNNEST([1, 2, 3]) AS x")
    shared = Path(__file__).resolve().parents[3]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "models")], env={**os.environ, "PYTHONPATH": str(shared)}
    )
    assert killed.returncode == -signal.SIGKILL
    again = Models(tmp_path / "models", PROJECT)
    found = again.run("SELECT * FROM ML.PREDICT(MODEL d.m, (SELECT 10 AS x))", engine)
    assert found["predicted_label"][0].as_py() == pytest.approx(20)
    assert [m["modelReference"]["modelId"] for m in again.list("d")] == ["m"]


def test_importing_is_light():
    """Model libraries load when a model needs them, not with the server."""
    shared = Path(__file__).resolve().parents[3]
    heavy = "{'sklearn', 'xgboost', 'statsmodels', 'tensorflow'}"
    code = f"import sys, localgcp.bqml; print(sorted({heavy} & set(sys.modules)))"
    out = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(shared)}, capture_output=True, text=True
    )
    assert out.stdout.strip() == "[]", out.stderr


def test_engine_is_left_as_it_was(engine, run):
    assert isinstance(engine, DuckEngine)
    run(CREATE.format("d.m"))
    with pytest.raises(Exception, match="no_such_column"):
        run("SELECT no_such_column FROM ML.WEIGHTS(MODEL d.m)")
    assert not engine.temporary
