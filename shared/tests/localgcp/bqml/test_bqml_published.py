"""Equal to figures that BigQuery ML itself published for the public penguins table.

Sources: the linear regression notebook and the system tests of BigQuery DataFrames, whose models run on the service.
"""

from __future__ import annotations

import pytest

LINEAR = "CREATE MODEL d.m OPTIONS(model_type='linear_reg', input_label_cols=['body_mass_g']) AS SELECT"
NEW = """(SELECT 'Adelie' AS species, 'Torgersen' AS island, 39.5 AS culmen_length_mm, 18.8 AS culmen_depth_mm,
 196.0 AS flipper_length_mm, 3750.0 AS body_mass_g, 'male' AS sex
 UNION ALL SELECT 'Adelie', 'Torgersen', 38.5, 17.2, 181.0, 5200.0, 'female'
 UNION ALL SELECT 'Chinstrap', 'Dream', 37.9, 18.1, 188.0, 3325.0, 'female')"""


def test_linear_regression_of_adelie_penguins(run):
    run(
        f"{LINEAR} * EXCEPT (species) FROM d.penguins "
        "WHERE species = 'Adelie' AND body_mass_g IS NOT NULL AND sex IS NOT NULL"
    )
    found = run("SELECT * FROM ML.EVALUATE(MODEL d.m)")
    assert list(found) == [
        "mean_absolute_error",
        "mean_squared_error",
        "mean_squared_log_error",
        "median_absolute_error",
        "r2_score",
        "explained_variance",
    ]
    assert found.round(6).iloc[0, :5].tolist() == [223.878763, 78553.601634, 0.005614, 181.330911, 0.623951]


def test_linear_regression_of_all_penguins(run):
    run(f"{LINEAR} * FROM d.penguins WHERE body_mass_g IS NOT NULL")
    found = run("SELECT * FROM ML.EVALUATE(MODEL d.m)").iloc[0]
    assert found.mean_absolute_error == pytest.approx(227.01223667447218, rel=1e-12)
    assert found.mean_squared_error == pytest.approx(81838.15989216768, rel=1e-12)
    assert found.round(6)[["median_absolute_error", "r2_score"]].tolist() == [173.080816, 0.872377]
    predicted = run(f"SELECT * FROM ML.PREDICT(MODEL d.m, {NEW})")
    assert predicted.predicted_body_mass_g.round(1).tolist() == [4030.1, 3280.8, 3177.9]


def test_linear_regression_on_rows_without_null(run):
    run(f"{LINEAR} * FROM d.penguins WHERE body_mass_g IS NOT NULL")
    found = run(
        "SELECT * FROM ML.EVALUATE(MODEL d.m, (SELECT * FROM d.penguins WHERE sex IS NOT NULL AND body_mass_g > 0))"
    ).iloc[0]
    assert found.round(6)[["mean_absolute_error", "mean_squared_error", "r2_score"]].tolist() == [
        225.817334,
        80540.705944,
        0.87529,
    ]


def test_principal_components(run):
    run("CREATE MODEL d.p OPTIONS(model_type='pca', num_principal_components=3) AS SELECT * FROM d.penguins")
    info = run("SELECT * FROM ML.PRINCIPAL_COMPONENT_INFO(MODEL d.p)")
    assert info.principal_component_id.tolist() == [0, 1, 2]
    assert info.eigenvalue.round(6).tolist() == [3.278657, 1.270829, 1.125354]
    assert info.explained_variance_ratio.round(6).tolist() == [0.469357, 0.181926, 0.1611]
    assert info.cumulative_explained_variance_ratio.round(6).tolist() == [0.469357, 0.651283, 0.812383]
    first = run("SELECT * FROM ML.PRINCIPAL_COMPONENTS(MODEL d.p) WHERE principal_component_id = 0")
    numbers = dict(zip(first.feature, first.numerical_value.round(6)))
    assert [numbers[f] for f in ("culmen_length_mm", "culmen_depth_mm", "flipper_length_mm", "body_mass_g")] == [
        0.401489,
        -0.377482,
        0.524052,
        0.501174,
    ]
    categories = {pair["category"]: pair["value"] for pair in first.set_index("feature").categorical_value["sex"]}
    published = {
        ".": 0.0015916894448071784,
        "male": 0.06869704739750442,
        "female": -0.052521171596813174,
        "_null_filler": -0.0034628622681684906,
    }
    assert categories == pytest.approx(published, rel=1e-9)


def test_anomalies_by_principal_components(run):
    run("CREATE MODEL d.p OPTIONS(model_type='pca', num_principal_components=3) AS SELECT * FROM d.penguins")
    found = run(f"SELECT * FROM ML.DETECT_ANOMALIES(MODEL d.p, STRUCT(0.25 AS contamination), {NEW})")
    assert list(found)[:2] == ["is_anomaly", "mean_squared_error"]
    assert found.is_anomaly.tolist() == [True, True, True]
    assert found.mean_squared_error.round(6).tolist() == [0.254188, 0.731243, 0.298889]
