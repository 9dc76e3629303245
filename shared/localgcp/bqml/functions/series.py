"""Of time series: ML.FORECAST, EXPLAIN_FORECAST, ARIMA_EVALUATE, ARIMA_COEFFICIENTS, EVALUATE and DETECT_ANOMALIES."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from localgcp.bqml.columns import Floats, floats, single
from localgcp.bqml.encode import select
from localgcp.bqml.errors import BadRequest
from localgcp.bqml.functions import Context, Function, beside
from localgcp.bqml.models.arima import FREQUENCIES, SEASONS, UTC, ArimaPlus, Candidate, Series

DEFAULT_HORIZON, DEFAULT_LEVEL = 3, 0.95


def forecast(context: Context) -> pa.Table:
    """The next points of every series, with their intervals."""
    model: ArimaPlus = context.needs(ArimaPlus)
    horizon, level = _horizon(model, context, DEFAULT_HORIZON), _level(context)
    return _each(model, lambda series: _forecast(series, horizon, level))


def _forecast(series: Series, horizon: int, level: float) -> pa.Table:
    value, error = series.forecast[:horizon], series.errors[:horizon]
    margin = normal_quantile(level) * error
    bounds = (pa.array(value - margin), pa.array(value + margin))
    return pa.table(
        {
            "forecast_timestamp": timestamps(series.future[:horizon]),
            "forecast_value": pa.array(value),
            "standard_error": pa.array(error),
            "confidence_level": pa.array([level] * horizon, pa.float64()),
            "prediction_interval_lower_bound": bounds[0],
            "prediction_interval_upper_bound": bounds[1],
            "confidence_interval_lower_bound": bounds[0],
            "confidence_interval_upper_bound": bounds[1],
        }
    )


def explain_forecast(context: Context) -> pa.Table:
    """History and forecast by component: trend + seasons + spikes_and_dips + residual = data."""
    model: ArimaPlus = context.needs(ArimaPlus)
    if not model.options["decompose_time_series"]:
        raise BadRequest("ML.EXPLAIN_FORECAST requires a model that was trained with DECOMPOSE_TIME_SERIES=TRUE.")
    horizon, level = _horizon(model, context, DEFAULT_HORIZON), _level(context)
    return _each(model, lambda series: _explained(series, horizon, level))


def _explained(series: Series, horizon: int, level: float) -> pa.Table:
    count = len(series.data)
    value, error = series.forecast[:horizon], series.errors[:horizon]
    margin = normal_quantile(level) * error
    gone, ahead = np.full(count, np.nan), np.full(horizon, np.nan)
    spikes = series.data - series.cleaned
    spikes = np.where(spikes == 0, np.nan, spikes)
    residual = series.cleaned - series.fitted

    def both(history: Floats, future: Floats) -> pa.Array:
        joined = np.concatenate([history, future])
        return pa.array(joined, pa.float64(), mask=np.isnan(joined))

    empty = both(gone, ahead)
    columns = {
        "time_series_timestamp": timestamps(series.times.append(series.future[:horizon])),
        "time_series_type": pa.array(["history"] * count + ["forecast"] * horizon),
        "time_series_data": both(series.data, value),
        # With the residual, as in outputs of the service that bigframes' documentation shows: data 69.0, spike -85.17,
        # adjusted 154.17, which is trend, seasons and residual together.
        "time_series_adjusted_data": both(series.cleaned, value),
        "standard_error": both(np.full(count, series.deviation), error),
        "confidence_level": both(gone, np.full(horizon, level)),
        "prediction_interval_lower_bound": both(gone, value - margin),
        "prediction_interval_upper_bound": both(gone, value + margin),
        "trend": both(series.trend, series.future_trend[:horizon]),
    }
    for name in SEASONS:
        found = name in series.seasons
        columns[f"seasonal_period_{name.lower()}"] = (
            both(series.seasons[name], series.future_seasons[name][:horizon]) if found else empty
        )
    columns |= {
        "holiday_effect": empty,
        "spikes_and_dips": both(spikes, ahead),
        "step_changes": empty,
        "residual": both(residual, ahead),
    }
    return pa.table(columns)


def arima_evaluate(context: Context) -> pa.Table:
    """The candidates of a single series, or the best model of each of several."""
    model: ArimaPlus = context.needs(ArimaPlus)
    every = context.settings.get("show_all_candidate_models", not model.ids.column_names)
    return _each(model, lambda series: _candidates(series, series.candidates if every else [series.best]))


def _candidates(series: Series, shown: list[Candidate]) -> pa.Table:
    seasons = list(series.seasons) or ["NO_SEASONALITY"]
    spikes = bool((series.data != series.cleaned).any())
    count = len(shown)
    return pa.table(
        {
            "non_seasonal_p": pa.array([one.p for one in shown], pa.int64()),
            "non_seasonal_d": pa.array([one.d for one in shown], pa.int64()),
            "non_seasonal_q": pa.array([one.q for one in shown], pa.int64()),
            "has_drift": pa.array([one.drift for one in shown], pa.bool_()),
            "log_likelihood": pa.array([one.log_likelihood for one in shown], pa.float64()),
            "AIC": pa.array([one.aic for one in shown], pa.float64()),
            "variance": pa.array([one.variance for one in shown], pa.float64()),
            "seasonal_periods": pa.array([seasons] * count, pa.list_(pa.string())),
            "has_holiday_effect": pa.array([False] * count),
            "has_spikes_and_dips": pa.array([spikes] * count),
            "has_step_changes": pa.array([False] * count),
            "error_message": pa.array([one.error or None for one in shown], pa.string()),
        }
    )


def arima_coefficients(context: Context) -> pa.Table:
    model: ArimaPlus = context.needs(ArimaPlus)
    listed = pa.list_(pa.float64())
    return _each(
        model,
        lambda series: pa.table(
            {
                "ar_coefficients": pa.array([list(series.best.ar)], listed),
                "ma_coefficients": pa.array([list(series.best.ma)], listed),
                "intercept_or_drift": pa.array([series.best.constant], pa.float64()),
            }
        ),
    )


def evaluate_series(context: Context) -> pa.Table:
    """ML.EVALUATE of a forecast against actual values; without input the figures of the chosen models."""
    model: ArimaPlus = context.needs(ArimaPlus)
    if context.features is None:
        best = _each(model, lambda series: _candidates(series, [series.best]))
        return best.drop_columns(["error_message"]).rename_columns(
            [name.lower() if name == "AIC" else name for name in best.column_names if name != "error_message"]
        )
    horizon, level = _horizon(model, context, model.options["horizon"]), _level(context)
    rows = select(context.features, model.features, "EVALUATE")
    compared = _compare(model, rows, horizon, level)
    if context.settings.get("perform_aggregation", True):
        return _aggregated(model, compared)
    error = compared["error"]
    share = np.abs(error / np.where(compared["actual"] == 0, np.nan, compared["actual"]))
    out = rows.select([*model.ids.column_names, model.time_column, model.data_column])
    for name, values in {
        f"forecasted_{model.data_column}": compared["forecast"],
        "lower_bound": compared["lower"],
        "upper_bound": compared["upper"],
        "absolute_error": np.abs(error),
        "absolute_percentage_error": share * 100,
    }.items():
        out = out.append_column(name, pa.array(values, pa.float64(), mask=np.isnan(values)))
    return out


def _aggregated(model: ArimaPlus, compared: dict[str, Any]) -> pa.Table:
    tables = []
    for index, series in enumerate(model.series):
        mine = (compared["series"] == index) & ~np.isnan(compared["error"])
        if not mine.any():
            continue
        error, actual, predicted = (compared[name][mine] for name in ("error", "actual", "forecast"))
        size = np.abs(error)
        naive = float(np.abs(np.diff(series.data)).mean())
        with np.errstate(divide="ignore", invalid="ignore"):
            figures = {
                "mean_absolute_error": float(size.mean()),
                "mean_squared_error": float((error**2).mean()),
                "root_mean_squared_error": float(np.sqrt((error**2).mean())),
                "mean_absolute_percentage_error": float((size / np.abs(actual)).mean() * 100),
                "symmetric_mean_absolute_percentage_error": float(
                    (2 * size / (np.abs(actual) + np.abs(predicted))).mean() * 100
                ),
                "mean_absolute_scaled_error": float(np.divide(size.mean(), naive)),
            }
        tables.append(model.with_ids(index, pa.table({k: pa.array([v], pa.float64()) for k, v in figures.items()})))
    if not tables:
        raise BadRequest("The input data to the EVALUATE function has no time point within the forecast horizon.")
    return pa.concat_tables(tables)


def series_anomalies(context: Context) -> pa.Table:
    """Points outside the interval: of the history, or of an input within the horizon."""
    model: ArimaPlus = context.needs(ArimaPlus)
    if "contamination" in context.settings:
        raise BadRequest("ML.DETECT_ANOMALIES: contamination is not for time series; use anomaly_prob_threshold.")
    threshold = context.settings.get("anomaly_prob_threshold", 0.95)
    if not 0 <= threshold < 1:
        raise BadRequest(f"ML.DETECT_ANOMALIES: anomaly_prob_threshold must be in [0, 1), got {threshold}.")
    if context.features is None:
        if not model.options["decompose_time_series"]:
            raise BadRequest("ML.DETECT_ANOMALIES without input requires DECOMPOSE_TIME_SERIES=TRUE.")
        return _each(
            model,
            lambda s: _judged(
                model, timestamps(s.times), s.data, s.fitted, np.full(len(s.data), s.deviation), threshold
            ),
        )
    if "anomaly_prob_threshold" not in context.settings:
        raise BadRequest("ML.DETECT_ANOMALIES: anomaly_prob_threshold must be specified for new time series data.")
    assert context.rows is not None
    rows = select(context.features, model.features, "DETECT_ANOMALIES")
    compared = _compare(model, rows, model.options["horizon"], threshold)
    times = pc.cast(pc.cast(single(rows[model.time_column]), pa.timestamp("us")), pa.int64()).cast(UTC)
    judged = _judged(model, times, compared["actual"], compared["forecast"], compared["deviation"], threshold)
    for position, name in enumerate(model.ids.column_names):
        judged = judged.add_column(position, name, rows[name])
    return beside(judged, context.rows)


def _judged(
    model: ArimaPlus, times: pa.Array, actual: Floats, expected: Floats, deviation: Floats, threshold: float
) -> pa.Table:
    from scipy.stats import norm

    with np.errstate(divide="ignore", invalid="ignore"):
        probability = 2 * norm.cdf(np.abs(actual - expected) / deviation) - 1
    unknown = np.isnan(probability)
    margin = normal_quantile(threshold) * deviation
    return pa.table(
        {
            model.time_column: times,
            model.data_column: pa.array(actual, pa.float64(), mask=np.isnan(actual)),
            "is_anomaly": pa.array(probability > threshold, mask=unknown),
            "lower_bound": pa.array(expected - margin, pa.float64(), mask=unknown),
            "upper_bound": pa.array(expected + margin, pa.float64(), mask=unknown),
            "anomaly_probability": pa.array(probability, pa.float64(), mask=unknown),
        }
    )


def _compare(model: ArimaPlus, rows: pa.Table, horizon: int, level: float) -> dict[str, Any]:
    """Actual and forecast of every input row; NaN where the model has no forecast for it."""
    actual = floats(rows[model.data_column])
    owner = np.array(model.series_of(rows), dtype=int)
    stamps = pd.DatetimeIndex(
        pc.cast(pc.cast(single(rows[model.time_column]), pa.timestamp("us")), pa.int64()).to_numpy() * 1000
    )
    value, deviation = np.full(len(actual), np.nan), np.full(len(actual), np.nan)
    for index, series in enumerate(model.series):
        mine = np.flatnonzero(owner == index)
        found = series.future[:horizon].get_indexer(_aligned(stamps[mine], series))
        hit = mine[found >= 0]
        value[hit] = series.forecast[found[found >= 0]]
        deviation[hit] = series.errors[found[found >= 0]]
    margin = normal_quantile(level) * deviation
    return {
        "series": owner,
        "actual": actual,
        "forecast": value,
        "deviation": deviation,
        "error": actual - value,
        "lower": value - margin,
        "upper": value + margin,
    }


def _aligned(stamps: pd.DatetimeIndex, series: Series) -> pd.DatetimeIndex:
    """Months, quarters and years by their first day, as the model keeps them."""
    period = {"MS": "M", "QS": "Q", "YS": "Y"}.get(FREQUENCIES[series.frequency])
    return stamps.to_period(period).to_timestamp() if period else stamps


def _each(model: ArimaPlus, answer: Callable[[Series], pa.Table]) -> pa.Table:
    """One table over all series, each with its identifiers."""
    return pa.concat_tables([model.with_ids(i, answer(series)) for i, series in enumerate(model.series)])


def _horizon(model: ArimaPlus, context: Context, default: int) -> int:
    most = model.options["horizon"]
    given = context.settings.get("horizon", min(default, most))
    if not 1 <= given <= most:
        raise BadRequest(
            f"ML.{context.function}: horizon must be in [1, {most}], the HORIZON of the model, got {given}."
        )
    return int(given)


def _level(context: Context) -> float:
    level = context.settings.get("confidence_level", DEFAULT_LEVEL)
    if not 0 <= level < 1:
        raise BadRequest(f"ML.{context.function}: confidence_level must be in [0, 1), got {level}.")
    return float(level)


def normal_quantile(level: float) -> float:
    """How many standard errors the interval of that level is wide, on each side."""
    from scipy.stats import norm

    return float(norm.ppf((1 + level) / 2))


def timestamps(index: pd.DatetimeIndex) -> pa.Array:
    return pa.array(index.to_numpy().astype("datetime64[us]"), pa.timestamp("us")).cast(pa.int64()).cast(UTC)


FUNCTIONS = {
    "FORECAST": Function(forecast, "none", {"horizon": int, "confidence_level": float}),
    "EXPLAIN_FORECAST": Function(explain_forecast, "none", {"horizon": int, "confidence_level": float}),
    "ARIMA_EVALUATE": Function(arima_evaluate, "none", {"show_all_candidate_models": bool}),
    "ARIMA_COEFFICIENTS": Function(arima_coefficients),
}
