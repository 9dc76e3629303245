"""DNN models and the autoencoder: they learn, and predict what Keras would without loading it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from localgcp.bqml import BadRequest

KNOWN = "FROM d.penguins WHERE sex IN ('male', 'female')"


@pytest.fixture
def plane(engine):
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(600, 3)), columns=list("abc"))
    frame["label"] = frame.a * frame.b + frame.c
    engine.load("plane", frame)
    return frame


@pytest.mark.parametrize("label", ["species", "sex"])
def test_classifier(run, label):
    options = (
        f"model_type='dnn_classifier', input_label_cols=['{label}'], hidden_units=[16], learn_rate=0.02, batch_size=32"
    )
    run(f"CREATE MODEL d.n OPTIONS({options}) AS SELECT * {KNOWN}")
    assert run("SELECT * FROM ML.EVALUATE(MODEL d.n)").accuracy.iloc[0] > 0.85
    loss = run("SELECT * FROM ML.TRAINING_INFO(MODEL d.n)").loss
    assert loss.iloc[-1] < loss.iloc[0]
    with pytest.raises(BadRequest, match=r"UNIMPLEMENTED: ML\.EXPLAIN_PREDICT of a DNN"):
        run("SELECT * FROM ML.EXPLAIN_PREDICT(MODEL d.n, TABLE d.penguins)")


@pytest.mark.parametrize("activation", ["RELU", "RELU6", "ELU", "SELU", "SIGMOID", "TANH"])
def test_kept_network_equals_keras(monkeypatch, activation):
    import keras
    from localgcp.bqml.models import network
    from localgcp.bqml.options import Options, check_options

    kept = []
    fit = keras.Sequential.fit
    monkeypatch.setattr(keras.Sequential, "fit", lambda self, *a, **k: kept.append(self) or fit(self, *a, **k))
    x = np.random.default_rng(1).normal(size=(64, 3))
    raw = {"hidden_units": [4, 3], "activation_fn": activation, "max_iterations": 1, "dropout": 0.2}
    options: Options = check_options("DNN_REGRESSOR", raw, network.NETWORK).options
    found, _ = network.train_network(x, x[:, :1], 1, options, "squared")
    assert found.output(x) == pytest.approx(kept[0].predict(x, verbose=0), abs=1e-5)


def test_regressor_learns_what_a_line_cannot(run, plane):
    run("CREATE MODEL d.l OPTIONS(model_type='linear_reg', data_split_method='NO_SPLIT') AS SELECT * FROM d.plane")
    options = "model_type='dnn_regressor', hidden_units=[32, 16], learn_rate=0.02, batch_size=32, max_iterations=15"
    run(f"CREATE MODEL d.n OPTIONS({options}, data_split_method='NO_SPLIT', early_stop=FALSE) AS SELECT * FROM d.plane")
    line, net = (run(f"SELECT * FROM ML.EVALUATE(MODEL d.{m})").r2_score.iloc[0] for m in "ln")
    assert line < 0.6 and net > 0.9


def test_autoencoder(run, engine):
    random = np.random.default_rng(2)
    hidden = random.normal(size=(400, 2))
    frame = pd.DataFrame(hidden @ random.normal(size=(2, 6)), columns=list("abcdef"))
    frame.loc[0] = [9, -9, 9, -9, 9, -9]
    engine.load("flat", frame)
    options = (
        "model_type='autoencoder', hidden_units=[8, 2, 8], activation_fn='tanh', learn_rate=0.02, max_iterations=15"
    )
    run(f"CREATE MODEL d.e OPTIONS({options}, early_stop=FALSE) AS SELECT * FROM d.flat")
    codes = run("SELECT * FROM ML.PREDICT(MODEL d.e, TABLE d.flat)")
    assert list(codes) == ["latent_col_1", "latent_col_2", *"abcdef"]
    figures = run("SELECT * FROM ML.EVALUATE(MODEL d.e)")
    assert list(figures) == ["mean_absolute_error", "mean_squared_error", "mean_squared_log_error"]
    assert figures.mean_squared_error.iloc[0] < 0.4
    loss = run("SELECT * FROM ML.RECONSTRUCTION_LOSS(MODEL d.e, TABLE d.flat)")
    assert loss.mean_squared_error.idxmax() == 0
    assert loss.mean_squared_error.mean() == pytest.approx(figures.mean_squared_error.iloc[0])
    odd = run("SELECT * FROM ML.DETECT_ANOMALIES(MODEL d.e, STRUCT(0.01 AS contamination), TABLE d.flat)")
    assert odd.is_anomaly[0] and odd.is_anomaly.sum() <= 5
    with pytest.raises(BadRequest, match="odd number of layers"):
        run("CREATE MODEL d.f OPTIONS(model_type='autoencoder', hidden_units=[4, 2]) AS SELECT * FROM d.flat")
