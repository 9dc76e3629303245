"""EXPORT MODEL and imported models: what leaves predicts the same elsewhere, and what comes in predicts as it did."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from localgcp.bqml import BadRequest, Models

from tests.localgcp.bqml.conftest import PROJECT

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
NUMBERS = ["culmen_length_mm", "culmen_depth_mm", "flipper_length_mm"]
FEATURES = [*NUMBERS, "species", "island", "sex"]
FROM_PENGUINS = f"SELECT {', '.join(FEATURES)}, body_mass_g FROM d.penguins WHERE body_mass_g IS NOT NULL"
# Rows with NULLs and with a category that training never saw.
ASKED = (
    f"SELECT {', '.join(FEATURES)} FROM d.penguins UNION ALL "
    "SELECT NULL, 17.5, NULL, 'Emperor', 'Ross', 'MALE' UNION ALL SELECT 40.0, NULL, 200, NULL, NULL, NULL"
)


@pytest.fixture
def buckets(tmp_path: Path) -> Path:
    (tmp_path / "buckets" / "b").mkdir(parents=True)
    return tmp_path / "buckets"


@pytest.fixture
def models(tmp_path: Path, buckets: Path) -> Models:
    return Models(tmp_path / "models", PROJECT, buckets)


def train(run: Any, options: str, query: str = FROM_PENGUINS, clause: str = "", name: str = "d.m") -> None:
    run(f"CREATE OR REPLACE MODEL {name} {clause} OPTIONS({options}, data_split_method='NO_SPLIT') AS {query}")


def serve(folder: Path, rows: pd.DataFrame, signature: str = "serving_default") -> dict[str, np.ndarray]:
    """What TensorFlow alone makes of the rows; NULL as the documentation of model export writes it."""
    import tensorflow as tf

    function = tf.saved_model.load(str(folder)).signatures[signature]
    given = {}
    for name, spec in function.structured_input_signature[1].items():
        if spec.dtype == tf.string:
            given[name] = tf.constant([" __MISSING__ " if pd.isna(v) else v for v in rows[name]])
        else:
            given[name] = tf.constant(rows[name].astype(float).fillna(123456789.0e10).to_numpy(), spec.dtype)
    return {name: values.numpy() for name, values in function(**given).items()}


def export(run: Any, options: str = "", uri: str = "gs://b/out") -> None:
    run(f"EXPORT MODEL d.m OPTIONS(URI='{uri}'{options})")


def text(values: Any) -> list[str]:
    return [v.decode() for v in np.asarray(values).ravel()]


def probabilities(column: pd.Series, classes: list[str]) -> np.ndarray:
    """ARRAY<STRUCT<label, prob>> by the order of the classes."""
    return np.array([[next(p["prob"] for p in row if str(p["label"]) == c) for c in classes] for row in column])


def close(found: Any, expected: Any, tolerance: float = 1e-6) -> None:
    np.testing.assert_allclose(np.asarray(found, float), np.asarray(expected, float), rtol=tolerance, atol=1e-12)


LINEAR = "model_type='linear_reg', input_label_cols=['body_mass_g']"


@pytest.mark.parametrize(
    "options",
    [
        LINEAR,
        LINEAR + ", category_encoding_method='DUMMY_ENCODING', l2_reg=2.5",
        "model_type='dnn_regressor', input_label_cols=['body_mass_g'], hidden_units=[8, 4], activation_fn='selu', "
        "max_iterations=3",
    ],
)
def test_a_regression_is_served_by_tensorflow_alone(run, buckets, options):
    train(run, options)
    dnn = "dnn" in options
    export(run, ", ADD_SERVING_DEFAULT_SIGNATURE=TRUE" if dnn else "")
    expected = run(f"SELECT * FROM ML.PREDICT(MODEL d.m, ({ASKED}))")
    rows = expected[FEATURES]
    assert rows.isna().any().any() and "Emperor" in set(rows.species)
    shutil.rmtree(buckets.parent / "models")  # nothing of ours is behind it
    found = serve(buckets / "b/out", rows)
    assert list(found) == ["predicted_body_mass_g"] and found["predicted_body_mass_g"].shape == (len(rows), 1)
    close(found["predicted_body_mass_g"][:, 0], expected.predicted_body_mass_g)
    assert np.ptp(found["predicted_body_mass_g"]) > 1
    assert sorted(p.name for p in (buckets / "b/out/assets").iterdir()) == ["island.txt", "sex.txt", "species.txt"]
    if dnn:
        close(serve(buckets / "b/out", rows, "predict")["predicted_body_mass_g"], found["predicted_body_mass_g"])


def test_a_dnn_has_the_serving_default_signature_only_when_asked(run, buckets):
    import tensorflow as tf

    train(run, "model_type='dnn_regressor', input_label_cols=['body_mass_g'], max_iterations=1")
    export(run)
    assert list(tf.saved_model.load(str(buckets / "b/out")).signatures) == ["predict"]


@pytest.mark.parametrize("label, count", [("sex", 2), ("species", 3)])
def test_a_logistic_regression_is_served_by_tensorflow_alone(run, buckets, label, count):
    query = f"{FROM_PENGUINS} AND sex IN ('male', 'female') AND MOD(CAST(body_mass_g AS INT64), 3) != 0"
    train(run, f"model_type='logistic_reg', input_label_cols=['{label}'], l2_reg=1", query)
    export(run)
    expected = run(f"SELECT * FROM ML.PREDICT(MODEL d.m, (SELECT *, 4000 AS body_mass_g FROM ({ASKED})))")
    found = serve(buckets / "b/out", expected)
    classes = text(found[f"{label}_values"][0])
    assert classes == sorted(classes) and len(classes) == count
    assert text(found[f"predicted_{label}"]) == expected[f"predicted_{label}"].tolist()
    close(found[f"{label}_probs"], probabilities(expected[f"predicted_{label}_probs"], classes))
    assert len(set(text(found[f"predicted_{label}"]))) == count


@pytest.mark.parametrize("label, count", [("sex", 2), ("species", 3)])
def test_a_dnn_classifier_is_served_by_tensorflow_alone(run, buckets, label, count):
    query = f"{FROM_PENGUINS} AND sex IN ('male', 'female')"
    train(run, f"model_type='dnn_classifier', input_label_cols=['{label}'], hidden_units=[8], max_iterations=4", query)
    export(run)
    expected = run(f"SELECT * FROM ML.PREDICT(MODEL d.m, (SELECT *, 4000 AS body_mass_g FROM ({ASKED})))")
    found = serve(buckets / "b/out", expected, "predict")
    classes = text(found["all_classes"][0])
    assert found["all_class_ids"][0].tolist() == list(range(count))
    shown = probabilities(expected[f"predicted_{label}_probs"], classes)
    close(found["probabilities"], shown, 1e-4)
    assert text(found["classes"]) == expected[f"predicted_{label}"].tolist()
    assert [classes[i] for i in found["class_ids"][:, 0]] == text(found["classes"])
    assert found["logits"].shape == (len(expected), 1 if count == 2 else count)
    assert ("logistic" in found) == (count == 2)
    if count == 2:
        close(found["logistic"][:, 0], shown[:, 1], 1e-4)


@pytest.mark.parametrize("standardize", [True, False])
def test_clusters_are_served_by_tensorflow_alone(run, buckets, standardize):
    run(
        f"CREATE MODEL d.m OPTIONS(model_type='kmeans', num_clusters=4, standardize_features={standardize}) AS "
        f"SELECT {', '.join(FEATURES)} FROM d.penguins"
    )
    export(run)
    expected = run(f"SELECT * FROM ML.PREDICT(MODEL d.m, ({ASKED}))")
    found = serve(buckets / "b/out", expected)
    assert found["NEAREST_CENTROID_ID"][:, 0].tolist() == expected.CENTROID_ID.tolist()
    assert found["CENTROID_IDS"][0].tolist() == [1, 2, 3, 4]
    shown = [{d["CENTROID_ID"]: d["DISTANCE"] for d in row} for row in expected.NEAREST_CENTROIDS_DISTANCE]
    close(found["CENTROID_DISTANCES"], [[row[i] for i in (1, 2, 3, 4)] for row in shown])
    assert len(set(expected.CENTROID_ID)) > 1


def test_principal_components_are_served_by_tensorflow_alone(run, buckets):
    run(
        "CREATE MODEL d.m OPTIONS(model_type='pca', num_principal_components=3) AS "
        f"SELECT {', '.join(FEATURES)} FROM d.penguins"
    )
    export(run)
    expected = run(f"SELECT * FROM ML.PREDICT(MODEL d.m, ({ASKED}), STRUCT(TRUE AS keep_original_columns))")
    found = serve(buckets / "b/out", expected)
    assert found["PRINCIPAL_COMPONENT_IDS"][0].tolist() == [1, 2, 3]
    close(found["PRINCIPAL_COMPONENT_PROJECTIONS"], expected[[f"principal_component_{i}" for i in (1, 2, 3)]])


def test_an_autoencoder_is_served_by_tensorflow_alone(run, buckets):
    run(
        "CREATE MODEL d.m OPTIONS(model_type='autoencoder', hidden_units=[6, 2, 6], activation_fn='elu', "
        f"max_iterations=2) AS SELECT {', '.join(FEATURES)} FROM d.penguins"
    )
    export(run)
    expected = run(f"SELECT * FROM ML.PREDICT(MODEL d.m, ({ASKED}))")
    found = serve(buckets / "b/out", expected)
    assert sorted(found) == ["LATENT_COL_1", "LATENT_COL_2"]
    for i in (1, 2):
        close(found[f"LATENT_COL_{i}"][:, 0], expected[f"latent_col_{i}"], 1e-4)


@pytest.mark.parametrize("kind, user", [("EXPLICIT", "CONCAT('u', CAST(u AS STRING))"), ("IMPLICIT", "u")])
def test_recommendations_are_served_by_tensorflow_alone(run, buckets, kind, user):
    run(
        f"CREATE MODEL d.m OPTIONS(model_type='matrix_factorization', num_factors=4, feedback_type='{kind}', "
        f"user_col='who') AS SELECT {user} AS who, CONCAT('i', CAST(i AS STRING)) AS item, "
        "CAST(MOD(u * i + u, 7) AS FLOAT64) AS rating FROM UNNEST(GENERATE_ARRAY(1, 20)) AS u, "
        "UNNEST(GENERATE_ARRAY(1, 60)) AS i WHERE MOD(u + i, 3) > 0"
    )
    export(run)
    column = "predicted_rating" + ("_confidence" if kind == "IMPLICIT" else "")
    new = "'nobody'" if kind == "EXPLICIT" else "-1"
    recommended = run(
        f"SELECT * FROM ML.RECOMMEND(MODEL d.m, (SELECT {user} AS who FROM UNNEST([3, 8]) AS u UNION ALL SELECT {new}))"
    )
    users = recommended.who.drop_duplicates()
    found = serve(buckets / "b/out", users.to_frame())
    assert found[column].shape == (3, 50)
    for row, who in enumerate(users):
        mine = recommended[recommended.who == who].set_index("item")[column]
        close(found[column][row], mine.sort_values(ascending=False)[:50], 1e-6)
        close(found[column][row], mine[text(found["predicted_item"][row])], 1e-6)


TREES = {
    "boosted_tree_regressor": "body_mass_g",
    "random_forest_classifier": "sex",
    "boosted_tree_classifier": "species",
}


@pytest.mark.parametrize(
    "kind, encoding",
    [
        *((kind, encoding) for kind in TREES for encoding in ("LABEL_ENCODING", "ONE_HOT_ENCODING")),
        ("boosted_tree_regressor", "TARGET_ENCODING"),
        ("random_forest_classifier", "TARGET_ENCODING"),
    ],
)
def test_trees_are_served_by_the_exported_predictor(run, buckets, tmp_path, kind, encoding):
    label = TREES[kind]
    query = FROM_PENGUINS if label == "body_mass_g" else f"{FROM_PENGUINS} AND sex IN ('male', 'female')"
    size = "num_parallel_tree=10" if "forest" in kind else "max_iterations=5"
    train(
        run, f"model_type='{kind}', input_label_cols=['{label}'], category_encoding_method='{encoding}', {size}", query
    )
    export(run)
    out = buckets / "b/out"
    files = sorted(p.name for p in out.iterdir())
    assert files == ["assets", "main.py", "model.bst", "xgboost_predictor-0.1.tar.gz"]
    with tarfile.open(out / "xgboost_predictor-0.1.tar.gz") as archive:
        archive.extractall(tmp_path / "served", filter="data")
    spec = importlib.util.spec_from_file_location("predictor", tmp_path / "served/xgboost_predictor-0.1/predictor.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    mass = "" if label == "body_mass_g" else ", 4000 AS body_mass_g"
    expected = run(f"SELECT * FROM ML.PREDICT(MODEL d.m, (SELECT *{mass} FROM ({ASKED})))")
    metadata = json.loads((out / "assets/model_metadata.json").read_text())
    assert metadata["model_type"] == kind and metadata["label_col"] == label
    instances = [
        {name: None if pd.isna(row[name]) else row[name] for name in metadata["feature_names"]}
        for row in expected.to_dict("records")
    ]
    found = module.Predictor.from_path(str(out)).predict(instances)
    if label == "body_mass_g":
        close(found, expected.predicted_body_mass_g)
        assert np.ptp(found) > 100
        return
    assert [row[f"predicted_{label}"] for row in found] == expected[f"predicted_{label}"].tolist()
    shown = probabilities(expected[f"predicted_{label}_probs"], metadata["class_names"])
    close([row[f"{label}_probs"] for row in found], shown)


# Import


def test_what_was_exported_can_be_imported_and_outlives_its_bucket(run, buckets, models, tmp_path):
    train(run, LINEAR)
    expected = run(
        f"SELECT * FROM ML.PREDICT(MODEL d.m, (SELECT * FROM ({ASKED}) WHERE sex IS NOT NULL AND species "
        "IS NOT NULL AND island IS NOT NULL))"
    )
    export(run)
    run("CREATE MODEL d.again OPTIONS(MODEL_TYPE='TENSORFLOW', MODEL_PATH='gs://b/out/*')")
    before = files(buckets / "b/out")
    shutil.rmtree(buckets / "b")
    query = (
        f"SELECT * FROM ML.PREDICT(MODEL d.again, (SELECT * FROM ({ASKED}) WHERE sex IS NOT NULL AND species "
        "IS NOT NULL AND island IS NOT NULL))"
    )
    found = run(query)
    close([row[0] for row in found.predicted_body_mass_g], expected.predicted_body_mass_g)
    assert found.columns.tolist() == expected.columns.tolist()
    resource = models.get("d", "again")
    assert resource["modelType"] == "TENSORFLOW"
    assert {c["name"]: c["type"]["typeKind"] for c in resource["featureColumns"]} == {
        **dict.fromkeys(NUMBERS, "FLOAT64"),
        "species": "STRING",
        "island": "STRING",
        "sex": "STRING",
    }
    assert resource["trainingRuns"] == [{"trainingOptions": {"modelUri": "gs://b/out/*"}}]
    # Another process: nothing is held in memory.
    (buckets / "c").mkdir()
    later = Models(tmp_path / "models", PROJECT, buckets)
    again = later.run(query, ENGINES[-1], "d").to_pandas()
    assert again.equals(found)
    # Exporting an imported model gives the files that came in.
    later.run("EXPORT MODEL d.again OPTIONS(URI='gs://c')", ENGINES[-1])
    assert files(buckets / "c") == before
    later.run("DROP MODEL d.again", ENGINES[-1])
    with pytest.raises(BadRequest, match="Not found"):
        later.get("d", "again")


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(autouse=True)
def _engine(engine: Any) -> Any:
    ENGINES.append(engine)
    yield
    ENGINES.pop()


ENGINES: list[Any] = []


@pytest.mark.parametrize(
    "options, names",
    [
        ("model_type='logistic_reg', input_label_cols=['species'], l2_reg=1", ["species_probs"]),
        ("model_type='dnn_classifier', input_label_cols=['species'], max_iterations=1", ["probabilities", "logits"]),
        ("model_type='kmeans', num_clusters=3", ["CENTROID_DISTANCES", "NEAREST_CENTROID_ID"]),
        ("model_type='pca', num_principal_components=2", ["PRINCIPAL_COMPONENT_PROJECTIONS"]),
        ("model_type='autoencoder', hidden_units=[3], max_iterations=1", ["LATENT_COL_1", "LATENT_COL_3"]),
    ],
)
def test_an_imported_saved_model_answers_as_tensorflow_does(run, buckets, options, names):
    split = ", data_split_method='NO_SPLIT'" if "label" in options else ""
    run(f"CREATE MODEL d.m OPTIONS({options}{split}) AS SELECT {', '.join(FEATURES)} FROM d.penguins")
    export(run)
    run("CREATE MODEL d.again OPTIONS(MODEL_TYPE='TENSORFLOW', MODEL_PATH='gs://b/out/*')")
    found = run(
        f"SELECT * FROM ML.PREDICT(MODEL d.again, (SELECT {', '.join(FEATURES)} FROM d.penguins WHERE sex IS NOT NULL))"
    )
    assert len(found) > 300
    served = serve(buckets / "b/out", found, "predict" if "dnn" in options else "serving_default")
    for name in names:
        close(np.stack(found[name]), served[name])


def onnx_classifier(frame: pd.DataFrame, zipmap: bool) -> tuple[Any, bytes]:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    steps = ColumnTransformer([("n", StandardScaler(), NUMBERS), ("c", OneHotEncoder(), ["island"])])
    model = Pipeline([("before", steps), ("model", LogisticRegression(max_iter=500))])
    model.fit(frame[[*NUMBERS, "island"]], frame.species)
    types = [*((name, FloatTensorType([None, 1])) for name in NUMBERS), ("island", StringTensorType([None, 1]))]
    return model, convert_sklearn(model, initial_types=types, options={"zipmap": zipmap}).SerializeToString()


def test_a_scikit_learn_model_comes_in_as_onnx(run, buckets, models, penguins):
    frame = penguins.dropna()
    model, content = onnx_classifier(frame, zipmap=False)
    (buckets / "b/clf.onnx").write_bytes(content)
    run("CREATE MODEL d.m OPTIONS(MODEL_TYPE='ONNX', MODEL_PATH='gs://b/clf.onnx')")
    (buckets / "b/clf.onnx").unlink()
    found = run("SELECT * FROM ML.PREDICT(MODEL d.m, (SELECT * FROM d.penguins WHERE sex IS NOT NULL))")
    assert found.columns[:2].tolist() == ["label", "probabilities"] and "body_mass_g" in found
    rows = found[[*NUMBERS, "island"]].astype(dict.fromkeys(NUMBERS, "float32"))
    assert found.label.tolist() == model.predict(rows).tolist()
    close(np.stack(found.probabilities), model.predict_proba(rows), 1e-3)
    assert found.label.nunique() == 3
    assert models.get("d", "m")["modelType"] == "ONNX"
    label, probs = models.get("d", "m")["labelColumns"]
    assert label == {"name": "label", "type": {"typeKind": "STRING"}}
    assert probs["type"] == {"typeKind": "ARRAY", "arrayElementType": {"typeKind": "FLOAT64"}}
    assert run("SELECT * FROM ML.PREDICT(MODEL d.m, (SELECT * FROM d.penguins LIMIT 0))").empty


def test_an_onnx_model_takes_vectors_as_arrays(run, buckets):
    from skl2onnx import to_onnx
    from sklearn.linear_model import LinearRegression

    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    model = LinearRegression().fit(x, x @ [1, 2, 3] + 4)
    (buckets / "b/r.onnx").write_bytes(to_onnx(model, x[:1]).SerializeToString())
    run("CREATE MODEL d.m OPTIONS(MODEL_TYPE='ONNX', MODEL_PATH='gs://b/*')")
    (row,) = run("SELECT * FROM ML.PREDICT(MODEL d.m, (SELECT [1.0, 0.5, 2.0] AS X, 'a' AS k))").to_dict("records")
    close(row["variable"], [1 + 1 + 6 + 4], 1e-5)
    assert row["k"] == "a"
    for given, problem in [
        ("[1.0, 2.0] AS X", "Column X has ARRAYs of 2 values, but the model takes 3"),
        ("1.0 AS X", "Column X has type .*, but the model takes an ARRAY of 3 values"),
        ("[1.0, 2.0, 3.0] AS Y", "Column X is not found in the input data to the PREDICT function"),
        ("['a', 'b', 'c'] AS X", "Column X has type STRING, which cannot be converted to FLOAT64"),
        ("CAST(NULL AS ARRAY<FLOAT64>) AS X", "Column X has NULL"),
    ]:
        with pytest.raises(BadRequest, match=problem):
            run(f"SELECT * FROM ML.PREDICT(MODEL d.m, (SELECT {given}))")


def test_an_onnx_model_with_maps_is_refused_in_bigquerys_words(run, buckets, penguins):
    _, content = onnx_classifier(penguins.dropna(), zipmap=True)
    (buckets / "b/clf.onnx").write_bytes(content)
    with pytest.raises(BadRequest, match="'output_probability' has unsupported ONNX type: ONNX_TYPE_SEQUENCE"):
        run("CREATE MODEL d.m OPTIONS(MODEL_TYPE='ONNX', MODEL_PATH='gs://b/clf.onnx')")


def booster(names: bool, classes: int = 0) -> tuple[Any, np.ndarray]:
    import xgboost

    random = np.random.default_rng(3)
    x = random.normal(size=(300, 3))
    y = np.digitize(x[:, 0] + x[:, 1], [-0.5, 0.5]) if classes else 2 * x[:, 0] - x[:, 1] * (x[:, 2] > 0)
    known = {"feature_names": ["a", "b", "c"], "feature_types": ["float"] * 3} if names else {}
    settings = {"objective": "multi:softprob", "num_class": classes} if classes else {}
    return xgboost.train({"max_depth": 3, "nthread": 1, **settings}, xgboost.DMatrix(x, y, **known), 8), x


@pytest.mark.parametrize("form", ["bst", "json"])
def test_an_xgboost_booster_comes_in(run, buckets, engine, form):
    import xgboost

    made, x = booster(names=form == "json")
    (buckets / f"b/model.{form}").write_bytes(bytes(made.save_raw("json" if form == "json" else "ubj")))
    clause = "" if form == "json" else "INPUT(a FLOAT64, b FLOAT64, c INT64) OUTPUT(predicted_y FLOAT64)"
    output = "predicted_label" if form == "json" else "predicted_y"
    run(f"CREATE MODEL d.m {clause} OPTIONS(MODEL_TYPE='XGBOOST', MODEL_PATH='gs://b/*')")
    # Columns in another order, one NULL: a missing value for XGBoost.
    frame = pd.DataFrame({"c": x[:, 2], "k": range(len(x)), "b": x[:, 1], "a": x[:, 0]})
    frame.loc[0, "a"] = None
    engine.load("rows", frame)
    found = run("SELECT * FROM ML.PREDICT(MODEL d.m, TABLE d.rows)").sort_values("k")
    assert found.columns.tolist() == [output, "c", "k", "b", "a"]
    expected = made.predict(
        xgboost.DMatrix(
            frame[["a", "b", "c"]].to_numpy(), feature_names=made.feature_names, feature_types=made.feature_types
        )
    )
    close(found[output], expected)
    importance = run("SELECT * FROM ML.FEATURE_IMPORTANCE(MODEL d.m)").set_index("feature").importance_gain
    scores = made.get_score(importance_type="gain")
    assert importance["a"] == pytest.approx(scores["a" if form == "json" else "f0"])


def test_an_xgboost_classifier_gives_an_array(run, buckets):
    import xgboost

    made, _ = booster(names=True, classes=3)
    (buckets / "b/m.json").write_bytes(bytes(made.save_raw("json")))
    run("CREATE MODEL d.m OPTIONS(MODEL_TYPE='XGBOOST', MODEL_PATH='gs://b/m.json')")
    (row,) = run("SELECT * FROM ML.PREDICT(MODEL d.m, (SELECT 0.3 AS a, 0.4 AS b, -1 AS c))").predicted_label
    names = {"feature_names": made.feature_names, "feature_types": made.feature_types}
    close(row, made.predict(xgboost.DMatrix([[0.3, 0.4, -1.0]], **names))[0])
    assert len(row) == 3


def test_an_exported_booster_comes_back(run, buckets):
    query = f"SELECT {', '.join(NUMBERS)}, body_mass_g FROM d.penguins WHERE body_mass_g IS NOT NULL"
    train(run, "model_type='boosted_tree_regressor', input_label_cols=['body_mass_g'], max_iterations=3", query)
    export(run)
    columns = ", ".join(f"{name} FLOAT64" for name in NUMBERS)
    run(
        f"CREATE MODEL d.again INPUT({columns}) OUTPUT(predicted_body_mass_g FLOAT64) "
        "OPTIONS(MODEL_TYPE='XGBOOST', MODEL_PATH='gs://b/out/*')"
    )
    asked = f"(SELECT {', '.join(NUMBERS)} FROM d.penguins WHERE body_mass_g IS NOT NULL)"
    close(
        run(f"SELECT * FROM ML.PREDICT(MODEL d.again, {asked})").predicted_body_mass_g,
        run(f"SELECT * FROM ML.PREDICT(MODEL d.m, {asked})").predicted_body_mass_g,
    )


# Refusals


def test_what_an_import_refuses(run, buckets):
    bare, _ = booster(names=False)
    named, _ = booster(names=True)
    (buckets / "b/bare.bst").write_bytes(bytes(bare.save_raw("ubj")))
    (buckets / "b/named.json").write_bytes(bytes(named.save_raw("json")))
    (buckets / "b/empty.bst").write_bytes(b"")
    (buckets / "b/half.bst").write_bytes(bytes(bare.save_raw("ubj"))[:700])
    (buckets / "b/junk.onnx").write_bytes(b"junk")
    (buckets / "b/saved").mkdir()
    (buckets / "b/saved/saved_model.pb").write_bytes(b"junk")
    one = "INPUT(a FLOAT64) OUTPUT(y FLOAT64)"
    three = "INPUT(a FLOAT64, b FLOAT64, c {}) OUTPUT(y {})"
    for clause, options, problem in [
        ("", "'XGBOOST', MODEL_PATH='gs://b/bare.bst'", "no feature_names and feature_types"),
        (one, "'XGBOOST', MODEL_PATH='gs://b/bare.bst'", "INPUT has 1 columns, but the XGBoost model has 3 features"),
        (one, "'XGBOOST', MODEL_PATH='gs://b/named.json'", r"must be the feature_names .*\(a, b, c\)"),
        (three.format("STRING", "FLOAT64"), "'XGBOOST', MODEL_PATH='gs://b/bare.bst'", "column c has type STRING"),
        (three.format("INT64", "INT64"), "'XGBOOST', MODEL_PATH='gs://b/bare.bst'", "column y has type INT64"),
        ("INPUT(a FLOAT64)", "'XGBOOST', MODEL_PATH='gs://b/bare.bst'", "specified together"),
        (one, "'ONNX', MODEL_PATH='gs://b/junk.onnx'", "INPUT and OUTPUT cannot be specified"),
        ("", "'XGBOOST', MODEL_PATH='gs://b/empty.bst'", "empty or damaged"),
        ("", "'XGBOOST', MODEL_PATH='gs://b/half.bst'", "Cannot load the XGBoost model"),
        ("", "'XGBOOST', MODEL_PATH='gs://b/*'", "must have one .bst or .json file, found 4"),
        ("", "'ONNX', MODEL_PATH='gs://b/junk.onnx'", "Cannot load the ONNX model"),
        ("", "'ONNX', MODEL_PATH='gs://b/saved/*'", "must have one .onnx file, found 0"),
        ("", "'TENSORFLOW', MODEL_PATH='gs://b/saved/*'", "saved_model.pb is damaged"),
        ("", "'TENSORFLOW', MODEL_PATH='gs://b/junk.onnx'", "no saved_model.pb"),
        ("", "'TENSORFLOW', MODEL_PATH='gs://b/saved'", "To import a folder write gs://b/saved/\\*"),
        ("", "'TENSORFLOW', MODEL_PATH='gs://b/nothing/*'", "Not found: Uris"),
        ("", "'TENSORFLOW', MODEL_PATH='gs://other/x/*'", "Not found: Bucket other"),
        ("", "'TENSORFLOW', MODEL_PATH='gs://b/../b/*'", "Invalid Cloud Storage URI"),
        ("", "'TENSORFLOW', MODEL_PATH='saved/*'", "write gs://bucket/path"),
        ("", "'TENSORFLOW'", "MODEL_PATH must be specified"),
        ("", "'TENSORFLOW', MODEL_PATH='gs://b/saved/*', l2_reg=1", "Unknown option: l2_reg"),
        ("", "'TENSORFLOW_LITE', MODEL_PATH='gs://b/saved/*'", "UNIMPLEMENTED: MODEL_TYPE TENSORFLOW_LITE"),
        ("", "'LINEAR_REG'", "LINEAR_REG is trained: it needs a query"),
    ]:
        with pytest.raises(BadRequest, match=problem):
            run(f"CREATE MODEL d.m {clause} OPTIONS(MODEL_TYPE={options})")
    with pytest.raises(BadRequest, match="TENSORFLOW imports a model"):
        run("CREATE MODEL d.m OPTIONS(MODEL_TYPE='TENSORFLOW', MODEL_PATH='gs://b/saved/*') AS SELECT 1 AS x")


def test_a_failed_import_leaves_the_old_model(run, buckets, models):
    made, _ = booster(names=True)
    (buckets / "b/m.json").write_bytes(bytes(made.save_raw("json")))
    create = "CREATE {} d.m OPTIONS(MODEL_TYPE='XGBOOST', MODEL_PATH='gs://b/m.json')"
    run(create.format("MODEL"))
    etag = models.get("d", "m")["etag"]
    (buckets / "b/m.json").write_bytes(b'{"learner"')
    with pytest.raises(BadRequest, match="Cannot load"):
        run(create.format("OR REPLACE MODEL"))
    run(create.format("MODEL IF NOT EXISTS"))
    with pytest.raises(BadRequest, match="Already Exists"):
        run(create.format("MODEL"))
    assert models.get("d", "m")["etag"] == etag
    assert len(run("SELECT * FROM ML.PREDICT(MODEL d.m, (SELECT 1 AS a, 2 AS b, 3 AS c))")) == 1
    for function in ("EVALUATE", "WEIGHTS", "TRAINING_INFO", "FEATURE_INFO", "GLOBAL_EXPLAIN", "CENTROIDS"):
        with pytest.raises(BadRequest, match=f"ML.{function} is not supported for model type XGBOOST"):
            run(f"SELECT * FROM ML.{function}(MODEL d.m)")
    with pytest.raises(BadRequest, match="EXPORT MODEL is not supported for model type XGBOOST"):
        export(run)


def saved(folder: Path, function: Any) -> None:
    import tensorflow as tf

    module = tf.Module()
    module.f = function
    tf.saved_model.save(module, str(folder), signatures=module.f)


def test_columns_of_a_saved_model(run, buckets):
    import tensorflow as tf

    rows = tf.TensorSpec([None], tf.string, "name"), tf.TensorSpec([None, 1], tf.int32, "n")
    rows += tf.TensorSpec([None, None], tf.float32, "v"), tf.TensorSpec([None], tf.bool, "flag")

    @tf.function(input_signature=rows)
    def f(name, n, v, flag):
        return {
            "long": tf.strings.length(name),
            "twice": n * 2,
            "total": tf.reduce_sum(v, 1),
            "no": ~flag,
            "word": tf.strings.upper(name)[:, None],
        }

    saved(buckets / "b/m", f)
    run("CREATE MODEL d.m OPTIONS(MODEL_TYPE='TENSORFLOW', MODEL_PATH='gs://b/m/*')")
    good = {"name": "'abc'", "n": "7", "v": "[1.5, 2.0]", "FLAG": "TRUE", "extra": "1"}

    def predict(**changed: str | None) -> Any:
        columns = {name: value for name, value in {**good, **changed}.items() if value is not None}
        return run(
            f"SELECT * FROM ML.PREDICT(MODEL d.m, (SELECT {', '.join(f'{v} AS {n}' for n, v in columns.items())}))"
        )

    (row,) = predict().to_dict("records")
    assert (row["long"], row["twice"], row["total"], row["no"], row["word"]) == (3, [14], 3.5, False, ["ABC"])
    assert row["extra"] == 1
    assert predict(n="[7]").twice[0] == [14]
    for changed, problem in [
        ({"name": "1"}, "Column name has type INT64, but the model takes STRING"),
        ({"name": "CAST(NULL AS STRING)"}, "Column name has NULL"),
        ({"name": "['a']"}, "Column name is an ARRAY"),
        ({"n": "1.5"}, "Column n has type .*, but the model takes INT64"),
        ({"n": "5000000000"}, "Column n has values that do not fit the model's int32"),
        ({"n": "[1, 2]"}, "Column n has ARRAYs of 2 values, but the model takes 1"),
        ({"v": None}, "Column v is not found in the input data to the PREDICT function"),
        ({"v": "1.0"}, "Column v has type .*, but the model takes an ARRAY of any number of values"),
    ]:
        with pytest.raises(BadRequest, match=problem):
            predict(**changed)
    with pytest.raises(BadRequest, match="Column v has ARRAYs of different lengths: 1, 2"):
        run(
            "SELECT * FROM ML.PREDICT(MODEL d.m, (SELECT 'a' AS name, 1 AS n, TRUE AS flag, [1.0] AS v UNION ALL "
            "SELECT 'a', 1, TRUE, [1.0, 2.0]))"
        )


def test_a_saved_model_may_not_reach_out(run, buckets, tmp_path):
    import tensorflow as tf

    secret = tmp_path / "secret"
    secret.write_text("secret")

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def f(x):
        return {"y": tf.fill([tf.size(x)], tf.io.read_file(str(secret)))}

    saved(buckets / "b/m", f)
    with pytest.raises(BadRequest, match="not supported: ReadFile"):
        run("CREATE MODEL d.m OPTIONS(MODEL_TYPE='TENSORFLOW', MODEL_PATH='gs://b/m/*')")


def test_what_an_export_refuses(run, buckets, tmp_path, engine):
    train(run, LINEAR, f"SELECT {NUMBERS[0]}, body_mass_g FROM d.penguins")
    (buckets / "b/file").write_bytes(b"x")
    for options, problem in [
        ("", "needs a destination"),
        ("OPTIONS(URI='gs://missing/x')", "Not found: Bucket missing"),
        ("OPTIONS(URI='gs://b/../b/x')", "Invalid Cloud Storage URI"),
        ("OPTIONS(URI='gs://b/x/*')", "cannot have a"),
        ("OPTIONS(URI='out')", "Invalid Cloud Storage URI"),
        ("OPTIONS(URI='gs://b/file/x')", "an object has the name of this folder"),
        ("OPTIONS(URI='gs://b/x', TRIAL_ID=2)", "trial_id can only be specified"),
        ("OPTIONS(URI='gs://b/x', TRIAL=1)", "Unknown option: trial"),
        ("OPTIONS(URI='gs://b/x', ADD_SERVING_DEFAULT_SIGNATURE='yes')", "expected a BOOL"),
    ]:
        with pytest.raises(BadRequest, match=problem):
            run(f"EXPORT MODEL d.m {options}")
    with pytest.raises(BadRequest, match=f"Not found: Model {PROJECT}:d.nothing"):
        run("EXPORT MODEL d.nothing OPTIONS(URI='gs://b/x')")
    with pytest.raises(BadRequest, match="started without Cloud Storage buckets"):
        Models(tmp_path / "models", PROJECT).run("EXPORT MODEL d.m OPTIONS(URI='gs://b/x')", engine)
    assert [p.name for p in buckets.rglob("*")] == ["b", "file"]


@pytest.mark.parametrize(
    "feature, problem",
    [
        ("TIMESTAMP_SECONDS(x * 100000)", "feature f of type TIMESTAMP"),
        ("[CAST(x AS FLOAT64), 1.0]", "feature f of type ARRAY"),
        ("STRUCT(TIMESTAMP_SECONDS(x) AS t)", "feature f of type TIMESTAMP"),
    ],
)
def test_types_of_features_that_the_service_does_not_export(run, buckets, feature, problem):
    train(run, "model_type='linear_reg'", f"SELECT {feature} AS f, x AS label FROM UNNEST(GENERATE_ARRAY(1, 30)) AS x")
    with pytest.raises(BadRequest, match=problem):
        export(run)
    assert not list((buckets / "b").iterdir())


def test_other_types_of_features(run, buckets):
    query = (
        "SELECT STRUCT(x AS n, IF(MOD(x, 2) = 0, 'even', 'odd') AS parity) AS s, MOD(x, 3) = 0 AS flag, "
        "DATE_ADD(DATE '2024-01-01', INTERVAL MOD(x, 4) DAY) AS day, CAST(x AS NUMERIC) AS money, {} AS odd_text, "
        "x * 1.5 AS label FROM UNNEST(GENERATE_ARRAY(1, 40)) AS x"
    ).format("CASE MOD(x, 3) WHEN 0 THEN '' WHEN 1 THEN ' a\\nb' END")
    train(run, "model_type='linear_reg', l2_reg=3", query)
    export(run)
    expected = run(f"SELECT * FROM ML.PREDICT(MODEL d.m, ({query}))")
    rows = expected.assign(
        s_n=[s["n"] for s in expected.s],
        s_parity=[s["parity"] for s in expected.s],
        day=expected.day.astype(str),
        money=expected.money.astype(float),
    )
    assert rows.day.str.fullmatch(r"2024-01-0\d").all() and rows.odd_text.isna().any()
    close(serve(buckets / "b/out", rows)["predicted_label"][:, 0], expected.predicted_label)


def test_forecasts_cannot_be_exported(run, buckets):
    run(
        "CREATE MODEL d.m OPTIONS(model_type='arima_plus', time_series_timestamp_col='t', time_series_data_col='y', "
        "auto_arima=FALSE, non_seasonal_order=(1, 0, 0)) AS SELECT DATE_ADD(DATE '2024-01-01', INTERVAL x DAY) AS t, "
        "MOD(x * 7, 5) AS y FROM UNNEST(GENERATE_ARRAY(1, 40)) AS x"
    )
    with pytest.raises(BadRequest, match="EXPORT MODEL is not supported for model type ARIMA_PLUS"):
        export(run)


def test_a_trial_is_exported_by_its_number(run, buckets):
    train(run, LINEAR + ", num_trials=3, l2_reg=HPARAM_CANDIDATES([0, 1000, 100000])", FROM_PENGUINS)
    found = {}
    for trial in (1, 2, 3):
        export(run, f", TRIAL_ID={trial}", f"gs://b/t{trial}")
        asked = f"SELECT {', '.join(FEATURES)} FROM d.penguins"
        expected = run(f"SELECT * FROM ML.PREDICT(MODEL d.m, ({asked}), STRUCT({trial} AS trial_id))")
        found[trial] = serve(buckets / f"b/t{trial}", expected)["predicted_body_mass_g"][:, 0]
        close(found[trial], expected.predicted_body_mass_g)
    assert abs(found[1] - found[2]).max() > 1 and abs(found[2] - found[3]).max() > 1


def test_an_export_over_another_replaces_its_files_and_keeps_others(run, buckets):
    train(run, LINEAR, f"SELECT {NUMBERS[0]}, species, body_mass_g FROM d.penguins")
    export(run)
    (buckets / "b/out/notes.txt").write_text("mine")
    train(run, LINEAR, f"SELECT {NUMBERS[1]}, species, body_mass_g FROM d.penguins")
    export(run)
    expected = run(f"SELECT * FROM ML.PREDICT(MODEL d.m, (SELECT {NUMBERS[1]}, species FROM d.penguins))")
    close(serve(buckets / "b/out", expected)["predicted_body_mass_g"][:, 0], expected.predicted_body_mass_g)
    assert (buckets / "b/out/notes.txt").read_text() == "mine"
    assert [p.name for p in buckets.iterdir()] == ["b"]  # no scratch folder is left


def test_out_and_in_through_the_real_client(tmp_path, buckets):
    from google.api_core import exceptions
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery
    from localgcp.bigquery import start

    models = Models(tmp_path / "models", PROJECT, buckets)
    with start(tmp_path / "bigquery", PROJECT, [models], buckets=buckets) as server:
        client = bigquery.Client(
            PROJECT, AnonymousCredentials(), client_options={"api_endpoint": server.url}, location="US"
        )
        client.create_dataset("d")
        client.query(
            "CREATE MODEL d.line OPTIONS(model_type='linear_reg', input_label_cols=['y'], "
            "data_split_method='NO_SPLIT') AS SELECT x, 3 * x + 1 AS y FROM UNNEST(GENERATE_ARRAY(1, 50)) AS x"
        ).result()
        job = client.query("EXPORT MODEL d.line OPTIONS(URI='gs://b/sql/')")
        job.result()
        assert job.statement_type == "EXPORT_MODEL"
        reference = bigquery.ModelReference.from_string(f"{PROJECT}.d.line")
        client.extract_table(reference, "gs://b/job", source_type="Model").result()
        assert sorted(files(buckets / "b/job")) == sorted(files(buckets / "b/sql"))
        client.query("CREATE MODEL d.again OPTIONS(MODEL_TYPE='TENSORFLOW', MODEL_PATH='gs://b/job/*')").result()
        (row,) = client.query("SELECT * FROM ML.PREDICT(MODEL d.again, (SELECT 100.0 AS x, 'k' AS key))").result()
        assert row.predicted_y == [pytest.approx(301)] and row.key == "k"
        assert {m.model_id: m.model_type for m in client.list_models("d")} == {
            "line": "LINEAR_REGRESSION",
            "again": "TENSORFLOW",
        }
        found = client.get_model("d.again")
        assert [(c.name, c.type.type_kind.name) for c in found.feature_columns] == [("x", "FLOAT64")]
        with pytest.raises(exceptions.NotFound, match="Bucket missing"):
            client.query("EXPORT MODEL d.line OPTIONS(URI='gs://missing/x')").result()
        with pytest.raises(exceptions.NotFound, match="Not found: Model"):
            client.extract_table(f"{PROJECT}.d.nothing", "gs://b/x", source_type="Model").result()
        with pytest.raises(exceptions.BadRequest, match=r"ML\.EVALUATE is not supported for model type TENSORFLOW"):
            client.query("SELECT * FROM ML.EVALUATE(MODEL d.again)").result()
        client.query("DROP MODEL d.again").result()
        assert [m.model_id for m in client.list_models("d")] == ["line"]


# TRANSFORM


ROWS = (
    "SELECT x, CAST(x * 0.37 - 3 AS FLOAT64) AS f, IF(MOD(x, 7) = 0, NULL, MOD(x, 11)) AS n, "
    "IF(MOD(x, 5) = 0, NULL, CONCAT('Word', CAST(MOD(x, 4) AS STRING))) AS word, MOD(x, 2) = 0 AS flag, "
    "CAST(x AS NUMERIC) AS money, DATE_ADD(DATE '2024-01-01', INTERVAL MOD(x, 3) DAY) AS day, x * 2.5 AS label "
    "FROM UNNEST(GENERATE_ARRAY(1, 80)) AS x"
)


def transformed(folder: Path, rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """The exported TRANSFORM on raw columns, by TensorFlow alone."""
    import tensorflow as tf

    function = tf.saved_model.load(str(folder)).signatures["serving_default"]
    given = {}
    for name, spec in function.structured_input_signature[1].items():
        null = {tf.string: " __MISSING__ ", tf.int64: 1234567890000000000, tf.float64: 123456789.0e10}.get(spec.dtype)
        values = [null if pd.isna(v) else v for v in rows[name]]
        kinds = {tf.int64: int, tf.float64: float, tf.bool: bool, tf.string: str}
        given[name] = tf.constant([kinds[spec.dtype](v) for v in values], spec.dtype)
    return {name: values.numpy() for name, values in function(**given).items()}


EXPRESSIONS = [
    "ML.STANDARD_SCALER(n) OVER()",
    "ML.MIN_MAX_SCALER(f) OVER()",
    "ML.MAX_ABS_SCALER(money) OVER()",
    "ML.ROBUST_SCALER(f) OVER()",
    "ML.IMPUTER(n, 'mean') OVER()",
    "ML.IMPUTER(word, 'most_frequent') OVER()",
    "ML.STANDARD_SCALER(ML.IMPUTER(n, 'median') OVER()) OVER()",
    "ML.BUCKETIZE(n, [2, 5, 9])",
    "ML.QUANTILE_BUCKETIZE(f, 4, 'bucket_ranges') OVER()",
    "ML.LABEL_ENCODER(word) OVER()",
    "n",
    "word",
    "flag",
    "day",
    "money / 3",
    "x * 2 + n - 1",
    "f * x / (n + 1)",
    "-f",
    "f - AVG(f) OVER()",
    "ABS(f) + ABS(-x)",
    "EXP(f / 10) + LN(x) + SQRT(x) + FLOOR(f) + CEIL(f)",
    "IF(n > 5, 'many', 'few')",
    "IF(n > 5 AND word = 'Word1', 1, 0)",
    "IF(n > 5 OR word = 'Word1', 1.5, NULL)",
    "IF(NOT (n > 5 AND word != 'Word1'), 'a', 'b')",
    "IF(n IS NULL, 'none', IF(word IS NOT NULL, 'both', 'one'))",
    "IF(n BETWEEN 2 AND 4, 'in', 'out')",
    "IF(word IN ('Word1', 'Word2'), 'in', 'out')",
    "IF(n NOT IN (1, 2), 'out', 'in')",
    "CASE WHEN f < 0 THEN 'low' WHEN f < 10 THEN 'mid' END",
    "CASE n WHEN 1 THEN 10 WHEN 2 THEN 20 ELSE x END",
    "COALESCE(n, x)",
    "IFNULL(word, 'none')",
    "CAST(f AS INT64)",
    "CAST(n AS FLOAT64) / 2",
    "CAST(flag AS INT64)",
    "CONCAT(CAST(n AS STRING), '-', LOWER(word))",
    "UPPER(word)",
    "LENGTH(word) + 1",
    "SAFE_DIVIDE(x, n)",
]


def test_a_transform_clause_is_served_by_tensorflow_alone(run, buckets):
    import tensorflow as tf

    listed = ", ".join(f"{expression} AS c{i}" for i, expression in enumerate(EXPRESSIONS))
    train(run, "model_type='linear_reg', l2_reg=1", ROWS, f"TRANSFORM({listed}, x AS k, label)")
    export(run)
    out = buckets / "b/out"
    expected = run(f"SELECT * FROM ML.TRANSFORM(MODEL d.m, ({ROWS}))").sort_values("k")
    found = transformed(out / "transform", run(ROWS).sort_values("x"))
    assert sorted(found) == sorted([*(f"c{i}" for i in range(len(EXPRESSIONS))), "k"])
    for i, expression in enumerate(EXPRESSIONS):
        column = found[f"c{i}"]
        null = {"O": b" __MISSING__ ", "i": 1234567890000000000, "f": 123456789.0e10, "b": None}[column.dtype.kind]
        for ours, theirs in zip(column, expected[f"c{i}"], strict=True):
            if pd.isna(theirs):
                assert ours == null, expression
            elif isinstance(ours, bytes):
                assert ours.decode() == str(theirs), expression
            else:
                assert float(ours) == pytest.approx(float(theirs), rel=1e-9, abs=1e-12), expression
        assert len(set(column)) > 1, expression
    # The model reads what the clause wrote, integers as FLOAT64: both together are ML.PREDICT.
    given = {k: tf.cast(v, tf.float64) if v.dtype == np.int64 else tf.constant(v) for k, v in found.items()}
    predicted = tf.saved_model.load(str(out)).signatures["serving_default"](**given)["predicted_label"].numpy()[:, 0]
    close(predicted, run(f"SELECT * FROM ML.PREDICT(MODEL d.m, ({ROWS}))").sort_values("x").predicted_label)


@pytest.mark.parametrize(
    "expression, problem",
    [
        ("ML.ONE_HOT_ENCODER(word) OVER()", "ML.ONE_HOT_ENCODER"),
        ("ML.POLYNOMIAL_EXPAND(STRUCT(f, n))", "UNIMPLEMENTED"),
        ("ML.FEATURE_CROSS(STRUCT(word, CAST(flag AS STRING) AS t))", "UNIMPLEMENTED"),
        ("ML.HASH_BUCKETIZE(word, 10)", "UNIMPLEMENTED"),
        ("EXTRACT(MONTH FROM day)", "UNIMPLEMENTED.*EXTRACT"),
        ("REGEXP_REPLACE(word, 'W', 'w')", "UNIMPLEMENTED.*REGEXP_REPLACE"),
        ("word < 'Word2'", "UNIMPLEMENTED.*of STRING and STRING"),
        ("n > 5", "UNIMPLEMENTED.*BOOL made can be NULL"),
        ("CAST(f AS STRING)", "UNIMPLEMENTED.*CAST"),
    ],
)
def test_a_transform_clause_that_cannot_be_exported(run, buckets, expression, problem):
    train(run, "model_type='linear_reg', l2_reg=1", ROWS, f"TRANSFORM({expression} AS made, f AS g, label)")
    with pytest.raises(BadRequest, match=problem):
        export(run)
    assert not list((buckets / "b").iterdir())


def test_an_exported_transform_ends_where_sql_does(run, buckets):
    import tensorflow as tf

    train(run, "model_type='linear_reg'", ROWS, "TRANSFORM(1 / f AS made, LN(x) AS l, label)")
    export(run)
    function = tf.saved_model.load(str(buckets / "b/out/transform")).signatures["serving_default"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="division by zero"):
        function(f=tf.constant([0.0], tf.float64), x=tf.constant([1], tf.int64))
    with pytest.raises(tf.errors.InvalidArgumentError, match="not positive"):
        function(f=tf.constant([1.0], tf.float64), x=tf.constant([0], tf.int64))


def test_a_tree_model_with_a_transform_clause(run, buckets):
    train(
        run,
        "model_type='boosted_tree_regressor', max_iterations=3",
        ROWS,
        "TRANSFORM(ML.LABEL_ENCODER(word) OVER() AS code, f * 2 AS g, label)",
    )
    export(run)
    out = buckets / "b/out"
    assert sorted(p.name for p in out.iterdir()) == [
        "assets",
        "main.py",
        "model.bst",
        "transform",
        "xgboost_predictor-0.1.tar.gz",
    ]
    import xgboost

    found = transformed(out / "transform", run(ROWS))
    model = xgboost.Booster(model_file=bytearray((out / "model.bst").read_bytes()))
    order = json.loads((out / "assets/model_metadata.json").read_text())["feature_names"]
    close(
        model.predict(xgboost.DMatrix(np.column_stack([found[name] for name in order]))),
        run(f"SELECT * FROM ML.PREDICT(MODEL d.m, ({ROWS}))").predicted_label,
    )
