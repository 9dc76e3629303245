"""What happens to the data before training: encoding, TRANSFORM, splits, preprocessing functions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from localgcp.bqml import BadRequest


def column(run, sql: str) -> list:
    return run(sql).output.tolist()


# The examples of the documentation, each with the result that it prints.


def test_scalers(run):
    five = "FROM UNNEST([1, 2, 3, 4, 5]) AS f ORDER BY f"
    assert column(run, f"SELECT f, ML.MIN_MAX_SCALER(f) OVER () AS output {five}") == [0, 0.25, 0.5, 0.75, 1]
    found = column(run, f"SELECT f, ML.STANDARD_SCALER(f) OVER () AS output {five}")
    assert found == pytest.approx([-1.2649110640673518, -0.6324555320336759, 0, 0.6324555320336759, 1.2649110640673518])
    robust = run(
        "SELECT f, ML.ROBUST_SCALER(f) OVER () AS output FROM UNNEST([NULL, -3, 1, 2, 3, 4, 5]) AS f "
        "WHERE f IS NOT NULL ORDER BY f"
    ).output
    assert robust.tolist() == pytest.approx([-5 / 3, -1 / 3, 0, 1 / 3, 2 / 3, 1])


def test_imputer(run):
    numbers = run(
        "SELECT f, ML.IMPUTER(f, 'mean') OVER () AS output FROM UNNEST([NULL, -3, -3, -3, 1, 2, 3, 4, 5]) AS f"
    )
    assert numbers[numbers.f.isna()].output.tolist() == [0.75]
    texts = column(
        run,
        "SELECT ML.IMPUTER(f, 'most_frequent') OVER () AS output "
        "FROM UNNEST([NULL, 'a', 'a', 'b', 'c', 'c', 'c']) AS f",
    )
    assert texts.count("c") == 4


def test_buckets(run):
    found = run(
        "SELECT ML.BUCKETIZE(2.5, [1, 2, 3]) AS a, ML.BUCKETIZE(2.5, [1, 2, 3], TRUE) AS b, "
        "ML.BUCKETIZE(2.5, [1, 2, 3], FALSE, 'bucket_ranges') AS c, "
        "ML.BUCKETIZE(2.5, [1, 2, 3], FALSE, 'bucket_ranges_json') AS d"
    )
    assert found.iloc[0].tolist() == ["bin_3", "bin_2", "[2, 3)", '{"start": "2", "end": "3"}']
    quantiles = run(
        "SELECT f, ML.QUANTILE_BUCKETIZE(f, 3) OVER () AS a, ML.QUANTILE_BUCKETIZE(f, 3, 'bucket_ranges') OVER () AS b "
        "FROM UNNEST([1, 2, 3, 4, 5]) AS f ORDER BY f"
    )
    assert quantiles.a.tolist() == ["bin_1", "bin_2", "bin_2", "bin_3", "bin_3"]
    assert quantiles.b.tolist() == ["(-inf, 2)", "[2, 4)", "[2, 4)", "[4, +inf)", "[4, +inf)"]
    assert column(
        run, "SELECT f, ML.HASH_BUCKETIZE(f, 3) AS output FROM UNNEST(['a', 'b', 'c', 'd']) AS f ORDER BY f"
    ) == [0, 1, 1, 2]


def test_encoders(run):
    letters = "FROM UNNEST(['a', 'b', 'b', 'c', 'c', 'c', 'd', 'd']) AS f ORDER BY f"
    assert column(run, f"SELECT f, ML.LABEL_ENCODER(f, 2, 2) OVER () AS output {letters}") == [0, 1, 1, 2, 2, 2, 0, 0]
    found = column(run, f"SELECT f, ML.ONE_HOT_ENCODER(f, 'most_frequent', 10, 0) OVER () AS output {letters}")
    pairs = [(one[0]["index"], one[0]["value"]) for one in found]
    assert pairs == [(1, 1), (2, 1), (2, 1), (3, 0), (3, 0), (3, 0), (4, 1), (4, 1)]


def test_crosses_polynomials_and_ngrams(run):
    assert column(run, "SELECT ML.FEATURE_CROSS(STRUCT('a' AS f1, 'b' AS f2, 'c' AS f3)) AS output") == [
        {"f1_f2": "a_b", "f1_f3": "a_c", "f2_f3": "b_c"}
    ]
    polynomial = column(run, "SELECT ML.POLYNOMIAL_EXPAND(STRUCT(2 AS f1, 3 AS f2)) AS output")[0]
    assert list(polynomial.items()) == [("f1", 2), ("f1_f1", 4), ("f1_f2", 6), ("f2", 3), ("f2_f2", 9)]
    grams = column(run, "SELECT ML.NGRAMS(['a', 'b', 'c'], [2, 3], '#') AS output")
    assert list(grams[0]) == ["a#b", "a#b#c", "b#c"]


def test_functions_inside_other_sql(run):
    found = run(
        "WITH t AS (SELECT island, AVG(body_mass_g) AS m FROM d.penguins GROUP BY island) "
        "SELECT *, ROUND(ML.MIN_MAX_SCALER(m) OVER () * 10) AS s FROM t ORDER BY m LIMIT 2"
    )
    assert list(found) == ["island", "m", "s"] and found.s.iloc[0] == 0 and len(found) == 2
    counted = run(
        "SELECT b, COUNT(*) AS n FROM (SELECT ML.BUCKETIZE(body_mass_g, [4000]) AS b FROM d.penguins) "
        "GROUP BY b ORDER BY b"
    )
    assert counted.b.dropna().tolist() == ["bin_1", "bin_2"] and counted.n.sum() == 344


@pytest.mark.parametrize(
    "sql, message",
    [
        ("SELECT ML.STANDARD_SCALER(1)", "without an OVER clause"),
        ("SELECT ML.BUCKETIZE(1, [2]) OVER ()", "does not support an OVER clause"),
        ("SELECT ML.NO_SUCH(1)", "Function not found: ML.NO_SUCH"),
        ("SELECT ML.NORMALIZER([1.0])", "UNIMPLEMENTED"),
        ("SELECT ML.BUCKETIZE(1, [3, 2])", "ascending"),
        ("SELECT 1 FROM d.penguins WHERE ML.BUCKETIZE(body_mass_g, [3]) = 'bin_1'", "outside the SELECT list"),
    ],
)
def test_wrong_use_of_functions_is_refused(run, sql, message):
    with pytest.raises(BadRequest, match=message):
        run(sql)


# TRANSFORM


def test_transform_remembers_what_training_taught(run):
    run(
        "CREATE MODEL d.m TRANSFORM("
        "ML.STANDARD_SCALER(culmen_length_mm) OVER () AS z, culmen_depth_mm - AVG(culmen_depth_mm) OVER () AS depth, "
        "ML.FEATURE_CROSS(STRUCT(ML.QUANTILE_BUCKETIZE(flipper_length_mm, 3) OVER () AS b, island)) AS cross_, "
        "body_mass_g AS label) OPTIONS(model_type='linear_reg') AS SELECT * FROM d.penguins"
    )
    one = "(SELECT * EXCEPT (body_mass_g) FROM d.penguins WHERE culmen_length_mm = 39.1 AND culmen_depth_mm = 18.7)"
    row = run(f"SELECT * FROM ML.TRANSFORM(MODEL d.m, {one})").iloc[0]
    assert row.z == pytest.approx((39.1 - 43.9219298) / 5.4595837, rel=1e-6)
    assert row.depth == pytest.approx(18.7 - 17.1511696, rel=1e-6)
    assert row.cross_ == {"b_island": "bin_1_Torgersen"}
    predicted = run(f"SELECT * FROM ML.PREDICT(MODEL d.m, {one})")
    assert list(predicted)[:2] == ["predicted_label", "species"]
    everywhere = run("SELECT * FROM ML.PREDICT(MODEL d.m, TABLE d.penguins) WHERE culmen_length_mm = 39.1")
    assert predicted.predicted_label.iloc[0] in everywhere.predicted_label.tolist()
    inputs = run("SELECT * FROM ML.FEATURE_INFO(MODEL d.m)").input.tolist()
    assert "flipper_length_mm" in inputs and "z" not in inputs
    with pytest.raises(BadRequest, match="Column island is not found in the input data to the PREDICT function"):
        run("SELECT * FROM ML.PREDICT(MODEL d.m, (SELECT * EXCEPT (island) FROM d.penguins))")


def test_transform_star_and_mistakes(run):
    run(
        "CREATE MODEL d.m TRANSFORM(* EXCEPT (species, sex), ML.LABEL_ENCODER(species) OVER () AS s) "
        "OPTIONS(model_type='linear_reg', input_label_cols=['body_mass_g']) AS SELECT * FROM d.penguins"
    )
    names = run("SELECT processed_input FROM ML.WEIGHTS(MODEL d.m)").processed_input.tolist()
    assert names == ["island", "culmen_length_mm", "culmen_depth_mm", "flipper_length_mm", "s", "__INTERCEPT__"]

    def create(clause: str) -> None:
        run(
            f"CREATE MODEL d.n TRANSFORM({clause}, body_mass_g AS label) OPTIONS(model_type='linear_reg') "
            "AS SELECT * FROM d.penguins"
        )

    for clause, message in [
        ("culmen_length_mm + 1", "needs a name"),
        ("nothing + 1 AS n", "Unrecognized name: nothing"),
        ("AVG(culmen_length_mm) OVER (PARTITION BY island) AS a", "empty OVER"),
        ("island, island", "Duplicate column name"),
    ]:
        with pytest.raises(BadRequest, match=message):
            create(clause)


# Splits


@pytest.fixture
def many(engine):
    random = np.random.default_rng(0)
    frame = pd.DataFrame({"x": random.normal(size=1000), "t": np.arange(1000)})
    frame["label"] = frame.x * 2 + random.normal(size=1000)
    frame["held"] = pd.array([None if i % 10 == 0 else i % 10 == 1 for i in range(1000)], dtype="boolean")
    engine.load("many", frame)
    return frame


def held_out(models, run, options: str, select: str = "x, label", order: str = "") -> pd.DataFrame:
    run(f"CREATE OR REPLACE MODEL d.s OPTIONS(model_type='linear_reg'{options}) AS SELECT {select} FROM d.many {order}")
    return models._record(("d", "s"), None).held_out.to_pandas()


def test_splits(models, run, many):
    assert len(held_out(models, run, "")) == 200
    assert len(held_out(models, run, ", data_split_method='NO_SPLIT'")) == 1000
    some = ", data_split_method='RANDOM', data_split_eval_fraction=0.3"
    assert len(held_out(models, run, some)) == 300
    again = held_out(models, run, some, order="ORDER BY x")
    assert set(again.x) == set(held_out(models, run, some).x)  # of the rows' content, not of their order
    custom = held_out(models, run, ", data_split_method='CUSTOM', data_split_col='held'", "x, label, held")
    assert list(custom) == ["x", "label"] and len(custom) == 200  # TRUE and NULL evaluate
    latest = held_out(
        models, run, ", data_split_method='SEQ', data_split_col='t', data_split_eval_fraction=0.1", "x, label, t"
    )
    assert set(latest.x) == set(many.x[900:])
    info = run("SELECT * FROM ML.TRAINING_INFO(MODEL d.s)").iloc[0]
    assert info.eval_loss == pytest.approx(run("SELECT * FROM ML.EVALUATE(MODEL d.s)").mean_squared_error.iloc[0])


@pytest.mark.parametrize(
    "options, message",
    [
        (", data_split_method='CUSTOM'", "DATA_SPLIT_COL must be specified"),
        (", data_split_method='CUSTOM', data_split_col='t'", "must be of type BOOL"),
        (", data_split_method='SEQ', data_split_col='nothing'", "nothing is not found"),
        (", data_split_col='t'", "can only be used when DATA_SPLIT_METHOD is CUSTOM or SEQ"),
        (", data_split_eval_fraction=0.2", "can only be used when DATA_SPLIT_METHOD is RANDOM or SEQ"),
    ],
)
def test_wrong_splits_are_refused(models, run, many, options, message):
    with pytest.raises(BadRequest, match=message):
        held_out(models, run, options, "x, label, t")


# Encoding


def test_timestamps_structs_and_arrays_become_features(run):
    run(
        "CREATE MODEL d.m OPTIONS(model_type='linear_reg', l2_reg=1.0) AS SELECT "
        "TIMESTAMP_ADD(TIMESTAMP '2024-01-01 10:30:00 UTC', INTERVAL n HOUR) AS ts, "
        "STRUCT(n AS a, CONCAT('k', CAST(MOD(n, 3) AS STRING)) AS b) AS st, "
        "['u', CONCAT('v', CAST(MOD(n, 2) AS STRING))] AS tags, "
        "n * 2.0 AS label FROM UNNEST(GENERATE_ARRAY(1, 60)) AS n"
    )
    table = run("SELECT * FROM ML.WEIGHTS(MODEL d.m)")
    names = table.processed_input.tolist()
    assert names[:8] == ["ts"] + [f"_TS_{part}_ts" for part in ("DOM", "DOW", "MOY", "HOD", "MOH", "WOY", "YEAR")]
    assert names[8:] == ["st_a", "st_b", "tags", "__INTERCEPT__"]
    weekdays = {p["category"] for p in table.set_index("processed_input").category_weights["_TS_DOW_ts"]}
    assert weekdays == {"2", "3", "4"}  # Monday to Wednesday, Sunday being 1


def test_missing_and_unseen_values_at_prediction(run):
    run(
        "CREATE MODEL d.m OPTIONS(model_type='linear_reg', input_label_cols=['body_mass_g']) AS "
        "SELECT island, culmen_length_mm, body_mass_g FROM d.penguins"
    )
    rows = run(
        "SELECT * FROM ML.PREDICT(MODEL d.m, (SELECT 'Mars' AS island, 43.92192982456142 AS culmen_length_mm "
        "UNION ALL SELECT 'Mars', NULL))"
    )
    assert rows.predicted_body_mass_g.round(6).nunique() == 1  # NULL is the mean, and an unknown island weighs nothing
    with pytest.raises(BadRequest, match="trained on a number"):
        run("SELECT * FROM ML.PREDICT(MODEL d.m, (SELECT 'Dream' AS island, 'x' AS culmen_length_mm))")
