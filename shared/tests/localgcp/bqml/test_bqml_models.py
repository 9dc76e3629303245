"""Clusters, trees, recommenders, forecasts and tuning, each against its definition or the library called directly."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from localgcp.bqml import BadRequest

# k-means


def test_kmeans_is_a_fixed_point_of_its_definition(run, models):
    options = "model_type='kmeans', num_clusters=4, kmeans_init_method='kmeans++', max_iterations=50, early_stop=FALSE"
    run(f"CREATE MODEL d.k OPTIONS({options}) AS SELECT * EXCEPT (sex) FROM d.penguins")
    model = models._record(("d", "k"), None).model
    rows = models._record(("d", "k"), None).held_out
    x = model.encoder.matrix(rows)
    nearest = np.linalg.norm(x[:, None] - model.centroids[None], axis=2).argmin(axis=1)
    means = np.array([x[nearest == k].mean(axis=0) for k in range(4)])
    assert model.centroids == pytest.approx(means)
    predicted = run("SELECT * FROM ML.PREDICT(MODEL d.k, TABLE d.penguins)")
    assert list(predicted)[:3] == ["CENTROID_ID", "NEAREST_CENTROIDS_DISTANCE", "species"]
    assert (predicted.CENTROID_ID - 1).tolist() == nearest.tolist()
    assert (
        predicted.NEAREST_CENTROIDS_DISTANCE.map(lambda near: near[0]["CENTROID_ID"]).tolist() == (nearest + 1).tolist()
    )
    figures = run("SELECT * FROM ML.EVALUATE(MODEL d.k)").iloc[0]
    from sklearn.metrics import davies_bouldin_score

    assert figures.davies_bouldin_index == pytest.approx(davies_bouldin_score(x, nearest))
    assert figures.mean_squared_distance == pytest.approx(((x - means[nearest]) ** 2).sum(axis=1).mean())
    info = run("SELECT * FROM ML.TRAINING_INFO(MODEL d.k)")
    assert "eval_loss" not in info and sum(c["cluster_size"] for c in info.cluster_info.iloc[-1]) == 344


def test_kmeans_starts_where_it_is_told(run):
    run(
        "CREATE MODEL d.k OPTIONS(model_type='kmeans', num_clusters=2, kmeans_init_method='custom', "
        "kmeans_init_col='first') AS SELECT body_mass_g, body_mass_g IN (2700, 6300) AS first FROM d.penguins"
    )
    found = run("SELECT * FROM ML.CENTROIDS(MODEL d.k)")
    assert found.feature.tolist() == ["body_mass_g"] * 2 and sorted(found.numerical_value.round(-2)) == [3700, 5100]
    with pytest.raises(BadRequest, match="marks 2 rows, but NUM_CLUSTERS is 3"):
        run(
            "CREATE OR REPLACE MODEL d.k OPTIONS(model_type='kmeans', num_clusters=3, kmeans_init_method='custom', "
            "kmeans_init_col='first') AS SELECT body_mass_g, body_mass_g IN (2700, 6300) AS first FROM d.penguins"
        )


def test_contamination_is_the_share_of_training_rows(run):
    run("CREATE MODEL d.k OPTIONS(model_type='kmeans', num_clusters=3) AS SELECT * FROM d.penguins")
    found = run("SELECT * FROM ML.DETECT_ANOMALIES(MODEL d.k, STRUCT(0.1 AS contamination), TABLE d.penguins)")
    assert list(found)[:4] == ["is_anomaly", "normalized_distance", "CENTROID_ID", "species"]
    assert abs(found.is_anomaly.mean() - 0.1) < 0.01
    with pytest.raises(BadRequest, match="contamination must be specified"):
        run("SELECT * FROM ML.DETECT_ANOMALIES(MODEL d.k, TABLE d.penguins)")


# Trees


def test_boosted_tree_equals_xgboost(run, penguins):
    import xgboost

    rows = "FROM d.penguins WHERE body_mass_g IS NOT NULL"
    run(
        "CREATE MODEL d.t OPTIONS(model_type='boosted_tree_regressor', input_label_cols=['body_mass_g'], "
        f"max_iterations=10, early_stop=FALSE, max_tree_depth=4) AS SELECT * EXCEPT (sex) {rows}"
    )
    known = penguins[penguins.body_mass_g.notna()]
    codes = {name: {v: i + 1 for i, v in enumerate(sorted(known[name].unique()))} for name in ("species", "island")}
    x = known[["species", "island", "culmen_length_mm", "culmen_depth_mm", "flipper_length_mm"]].copy()
    for name, table in codes.items():
        x[name] = x[name].map(table)
    direct = xgboost.train(
        {"max_depth": 4, "eta": 0.3, "tree_method": "hist", "base_score": 0.5, "seed": 0},
        xgboost.DMatrix(x.to_numpy(float), known.body_mass_g),
        10,
    ).predict(xgboost.DMatrix(x.to_numpy(float)))
    found = run(f"SELECT * FROM ML.PREDICT(MODEL d.t, (SELECT * {rows}))")
    assert np.sort(found.predicted_body_mass_g) == pytest.approx(np.sort(direct), rel=1e-5)
    explained = run(f"SELECT * FROM ML.EXPLAIN_PREDICT(MODEL d.t, (SELECT * {rows}))")
    total = explained.top_feature_attributions.map(lambda pairs: sum(p["attribution"] for p in pairs))
    assert (explained.baseline_prediction_value + total).to_numpy() == pytest.approx(
        explained.prediction_value.to_numpy(), rel=1e-4
    )
    importance = run("SELECT * FROM ML.FEATURE_IMPORTANCE(MODEL d.t)")
    assert list(importance) == ["feature", "importance_weight", "importance_gain", "importance_cover"]
    assert set(importance.feature) == set(x.columns)


@pytest.mark.parametrize("kind", ["boosted_tree_classifier", "random_forest_classifier"])
def test_tree_classifiers(run, kind):
    run(
        f"CREATE MODEL d.t OPTIONS(model_type='{kind}', input_label_cols=['species'], auto_class_weights=TRUE) "
        "AS SELECT * FROM d.penguins"
    )
    figures = run("SELECT * FROM ML.EVALUATE(MODEL d.t)").iloc[0]
    assert figures.accuracy > 0.97 and figures.roc_auc > 0.99
    predicted = run("SELECT * FROM ML.PREDICT(MODEL d.t, TABLE d.penguins)")
    sums = predicted.predicted_species_probs.map(lambda pairs: sum(p["prob"] for p in pairs))
    assert sums.to_numpy() == pytest.approx(1, abs=1e-5)
    explained = run("SELECT * FROM ML.EXPLAIN_PREDICT(MODEL d.t, TABLE d.penguins, STRUCT(2 AS top_k_features))")
    assert explained.top_feature_attributions.map(len).eq(2).all()


def test_early_stop_watches_the_held_out_rows(run):
    base = "model_type='boosted_tree_regressor', input_label_cols=['body_mass_g'], data_split_method='RANDOM', "
    base += "data_split_eval_fraction=0.3, max_iterations=30"
    run(f"CREATE MODEL d.t OPTIONS({base}) AS SELECT * FROM d.penguins")
    stopped = run("SELECT * FROM ML.TRAINING_INFO(MODEL d.t)")
    assert len(stopped) < 30 and stopped.eval_loss.iloc[-1] > stopped.eval_loss.iloc[-2] * 0.99
    run(f"CREATE OR REPLACE MODEL d.t OPTIONS({base}, early_stop=FALSE) AS SELECT * FROM d.penguins")
    assert len(run("SELECT * FROM ML.TRAINING_INFO(MODEL d.t)")) == 30
    with pytest.raises(BadRequest, match="DROPOUT can only be specified when BOOSTER_TYPE is DART"):
        run(f"CREATE MODEL d.u OPTIONS({base}, dropout=0.1) AS SELECT * FROM d.penguins")


# Recommenders


@pytest.fixture
def ratings(engine):
    random = np.random.default_rng(3)
    user, item = random.integers(0, 60, 2500), random.integers(0, 40, 2500)
    taste, kind = random.normal(size=(60, 2)), random.normal(size=(40, 2))
    frame = pd.DataFrame({"user": user, "item": [f"i{i}" for i in item]})
    frame["rating"] = 3 + (taste[user] * kind[item]).sum(axis=1) + random.normal(0, 0.1, 2500)
    frame = frame.drop_duplicates(["user", "item"])
    engine.load("ratings", frame)
    engine.load("clicks", frame.assign(rating=(frame.rating > 3).astype(float) * 3))
    return frame


def test_explicit_factorization(run, models, ratings):
    options = "model_type='matrix_factorization', num_factors=4, l2_reg=0.1, early_stop=FALSE, max_iterations=30"
    run(f"CREATE MODEL d.f OPTIONS({options}) AS SELECT * FROM d.ratings")
    assert run("SELECT * FROM ML.EVALUATE(MODEL d.f)").r2_score.iloc[0] > 0.97
    everything = run("SELECT * FROM ML.RECOMMEND(MODEL d.f)")
    assert list(everything) == ["predicted_rating", "user", "item"] and len(everything) == 60 * 40
    table = run("SELECT * FROM ML.WEIGHTS(MODEL d.f)")
    assert table.feature.iloc[-1] == "global__intercept__" and len(table) == 60 + 40 + 1
    factors = {(r.processed_input, r.feature): r for r in table.itertuples()}
    one = everything.iloc[7]
    user, item = factors["user", str(one.user)], factors["item", one["item"]]
    product = sum(a["weight"] * b["weight"] for a, b in zip(user.factor_weights, item.factor_weights))
    assert table.intercept.iloc[-1] + user.intercept + item.intercept + product == pytest.approx(one.predicted_rating)
    mine = run("SELECT * FROM ML.RECOMMEND(MODEL d.f, (SELECT 5 AS user))")
    assert len(mine) == 40 and set(mine.user) == {5}
    unseen = run("SELECT * FROM ML.RECOMMEND(MODEL d.f, (SELECT 5 AS user, 'new' AS item))").iloc[0]
    assert unseen.predicted_rating == pytest.approx(table.intercept.iloc[-1] + factors["user", "5"].intercept)
    with pytest.raises(BadRequest, match=r"use ML\.RECOMMEND"):
        run("SELECT * FROM ML.PREDICT(MODEL d.f, TABLE d.ratings)")


def test_implicit_factorization_is_at_a_stationary_point_of_the_documented_loss(run, models, ratings):
    options = "model_type='matrix_factorization', feedback_type='implicit', num_factors=3, l2_reg=5.0, wals_alpha=2.0"
    run(f"CREATE MODEL d.f OPTIONS({options}, max_iterations=300, early_stop=FALSE) AS SELECT * FROM d.clicks")
    model = models._record(("d", "f"), None).model
    r = np.zeros((60, 40))
    user, item = model.pair_indices(models._record(("d", "f"), None).held_out)
    np.add.at(r, (user, item), models._record(("d", "f"), None).held_out["rating"].to_numpy())
    error = (1 + 2.0 * r) * (model.user_factors @ model.item_factors.T - (r > 0))
    gradient = error @ model.item_factors + 5.0 * model.user_factors
    assert np.abs(gradient).max() < 1e-2
    assert "predicted_rating_confidence" in run("SELECT * FROM ML.RECOMMEND(MODEL d.f)")
    assert list(run("SELECT * FROM ML.EVALUATE(MODEL d.f)")) == [
        "recall",
        "mean_squared_error",
        "normalized_discounted_cumulative_gain",
        "average_rank",
    ]


# Forecasts


@pytest.fixture
def days(engine):
    random = np.random.default_rng(1)
    n = np.arange(200)
    frame = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=200).date})
    frame["y"] = 100 + 0.5 * n + 12 * np.sin(2 * np.pi * n / 7) + random.normal(0, 1, 200)
    frame.loc[90, "y"] += 80
    engine.load("days", frame)
    engine.load("past", frame[:180])
    return frame


ARIMA = "model_type='arima_plus', time_series_timestamp_col='day', time_series_data_col='y', horizon=30"


def test_arima_finds_trend_season_and_spike(run, days):
    run(f"CREATE MODEL d.a OPTIONS({ARIMA}) AS SELECT * FROM d.past")
    found = run("SELECT * FROM ML.FORECAST(MODEL d.a, STRUCT(20 AS horizon, 0.9 AS confidence_level))")
    assert list(found) == [
        "forecast_timestamp",
        "forecast_value",
        "standard_error",
        "confidence_level",
        "prediction_interval_lower_bound",
        "prediction_interval_upper_bound",
        "confidence_interval_lower_bound",
        "confidence_interval_upper_bound",
    ]
    assert str(found.forecast_timestamp.iloc[0]) == "2024-06-29 00:00:00+00:00"
    error = (found.forecast_value - days.y[180:].to_numpy()).abs()
    naive = np.abs(days.y[173:180].to_numpy()[np.arange(20) % 7] - days.y[180:].to_numpy())
    assert error.mean() < 2.5 < naive.mean()
    half = (found.prediction_interval_upper_bound - found.forecast_value) / found.standard_error
    assert half.to_numpy() == pytest.approx(1.6448536)
    best = run("SELECT * FROM ML.ARIMA_EVALUATE(MODEL d.a, STRUCT(FALSE AS show_all_candidate_models))")
    assert len(best) == 1 and list(best.seasonal_periods[0]) == ["WEEKLY"] and best.has_spikes_and_dips[0]
    every = run("SELECT * FROM ML.ARIMA_EVALUATE(MODEL d.a)")
    assert len(every) == {0: 6, 1: 12, 2: 6}[best.non_seasonal_d[0]]  # as many as documented for order 2
    assert every.AIC.min() == best.AIC[0]
    history = run("SELECT * FROM ML.EXPLAIN_FORECAST(MODEL d.a, STRUCT(5 AS horizon))").fillna(0)
    parts = history.trend + history.seasonal_period_weekly + history.spikes_and_dips + history.residual
    assert parts.to_numpy() == pytest.approx(history.time_series_data.to_numpy())
    adjusted = history.time_series_data - history.spikes_and_dips
    assert history.time_series_adjusted_data.to_numpy() == pytest.approx(adjusted.to_numpy())
    odd = run("SELECT * FROM ML.DETECT_ANOMALIES(MODEL d.a, STRUCT(0.999 AS anomaly_prob_threshold)) WHERE is_anomaly")
    assert pd.Timestamp("2024-03-31", tz="UTC") in odd.day.tolist() and len(odd) < 5
    scored = run("SELECT * FROM ML.EVALUATE(MODEL d.a, TABLE d.days)").iloc[0]
    assert scored.mean_absolute_error == pytest.approx(error.mean())
    share = (error / days.y[180:].to_numpy()).mean() * 100
    assert scored.mean_absolute_percentage_error == pytest.approx(share)
    with pytest.raises(BadRequest, match=r"horizon must be in \[1, 30\]"):
        run("SELECT * FROM ML.FORECAST(MODEL d.a, STRUCT(31 AS horizon))")


def test_forecast_equals_statsmodels(run, days):
    from statsmodels.tsa.arima.model import ARIMA as Direct

    options = f"{ARIMA}, auto_arima=FALSE, non_seasonal_order=(1, 1, 1), include_drift=TRUE, "
    options += "seasonalities=['NO_SEASONALITY'], clean_spikes_and_dips=FALSE"
    run(f"CREATE MODEL d.a OPTIONS({options}) AS SELECT * FROM d.past")
    found = run("SELECT * FROM ML.FORECAST(MODEL d.a, STRUCT(10 AS horizon))")
    direct = Direct(days.y[:180].to_numpy(), order=(1, 1, 1), trend="t").fit().get_forecast(10)
    assert found.forecast_value.to_numpy() == pytest.approx(direct.predicted_mean, rel=0.01)
    assert found.standard_error.to_numpy() == pytest.approx(direct.se_mean, rel=0.02)


def test_several_series_gaps_and_duplicates(run, engine, days):
    past = days[:180].copy()
    past.loc[90, "y"] -= 80
    doubled = pd.concat(
        [past.assign(id="b"), past.assign(id="b"), past.drop(index=[50, 51]).assign(id="a", y=past.y * 2)]
    )
    engine.load("several", doubled)
    run(
        f"CREATE MODEL d.a OPTIONS({ARIMA}, time_series_id_col='id', auto_arima_max_order=1) AS SELECT * FROM d.several"
    )
    found = run("SELECT * FROM ML.FORECAST(MODEL d.a, STRUCT(2 AS horizon))")
    assert found.id.tolist() == ["a", "a", "b", "b"] and found.columns[0] == "id"
    assert found.forecast_value[0] / found.forecast_value[2] == pytest.approx(2, rel=0.02)
    assert len(run("SELECT * FROM ML.ARIMA_EVALUATE(MODEL d.a)")) == 2
    scored = run(
        "SELECT * FROM ML.EVALUATE(MODEL d.a, (SELECT day, y, 'b' AS id FROM d.days), "
        "STRUCT(FALSE AS perform_aggregation))"
    )
    assert list(scored)[3:] == [
        "forecasted_y",
        "lower_bound",
        "upper_bound",
        "absolute_error",
        "absolute_percentage_error",
    ]
    assert scored.forecasted_y.notna().sum() == 20


# Tuning


def test_tuning_keeps_the_best_trial(run, engine):
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(600, 4)), columns=list("abcd"))
    frame["label"] = frame.a + random.normal(size=600)
    engine.load("rows", frame)
    run(
        "CREATE MODEL d.h OPTIONS(model_type='linear_reg', num_trials=4, "
        "l2_reg=HPARAM_CANDIDATES([0, 10, 1000, 100000]), hparam_tuning_algorithm='GRID_SEARCH', "
        "hparam_tuning_objectives=['MEAN_SQUARED_ERROR']) AS SELECT * FROM d.rows"
    )
    trials = run("SELECT * FROM ML.TRIAL_INFO(MODEL d.h)")
    assert list(trials) == [
        "trial_id",
        "hyperparameters",
        "hparam_tuning_evaluation_metrics",
        "training_loss",
        "eval_loss",
        "status",
        "error_message",
        "is_optimal",
    ]
    assert [h["l2_reg"] for h in trials.hyperparameters] == [0, 10, 1000, 100000] and trials.is_optimal.sum() == 1
    scores = trials.hparam_tuning_evaluation_metrics.map(lambda m: m["mean_squared_error"])
    assert trials.is_optimal.idxmax() == scores.idxmin()
    assert run("SELECT * FROM ML.EVALUATE(MODEL d.h)").trial_id.tolist() == [1, 2, 3, 4]
    by_trial = {
        i: run(f"SELECT * FROM ML.PREDICT(MODEL d.h, TABLE d.rows, STRUCT({i} AS trial_id))").predicted_label.std()
        for i in (1, 4)
    }
    assert by_trial[4] < by_trial[1] / 2
    with pytest.raises(BadRequest, match=r"use ML\.TRIAL_INFO instead"):
        run("SELECT * FROM ML.TRAINING_INFO(MODEL d.h)")


@pytest.mark.parametrize(
    "options, message",
    [
        ("l2_reg=HPARAM_RANGE(0, 1)", "NUM_TRIALS must be specified"),
        ("num_trials=3, fit_intercept=HPARAM_CANDIDATES([TRUE])", "cannot be tuned"),
        ("num_trials=3, l2_reg=HPARAM_RANGE(0, 1), hparam_tuning_algorithm='GRID_SEARCH'", "HPARAM_CANDIDATES"),
        ("num_trials=3, hparam_tuning_algorithm='VIZIER_DEFAULT'", "UNIMPLEMENTED"),
        ("num_trials=3, hparam_tuning_objectives=['ROC_AUC']", "must be one of R2_SCORE"),
    ],
)
def test_wrong_tuning_is_refused(run, options, message):
    with pytest.raises(BadRequest, match=message):
        run(
            f"CREATE MODEL d.h OPTIONS(model_type='linear_reg', input_label_cols=['body_mass_g'], {options}) "
            "AS SELECT * FROM d.penguins"
        )
