"""Linear and logistic regression against their own definitions, and scikit-learn called directly."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from localgcp.bqml import BadRequest


@pytest.fixture
def rows(engine):
    """Two informative columns, one irrelevant, three classes and a binary label."""
    random = np.random.default_rng(5)
    x = random.normal(size=(800, 3)) * [1, 5, 2] + [0, 10, -3]
    score = x[:, 0] * 2 - x[:, 1] * 0.3 + random.logistic(size=800)
    frame = pd.DataFrame(x, columns=["a", "b", "c"])
    frame["y"] = score + random.normal(size=800)
    frame["won"] = score > np.median(score)
    frame["level"] = pd.cut(score, [-99, -4, -1, 99], labels=["low", "mid", "high"]).astype(str)
    frame["held"] = np.arange(800) % 5 == 0
    engine.load("rows", frame)
    return frame


def standardised(frame: pd.DataFrame) -> np.ndarray:
    x = frame[["a", "b", "c"]].to_numpy()
    return (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)


def weights(run, model: str, standardize: bool = True) -> pd.DataFrame:
    return run(f"SELECT * FROM ML.WEIGHTS(MODEL d.{model}, STRUCT({standardize} AS standardize))")


def train(run, kind: str, label: str, options: str = "", name: str = "m") -> None:
    run(
        f"CREATE OR REPLACE MODEL d.{name} OPTIONS(model_type='{kind}', input_label_cols=['{label}'], "
        f"data_split_method='NO_SPLIT'{', ' if options else ''}{options}) AS SELECT a, b, c, {label} FROM d.rows"
    )


@pytest.mark.parametrize("l1, l2", [(0, 0), (0, 50), (40, 0), (40, 50)])
def test_linear_objective_is_at_its_minimum(run, rows, l1, l2):
    train(run, "linear_reg", "y", f"l1_reg={l1}, l2_reg={l2}")
    found = weights(run, "m").set_index("processed_input").weight
    x, w = standardised(rows), found[["a", "b", "c"]].to_numpy()
    error = x @ w + found["__INTERCEPT__"] - rows.y.to_numpy()
    gradient = x.T @ error + l2 * w
    assert abs(error.sum()) < 1e-6 * len(rows)
    if l1 == 0:
        assert np.abs(gradient).max() < 1e-6 * len(rows)
    else:  # the subgradient holds zero: |g| = l1 where w is not zero, below it where it is
        assert np.abs(np.where(w != 0, gradient + l1 * np.sign(w), 0)).max() < 1e-3
        assert (np.abs(gradient) <= l1 + 1e-3).all()


def test_l1_reaches_exact_zero_and_l2_does_not(run, rows):
    train(run, "linear_reg", "y", "l1_reg=300.0")
    assert (weights(run, "m").weight == 0).any()
    train(run, "linear_reg", "y", "l2_reg=300.0")
    assert (weights(run, "m").weight != 0).all()


@pytest.mark.parametrize("label", ["won", "level"])
@pytest.mark.parametrize("l1, l2", [(0, 0), (0, 3), (4, 0), (4, 3)])
def test_logistic_gradient_is_zero(run, rows, label, l1, l2):
    train(run, "logistic_reg", label, f"l1_reg={l1}, l2_reg={l2}")
    table = weights(run, "m")
    x = np.column_stack([standardised(rows), np.ones(len(rows))])
    if label == "won":
        w = table.weight.to_numpy()[:, None]
        p = 1 / (1 + np.exp(-x @ w))
        target = rows.won.to_numpy(float)[:, None]
    else:
        classes = sorted(rows.level.unique())
        w = np.column_stack([table[table.class_label == c].weight for c in classes])
        powers = np.exp(x @ w)
        p = powers / powers.sum(axis=1, keepdims=True)
        target = (rows.level.to_numpy()[:, None] == classes).astype(float)
    gradient = x.T @ (p - target)
    gradient[:-1] += l2 * w[:-1]
    if l1 == 0:
        assert np.abs(gradient).max() < 1e-3
    else:
        assert np.abs(np.where(w[:-1] != 0, gradient[:-1] + l1 * np.sign(w[:-1]), 0)).max() < 0.02
        assert (np.abs(gradient[:-1]) <= l1 + 0.02).all()
        assert np.abs(gradient[-1]).max() < 0.02


def test_logistic_equals_scikit_learn(run, rows):
    from sklearn.linear_model import LogisticRegression

    train(run, "logistic_reg", "won", "l2_reg=2.0")
    direct = LogisticRegression(C=0.5, tol=1e-10, max_iter=10_000).fit(standardised(rows), rows.won)
    found = weights(run, "m").weight
    assert found.iloc[:3].to_numpy() == pytest.approx(direct.coef_[0], rel=1e-4)
    assert found.iloc[3] == pytest.approx(direct.intercept_[0], rel=1e-4)


def test_weights_of_raw_and_standardised_features_predict_the_same(run, rows):
    train(run, "linear_reg", "y")
    raw = weights(run, "m", standardize=False).weight.to_numpy()
    expected = rows[["a", "b", "c"]].to_numpy() @ raw[:3] + raw[3]
    predicted = run("SELECT * FROM ML.PREDICT(MODEL d.m, TABLE d.rows)").predicted_y
    assert predicted.to_numpy() == pytest.approx(expected)


def test_class_weights_move_the_balance(run, rows):
    def share() -> float:
        return run("SELECT * FROM ML.PREDICT(MODEL d.m, TABLE d.rows)").predicted_won.mean()

    train(run, "logistic_reg", "won")
    plain = share()
    train(run, "logistic_reg", "won", "class_weights=[STRUCT('true', 5.0), STRUCT('false', 1.0)]")
    assert share() > plain + 0.1
    with pytest.raises(BadRequest, match="one weight for every label"):
        train(run, "logistic_reg", "won", "class_weights=[STRUCT('true', 5.0)]")


def test_auto_class_weights_equal_the_documented_formula(run, rows):
    train(run, "logistic_reg", "level", "auto_class_weights=TRUE, l2_reg=1.0")
    automatic = weights(run, "m").weight.to_numpy()
    counts = rows.level.value_counts()
    given = ", ".join(f"STRUCT('{k}', {800 / (n * 3)!r})" for k, n in counts.items())
    train(run, "logistic_reg", "level", f"class_weights=[{given}], l2_reg=1.0")
    assert weights(run, "m").weight.to_numpy() == pytest.approx(automatic, rel=1e-5)


def test_gradient_descent_follows_the_documented_line_search(run, rows):
    train(run, "logistic_reg", "won", "max_iterations=5, early_stop=FALSE, ls_init_learn_rate=0.4")
    info = run("SELECT * FROM ML.TRAINING_INFO(MODEL d.m)")
    assert len(info) == 5 and (info.loss.diff().dropna() < 0).all()
    ratios = (info.learning_rate / info.learning_rate.shift(1, fill_value=0.4)).round(9)
    assert set(ratios) <= {2.0, 1.0, 0.5, 0.25}
    train(run, "linear_reg", "y", "optimize_strategy='BATCH_GRADIENT_DESCENT'")
    short = run("SELECT * FROM ML.TRAINING_INFO(MODEL d.m)")
    assert 1 < len(short) < 20  # stopped when the loss improved by less than 1%
    constant = "learn_rate_strategy='CONSTANT', learn_rate=0.1, max_iterations=3, early_stop=FALSE"
    train(run, "linear_reg", "y", constant)
    assert run("SELECT * FROM ML.TRAINING_INFO(MODEL d.m)").learning_rate.tolist() == [0.1] * 3
    with pytest.raises(BadRequest, match="LEARN_RATE can only be specified"):
        train(run, "linear_reg", "y", "learn_rate=0.1")


def test_early_stop_watches_the_held_out_rows(run, rows):
    """The held-out rows have the opposite label, so each step that helps the others harms them."""
    opposed = "SELECT a, b, IF(held, NOT won, won) AS won, held FROM d.rows"
    options = "model_type='logistic_reg', input_label_cols=['won'], data_split_method='CUSTOM', data_split_col='held'"
    for more, length in (("", 1), (", early_stop=FALSE, max_iterations=6", 6)):
        run(f"CREATE OR REPLACE MODEL d.m OPTIONS({options}, ls_init_learn_rate=0.1{more}) AS {opposed}")
        info = run("SELECT * FROM ML.TRAINING_INFO(MODEL d.m)")
        assert len(info) == length
    assert (info.loss.diff().dropna() < 0).all() and (info.eval_loss.diff().dropna() > 0).all()


def test_p_values_equal_statsmodels(run, rows):
    import statsmodels.api as sm

    train(run, "linear_reg", "y", "calculate_p_values=TRUE, category_encoding_method='DUMMY_ENCODING'")
    found = run("SELECT * FROM ML.ADVANCED_WEIGHTS(MODEL d.m, STRUCT(TRUE AS standardize))")
    assert list(found) == ["processed_input", "category", "weight", "standard_error", "p_value"]
    direct = sm.OLS(rows.y, sm.add_constant(standardised(rows))).fit()
    assert found.standard_error.to_numpy() == pytest.approx(direct.bse.to_numpy(), rel=1e-6)
    with pytest.raises(BadRequest, match="DUMMY_ENCODING"):
        train(run, "linear_reg", "y", "calculate_p_values=TRUE")


def test_explanations_add_up(run, rows):
    train(run, "linear_reg", "y", "enable_global_explain=TRUE")
    found = run("SELECT * FROM ML.EXPLAIN_PREDICT(MODEL d.m, TABLE d.rows, STRUCT(3 AS top_k_features))")
    assert list(found)[:5] == [
        "predicted_y",
        "top_feature_attributions",
        "baseline_prediction_value",
        "prediction_value",
        "approximation_error",
    ]
    total = found.top_feature_attributions.map(lambda pairs: sum(p["attribution"] for p in pairs))
    assert (found.baseline_prediction_value + total).to_numpy() == pytest.approx(found.predicted_y.to_numpy())
    first = found.top_feature_attributions.map(
        lambda pairs: abs(pairs[0]["attribution"]) >= abs(pairs[1]["attribution"])
    )
    assert first.all() and (found.approximation_error == 0).all()
    everything = run("SELECT * FROM ML.GLOBAL_EXPLAIN(MODEL d.m)")
    assert list(everything) == ["feature", "attribution"] and everything.feature.iloc[-1] == "c"


def test_logistic_explanation_is_of_the_predicted_class(run, rows):
    train(run, "logistic_reg", "won")
    found = run("SELECT * FROM ML.EXPLAIN_PREDICT(MODEL d.m, TABLE d.rows)")
    assert list(found)[:2] == ["predicted_won", "probability"]
    logit = np.log(found.probability / (1 - found.probability))
    assert found.prediction_value.to_numpy() == pytest.approx(logit.to_numpy(), rel=1e-6)
    with pytest.raises(BadRequest, match="ENABLE_GLOBAL_EXPLAIN"):
        run("SELECT * FROM ML.GLOBAL_EXPLAIN(MODEL d.m)")


def test_evaluation_figures(run, rows):
    from sklearn import metrics

    train(run, "logistic_reg", "won")
    found = run("SELECT * FROM ML.EVALUATE(MODEL d.m, TABLE d.rows, STRUCT(0.7 AS threshold))").iloc[0]
    predicted = run("SELECT * FROM ML.PREDICT(MODEL d.m, TABLE d.rows, STRUCT(0.7 AS threshold))")
    probability = predicted.predicted_won_probs.map(lambda pairs: pairs[0]["prob"])
    assert predicted.predicted_won_probs.map(lambda pairs: bool(pairs[0]["label"])).all()
    assert (predicted.predicted_won == (probability >= 0.7)).all()
    assert found.precision == pytest.approx(metrics.precision_score(rows.won, predicted.predicted_won))
    assert found.recall == pytest.approx(metrics.recall_score(rows.won, predicted.predicted_won))
    assert found.f1_score == pytest.approx(metrics.f1_score(rows.won, predicted.predicted_won))
    assert found.roc_auc == pytest.approx(metrics.roc_auc_score(rows.won, probability))
    assert found.log_loss == pytest.approx(metrics.log_loss(rows.won, probability))
    train(run, "logistic_reg", "level")
    many = run("SELECT * FROM ML.EVALUATE(MODEL d.m, TABLE d.rows)").iloc[0]
    levels = run("SELECT * FROM ML.PREDICT(MODEL d.m, TABLE d.rows)")
    assert many.f1_score == pytest.approx(metrics.f1_score(rows.level, levels.predicted_level, average="macro"))
    top = levels.predicted_level_probs.map(lambda pairs: pairs[0]["label"])
    assert (top == levels.predicted_level).all()
    with pytest.raises(BadRequest, match="binary classification"):
        run("SELECT * FROM ML.EVALUATE(MODEL d.m, TABLE d.rows, STRUCT(0.7 AS threshold))")


def test_confusion_matrix_and_roc_curve(run, rows):
    train(run, "logistic_reg", "level")
    matrix = run("SELECT * FROM ML.CONFUSION_MATRIX(MODEL d.m)")
    assert list(matrix) == ["expected_label", "high", "low", "mid"]
    predicted = run("SELECT level, predicted_level FROM ML.PREDICT(MODEL d.m, TABLE d.rows)")
    assert matrix.low.iloc[0] == ((predicted.level == "high") & (predicted.predicted_level == "low")).sum()
    assert matrix.drop(columns="expected_label").to_numpy().sum() == len(rows)
    with pytest.raises(BadRequest, match="binary classification"):
        run("SELECT * FROM ML.ROC_CURVE(MODEL d.m)")
    train(run, "logistic_reg", "won")
    curve = run("SELECT * FROM ML.ROC_CURVE(MODEL d.m, TABLE d.rows, GENERATE_ARRAY(0.0, 1.0, 0.1))")
    assert len(curve) == 11 and curve.recall.iloc[0] == 1 and curve.false_positives.iloc[-1] == 0
    assert (curve.true_positives + curve.false_negatives == rows.won.sum()).all()
    full = run("SELECT * FROM ML.ROC_CURVE(MODEL d.m)")
    assert len(full) > 90 and (full.threshold.diff().dropna() < 0).all()
    assert run("SELECT * FROM ML.CONFUSION_MATRIX(MODEL d.m)").columns.tolist() == ["expected_label", "false", "true"]
