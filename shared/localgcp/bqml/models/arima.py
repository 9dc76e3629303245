"""ARIMA_PLUS: decomposition, then the ARIMA model with the lowest AIC.

The documented pipeline: frequency, mean of duplicates, linear interpolation, spikes and dips, seasonal components by
STL, the rest by ARIMA whose d comes from KPSS tests. Different from the service: a seasonal component goes on as its
last period, step changes are not looked for, and the tests' thresholds are ours (the service's are not public).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from localgcp.bqml.columns import Floats, floats, is_numeric, single, texts, type_name
from localgcp.bqml.encode import select
from localgcp.bqml.errors import BadRequest
from localgcp.bqml.models.base import Iteration, Metrics, Model, Training
from localgcp.bqml.options import Only, Option, Options

FREQUENCIES = {
    "PER_MINUTE": "min",
    "HOURLY": "h",
    "DAILY": "D",
    "WEEKLY": "7D",
    "MONTHLY": "MS",
    "QUARTERLY": "QS",
    "YEARLY": "YS",
}
# Points in one season, for each frequency that can have it.
PERIODS: dict[str, dict[str, int]] = {
    "PER_MINUTE": {"DAILY": 1440},
    "HOURLY": {"DAILY": 24, "WEEKLY": 168},
    "DAILY": {"WEEKLY": 7, "YEARLY": 365},
    "WEEKLY": {"YEARLY": 52},
    "MONTHLY": {"QUARTERLY": 3, "YEARLY": 12},
    "QUARTERLY": {"YEARLY": 4},
    "YEARLY": {},
}
AUTOMATIC: dict[str, list[str]] = {name: list(found) for name, found in PERIODS.items()} | {"MONTHLY": ["YEARLY"]}
SEASONS = ("YEARLY", "QUARTERLY", "MONTHLY", "WEEKLY", "DAILY")
STRONG = 0.3  # share of the detrended variance that a season must explain
SPIKE = 7.0  # robust standard deviations of the remainder, from which STL has taken much of the noise
LEAST_POINTS = 4
UTC = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class Candidate:
    """One ARIMA model that was tried."""

    p: int
    d: int
    q: int
    drift: bool
    log_likelihood: float | None = None
    aic: float | None = None
    variance: float | None = None
    ar: tuple[float, ...] = ()
    ma: tuple[float, ...] = ()
    constant: float = 0.0
    error: str = ""


@dataclass
class Series:
    """One time series: its history by component, its candidates (best first) and its forecast."""

    times: pd.DatetimeIndex
    frequency: str
    data: Floats
    cleaned: Floats
    seasons: dict[str, Floats]
    trend: Floats  # what the ARIMA model says one step ahead
    candidates: list[Candidate]
    future: pd.DatetimeIndex
    future_trend: Floats
    future_seasons: dict[str, Floats]
    errors: Floats  # standard error of each forecast

    @property
    def best(self) -> Candidate:
        return self.candidates[0]

    @property
    def forecast(self) -> Floats:
        return np.asarray(self.future_trend + sum(self.future_seasons.values(), np.zeros(len(self.future))))

    @property
    def fitted(self) -> Floats:
        return np.asarray(self.trend + sum(self.seasons.values(), np.zeros(len(self.data))))

    @property
    def deviation(self) -> float:
        return float(np.sqrt(self.best.variance or 0.0))


@dataclass
class ArimaPlus(Model):
    OPTIONS = {
        "time_series_timestamp_col": Option("string"),
        "time_series_data_col": Option("string"),
        "time_series_id_col": Option("strings"),
        "horizon": Option("int", 1000, low=1, high=10_000),
        "auto_arima": Option("bool", True),
        "auto_arima_max_order": Option("int", None, low=1, high=5),
        "auto_arima_min_order": Option("int", None, low=0, high=4),
        "non_seasonal_order": Option("order"),
        "include_drift": Option("bool", None),
        "data_frequency": Option("choice", "AUTO_FREQUENCY", choices=("AUTO_FREQUENCY", *FREQUENCIES)),
        "seasonalities": Option("strings"),
        "clean_spikes_and_dips": Option("bool", True),
        "decompose_time_series": Option("bool", True),
        "adjust_step_changes": Only((False,)),
        "holiday_region": Only(()),
        "hierarchical_time_series_cols": Only(()),
        "forecast_limit_lower_bound": Only(()),
        "forecast_limit_upper_bound": Only(()),
        "time_series_length_fraction": Only(()),
        "min_time_series_length": Only(()),
        "max_time_series_length": Only(()),
        "trend_smoothing_window_size": Only(()),
        "kms_key_name": Only(()),
    }

    time_column: str
    data_column: str
    ids: pa.Table  # one row for each series; no columns for a single one
    series: list[Series]

    @classmethod
    def fit(cls, data: Training) -> ArimaPlus:
        options = data.options
        check_order(options)
        for name in ("time_series_timestamp_col", "time_series_data_col"):
            if options[name] is None:
                raise BadRequest(f"{name.upper()} must be specified for ARIMA_PLUS.")
        time_column, data_column = options["time_series_timestamp_col"], options["time_series_data_col"]
        id_columns = options["time_series_id_col"] or []
        table = select(data.train, [time_column, data_column, *id_columns], "CREATE MODEL")
        kind = single(table[time_column]).type
        if type_name(kind) not in ("TIMESTAMP", "DATE", "DATETIME"):
            raise BadRequest(
                f"TIME_SERIES_TIMESTAMP_COL {time_column} must be TIMESTAMP, DATE or DATETIME, got {type_name(kind)}."
            )
        if not is_numeric(single(table[data_column]).type):
            raise BadRequest(f"TIME_SERIES_DATA_COL {data_column} must be numeric.")
        if id_columns and options["non_seasonal_order"]:
            raise BadRequest("NON_SEASONAL_ORDER cannot be used with TIME_SERIES_ID_COL.")
        began = time.perf_counter()
        found: list[Series] = []
        firsts: list[int] = []
        for rows in groups(table, id_columns):
            part = table.take(pa.array(rows))
            found.append(fit_series(part[time_column], floats(part[data_column]), options))
            firsts.append(int(rows[0]))
        ids = table.select(id_columns).take(pa.array(firsts, pa.int64()))
        elapsed = int((time.perf_counter() - began) * 1000)
        iterations = [Iteration(float("nan"), None, None, elapsed)]
        return cls(options, None, time_column, data_column, ids, found, iterations=iterations)

    @property
    def features(self) -> list[str]:
        return [self.time_column, self.data_column, *self.ids.column_names]

    def evaluate(self, rows: pa.Table, settings: Mapping[str, Any]) -> Metrics:
        """Time series are evaluated by functions/series.py."""
        return {}

    def predict(self, rows: pa.Table, settings: Mapping[str, Any]) -> pa.Table:
        raise BadRequest("ML.PREDICT is not supported for model type ARIMA_PLUS: use ML.FORECAST.")

    def with_ids(self, index: int, table: pa.Table) -> pa.Table:
        """The table of one series with its identifiers before it."""
        for position, name in enumerate(self.ids.column_names):
            column = single(self.ids[name]).take(pa.array([index] * len(table), pa.int64()))
            table = table.add_column(position, name, column)
        return table

    def series_of(self, rows: pa.Table) -> list[int]:
        """Which series each input row belongs to; -1 for an identifier that the model does not know."""
        if not self.ids.column_names:
            return [0] * len(rows)
        given = select(rows, self.ids.column_names, "EVALUATE")
        known = {key: i for i, key in enumerate(_keys(self.ids, self.ids.column_names))}
        return [known.get(key, -1) for key in _keys(given, self.ids.column_names)]


def check_order(options: Options) -> None:
    """Which of the order options go together."""
    automatic = options["auto_arima"]
    if automatic and options["non_seasonal_order"]:
        raise BadRequest("NON_SEASONAL_ORDER can only be specified when AUTO_ARIMA is FALSE.")
    if automatic and options["include_drift"] is not None:
        raise BadRequest("INCLUDE_DRIFT can only be specified when AUTO_ARIMA is FALSE.")
    if not automatic:
        if options["non_seasonal_order"] is None:
            raise BadRequest("NON_SEASONAL_ORDER must be specified when AUTO_ARIMA is FALSE.")
        p, d, q = options["non_seasonal_order"]
        if not (0 <= p <= 5 and 0 <= d <= 2 and 0 <= q <= 5):
            raise BadRequest("NON_SEASONAL_ORDER: p and q must be in [0, 5], d in [0, 2].")
        if options["include_drift"] and d != 1:
            raise BadRequest("INCLUDE_DRIFT can only be TRUE when non-seasonal d is 1.")
        for name in ("auto_arima_max_order", "auto_arima_min_order"):
            if options[name] is not None:
                raise BadRequest(f"{name.upper()} cannot be used when AUTO_ARIMA is FALSE.")
    least, most = options["auto_arima_min_order"], options["auto_arima_max_order"]
    if least is not None and least >= (most or 2):
        raise BadRequest("AUTO_ARIMA_MIN_ORDER must be less than AUTO_ARIMA_MAX_ORDER.")


def fit_series(times: Any, values: Floats, options: Options) -> Series:
    """Raises BadRequest for a series that is too short or has no frequency."""
    frequency, index, data = regular(times, values, options["data_frequency"])
    wanted = seasons_wanted(frequency, options["seasonalities"])
    cleaned, seasons = decompose(data, wanted, options["clean_spikes_and_dips"])
    rest = cleaned - sum(seasons.values(), np.zeros(len(data)))
    candidates = search(rest, options)
    best = candidates[0]
    trend, ahead, errors = project(rest, best, options["horizon"])
    future = pd.date_range(index[-1], periods=options["horizon"] + 1, freq=FREQUENCIES[frequency])[1:]
    onward = {name: _repeat(season, wanted[name], len(future)) for name, season in seasons.items()}
    return Series(index, frequency, data, cleaned, seasons, trend, candidates, future, ahead, onward, errors)


def regular(times: Any, values: Floats, wanted: str) -> tuple[str, pd.DatetimeIndex, Floats]:
    """Equal steps: duplicates become their mean, gaps are interpolated."""
    stamps = pd.DatetimeIndex(pc.cast(pc.cast(single(times), pa.timestamp("us")), pa.int64()).to_numpy() * 1000)
    raw = pd.Series(values, index=stamps).dropna().groupby(level=0).mean().sort_index()
    if len(raw) < LEAST_POINTS:
        raise BadRequest(f"Time series has {len(raw)} points with a value; at least {LEAST_POINTS} are needed.")
    frequency = infer_frequency(raw.index) if wanted == "AUTO_FREQUENCY" else wanted
    rule = FREQUENCIES[frequency]
    if rule in ("MS", "QS", "YS"):
        period = {"MS": "M", "QS": "Q", "YS": "Y"}[rule]
        raw.index = raw.index.to_period(period).to_timestamp()
        raw = raw.groupby(level=0).mean()
    grid = pd.date_range(raw.index[0], raw.index[-1], freq=rule)
    both = raw.reindex(grid.union(raw.index)).interpolate(method="time")
    return frequency, grid, np.asarray(both.reindex(grid), dtype=float)


def infer_frequency(index: pd.DatetimeIndex) -> str:
    """The frequency whose step is nearest to the usual one."""
    step = float(np.median(np.diff(index.to_numpy()).astype("timedelta64[s]").astype(float)))
    seconds = {
        "PER_MINUTE": 60,
        "HOURLY": 3600,
        "DAILY": 86_400,
        "WEEKLY": 604_800,
        "MONTHLY": 2_629_800,
        "QUARTERLY": 7_889_400,
        "YEARLY": 31_557_600,
    }
    name = min(seconds, key=lambda n: abs(np.log(step / seconds[n])))
    if abs(np.log(step / seconds[name])) > np.log(1.2):
        raise BadRequest(f"Unable to infer the data frequency: the usual step is {step:.0f} seconds.")
    return name


def seasons_wanted(frequency: str, given: list[str] | None) -> dict[str, int]:
    """Name and period of each season to look for."""
    names = [name.upper() for name in given or ["AUTO"]]
    for name in names:
        if name not in (*SEASONS, "AUTO", "NO_SEASONALITY"):
            raise BadRequest(f"SEASONALITIES: {name} is not a valid value.")
    if len(names) > 1 and {"AUTO", "NO_SEASONALITY"} & set(names):
        raise BadRequest("SEASONALITIES: AUTO and NO_SEASONALITY can only be used by themselves.")
    if names == ["NO_SEASONALITY"]:
        return {}
    chosen = AUTOMATIC[frequency] if names == ["AUTO"] else names
    return {name: PERIODS[frequency][name] for name in chosen if name in PERIODS[frequency]}


def decompose(data: Floats, wanted: Mapping[str, int], clean: bool) -> tuple[Floats, dict[str, Floats]]:
    """The series without spikes and dips, and its seasonal components (those strong enough), shortest first."""
    seasons, remainder = seasonal_parts(data, wanted)
    if not clean:
        return data, seasons
    centre = float(np.median(remainder))
    scale = 1.4826 * float(np.median(np.abs(remainder - centre)))
    odd = np.abs(remainder - centre) > SPIKE * scale
    if scale == 0 or not odd.any():
        return data, seasons
    places = np.arange(len(data))
    level = data - sum(seasons.values(), np.zeros(len(data)))
    cleaned = data.copy()
    cleaned[odd] += np.interp(places[odd], places[~odd], level[~odd]) - level[odd]
    return cleaned, seasonal_parts(cleaned, wanted)[0]


def seasonal_parts(x: Floats, wanted: Mapping[str, int]) -> tuple[dict[str, Floats], Floats]:
    """Each season by STL of what the shorter ones leave, and the remainder."""
    from statsmodels.tsa.seasonal import STL

    seasons: dict[str, Floats] = {}
    rest = x
    remainder = x - pd.Series(x).rolling(7, center=True, min_periods=1).median().to_numpy()
    for name, period in sorted(wanted.items(), key=lambda item: item[1]):
        if len(x) < 2 * period + 1:
            continue
        found = STL(rest, period=period, robust=True).fit()
        together = float(np.var(found.resid + found.seasonal))
        if together > 0 and 1 - float(np.var(found.resid)) / together > STRONG:
            seasons[name] = np.asarray(found.seasonal)
            rest, remainder = rest - seasons[name], np.asarray(found.resid)
    return seasons, remainder


def search(x: Floats, options: Options) -> list[Candidate]:
    """Every candidate, by rising AIC; those that failed last. Raises BadRequest if all did."""
    if options["auto_arima"]:
        d = differences(x)
        least, most = options["auto_arima_min_order"] or 0, options["auto_arima_max_order"] or 2
        orders = [(p, q) for total in range(least, most + 1) for p in range(total + 1) for q in [total - p]]
        tried = [fit_arima(x, p, d, q, drift) for p, q in orders for drift in ([False, True] if d == 1 else [False])]
    else:
        p, d, q = options["non_seasonal_order"]
        tried = [fit_arima(x, p, d, q, bool(options["include_drift"]))]
    tried.sort(key=lambda one: np.inf if one.aic is None else one.aic)
    if tried[0].aic is None:
        raise BadRequest(f"No ARIMA model can be fitted: {tried[0].error}")
    return tried


def differences(x: Floats) -> int:
    """How often to difference until KPSS no longer rejects a constant level at 5%; at most twice."""
    from statsmodels.tsa.stattools import kpss

    for d in range(2):
        level = np.diff(x, d)
        if np.ptp(level) < 1e-12 or len(level) < 2 * LEAST_POINTS:
            return d
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if kpss(level, regression="c", nlags="auto")[1] > 0.05:
                return d
    return 2


def fit_arima(x: Floats, p: int, d: int, q: int, drift: bool) -> Candidate:
    """Maximum likelihood of an ARMA(p, q) of the d-th differences; a constant for d = 0, for d = 1 if `drift`."""
    from statsmodels.tsa.arima.model import ARIMA

    constant = d == 0 or drift
    level = np.diff(x, d)
    if len(level) <= p + q + constant + 1:
        return Candidate(p, d, q, drift, error="The time series is too short.")
    if np.ptp(level) < 1e-12:  # a line: nothing is left to model
        if p or q:
            return Candidate(p, d, q, drift, error="The series is constant.")
        return Candidate(p, d, q, drift, 0.0, 0.0, 0.0, constant=float(level[0]) if constant else 0.0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = ARIMA(level, order=(p, 0, q), trend="c" if constant else "n").fit(
                method="innovations_mle" if p or q else "statespace"
            )
    except (ValueError, np.linalg.LinAlgError) as error:
        return Candidate(p, d, q, drift, error=str(error))
    if not np.isfinite(found.aic):
        return Candidate(p, d, q, drift, error="The likelihood is not finite.")
    return Candidate(
        p,
        d,
        q,
        drift,
        float(found.llf),
        float(found.aic),
        float(found.params[-1]),
        tuple(float(v) for v in found.arparams),
        tuple(float(v) for v in found.maparams),
        float(found.params[0]) if constant else 0.0,
    )


def project(x: Floats, model: Candidate, horizon: int) -> tuple[Floats, Floats, Floats]:
    """One-step-ahead history, forecast and standard errors of the forecast."""
    level = np.diff(x, model.d) - model.constant
    ar, ma = np.array(model.ar), np.array(model.ma)
    innovations = np.zeros(len(level))
    for t in range(len(level)):
        past = sum(ar[i] * level[t - 1 - i] for i in range(len(ar)) if t - 1 - i >= 0)
        shocks = sum(ma[i] * innovations[t - 1 - i] for i in range(len(ma)) if t - 1 - i >= 0)
        innovations[t] = level[t] - past - shocks
    trend = x.copy()
    trend[model.d :] -= innovations
    extended = np.concatenate([level, np.zeros(horizon)])
    shock = np.concatenate([innovations, np.zeros(horizon)])
    for t in range(len(level), len(extended)):
        extended[t] = sum(ar[i] * extended[t - 1 - i] for i in range(len(ar)) if t - 1 - i >= 0)
        extended[t] += sum(ma[i] * shock[t - 1 - i] for i in range(len(ma)) if t - 1 - i >= 0)
    ahead = extended[len(level) :] + model.constant
    weights = psi(ar, ma, horizon)
    for order in range(model.d - 1, -1, -1):
        # Back from differences to levels; errors add up in the same way.
        ahead = np.diff(x, order)[-1] + np.cumsum(ahead)
        weights = np.cumsum(weights)
    errors = np.sqrt((model.variance or 0.0) * np.cumsum(weights**2))
    return trend, ahead, errors


def psi(ar: Floats, ma: Floats, count: int) -> Floats:
    """Weights of past shocks in an ARMA process."""
    out = np.zeros(count)
    for j in range(count):
        out[j] = 1.0 if j == 0 else (ma[j - 1] if j <= len(ma) else 0.0)
        out[j] += sum(ar[i] * out[j - 1 - i] for i in range(len(ar)) if j - 1 - i >= 0)
    return out


def groups(table: pa.Table, ids: list[str]) -> Iterator[Any]:
    """Row numbers of each series, in the order of their identifiers."""
    if not ids:
        yield np.arange(len(table))
        return
    places: dict[tuple[Any, ...], list[int]] = {}
    for row, key in enumerate(_keys(table, ids)):
        places.setdefault(key, []).append(row)
    for key in sorted(places, key=lambda k: tuple((v is not None, v or "") for v in k)):
        yield np.array(places[key])


def _keys(table: pa.Table, names: list[str]) -> list[tuple[Any, ...]]:
    return list(zip(*(texts(table[name]).to_pylist() for name in names)))


def _repeat(season: Floats, period: int, count: int) -> Floats:
    """The last period, over and over."""
    return np.resize(season[-period:], count)
