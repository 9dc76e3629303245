"""Checks, hints and wrong answers of leakage-and-time-splits."""

import numpy as np
import pandas as pd
from labkit.lesson import Exercise, Incorrect


class DecisionDay(Exercise):
    name = "decision_day"
    hints = [
        "The label of a month is a return over the months that follow. On which day is it complete?",
        "Write that day down for every row of `table`: its own date, moved on by HORIZON month ends.",
        "A row of `train` needs that day to be no later than decision_day. A row of `holdout` only needs its own date "
        "to be decision_day or later: nobody has to know its label yet.",
    ]
    wrong = {
        "every month before the meeting": (
            "train = table[table.index < decision_day]\nholdout = table[table.index >= decision_day]"
        ),
        "shuffled": (
            "from sklearn.model_selection import train_test_split\n"
            "train, holdout = train_test_split(table, test_size=0.45, random_state=0)"
        ),
        "a gap, but after the meeting": (
            "train = table[table.index <= decision_day]\n"
            "holdout = table[table.index > decision_day + pd.offsets.MonthEnd(HORIZON)]"
        ),
        "the wrong way round": (
            "train = table[table.index >= decision_day]\n"
            "holdout = table[table.index + pd.offsets.MonthEnd(HORIZON) <= decision_day]"
        ),
        "the gap is taken from both sides": (
            "train = table[table.index + pd.offsets.MonthEnd(HORIZON) <= decision_day]\n"
            "holdout = table[table.index >= decision_day + pd.offsets.MonthEnd(HORIZON)]"
        ),
    }

    def check(self, train, holdout, table, decision_day, horizon):
        for name, part in {"train": train, "holdout": holdout}.items():
            if not isinstance(part, pd.DataFrame) or list(part) != list(table):
                raise Incorrect(f"`{name}` should be rows of `table` with all its columns, got {type(part).__name__}.")
            if not len(part):
                raise Incorrect(f"`{name}` is empty.")
        day = f"{decision_day:%d %B %Y}"
        if train.index.min() >= decision_day:
            raise Incorrect(
                f"You train on months after the meeting: on {day}, {train.index.min():%B %Y} was the future."
            )
        if holdout.index.min() < decision_day:
            raise Incorrect(
                f"The holdout has months before the meeting, such as {holdout.index.min():%B %Y}. It must stand for "
                "the years that came after it, or it cannot say what the board will get."
            )
        known = train.index + pd.offsets.MonthEnd(horizon)
        unknown = train.index[known > decision_day]
        if len(unknown):
            raise Incorrect(
                f"{len(unknown)} training months have labels that nobody knew on {day}. {unknown[-1]:%B %Y} has a "
                f"label that ends in {known.max():%B %Y}: you would train on the future."
            )
        usable = int((table.index + pd.offsets.MonthEnd(horizon) <= decision_day).sum())
        if len(train) < usable - 1:
            raise Incorrect(f"{usable} months had a known label on {day}, you train on {len(train)}: some are missing.")
        after = int((table.index >= decision_day).sum())
        if len(holdout) < after - 1:
            raise Incorrect(
                f"{after} months follow the meeting, the holdout has {len(holdout)}. A forecast needs features only, "
                f"so the first one can be made on {day}. The gap costs training months, not test months."
            )


class Gap(Exercise):
    name = "gap"
    hints = [
        "The last training month is t. Its label is complete at the end of month t + HORIZON.",
        "The first forecast of a fold is made at the end of its first test month, with everything known by then.",
        "So the first test month may be t + HORIZON itself. How many months lie strictly between t and t + HORIZON?",
    ]
    wrong = {
        "in order, no gap": "splits = TimeSeriesSplit(n_splits=FOLDS, test_size=TEST_MONTHS)",
        "one month is enough": "splits = TimeSeriesSplit(n_splits=FOLDS, test_size=TEST_MONTHS, gap=1)",
        "off by one": "splits = TimeSeriesSplit(n_splits=FOLDS, test_size=TEST_MONTHS, gap=HORIZON - 2)",
        "as wide as the test": "splits = TimeSeriesSplit(n_splits=FOLDS, test_size=TEST_MONTHS, gap=TEST_MONTHS)",
        "the more the better": "splits = TimeSeriesSplit(n_splits=FOLDS, test_size=TEST_MONTHS, gap=2 * HORIZON)",
        "blocks that are not shuffled": "splits = KFold(5, shuffle=False)",
        "a number": "splits = HORIZON - 1",
    }

    def check(self, splits, train, horizon):
        if not hasattr(splits, "split"):
            raise Incorrect(f"`splits` is the splitter itself, TimeSeriesSplit(…), got {type(splits).__name__}.")
        try:
            folds = list(splits.split(train))
        except ValueError as error:
            raise Incorrect(
                f"These {len(train)} months cannot be split like that. scikit-learn says: {error}"
            ) from None
        for learned, tested in folds:
            if learned.max() > tested.min():
                raise Incorrect(
                    f"One fold trains on {train.index[learned.max()]:%B %Y} and tests on "
                    f"{train.index[tested.min()]:%B %Y}: the model is asked for what lies before its "
                    "training data. In production that never happens."
                )
        gap = min(tested.min() - learned.max() - 1 for learned, tested in folds)
        learned, tested = folds[-1]
        last, first = train.index[learned.max()], train.index[tested.min()]
        ends = last + pd.offsets.MonthEnd(horizon)
        if gap < horizon - 1:
            raise Incorrect(
                f"The gap is {gap} months. The last fold makes its first forecast in {first:%B %Y} and has trained on "
                f"{last:%B %Y}, whose label ends in {ends:%B %Y}. Nobody knew that label on the day of the forecast."
            )
        if gap > horizon:
            raise Incorrect(
                f"The gap is {gap} months: nothing leaks, but {gap - horizon + 1} months whose labels were known are "
                "thrown away. The newest training data is the most useful, so the score is now too low."
            )
        if sum(len(tested) for _, tested in folds) < 100:
            raise Incorrect("Too few months are tested. Keep n_splits=FOLDS and test_size=TEST_MONTHS.")


def _known_table(prices):
    """Columns whose behaviour is known: the first three look ahead, the others do not."""
    price = prices.iloc[:, 0]
    return pd.DataFrame(
        {
            "centred": price.rolling(3, center=True).mean(),
            "next": price.shift(-1),
            "share_of_total": price / price.sum(),
            "level": price,
            "lagged": price.shift(2),
            "long_average": price.rolling(24).mean(),
            "highest_so_far": price.cummax(),
        }
    )


class LooksAhead(Exercise):
    name = "looks_ahead"
    hints = [
        "Make the table twice: once from all prices, once from the prices that existed on the day.",
        "It is the prices that must be cut. In a finished table the future is already mixed in.",
        "Compare the two rows of that day. A value that is missing in both has not changed, but NaN == NaN is False: "
        "np.isclose has an argument for it.",
    ]
    wrong = {
        "cuts the finished table": (
            "def looks_ahead(make_table, prices, day):\n"
            "    full = make_table(prices)\n"
            "    past = full.loc[:day]\n"
            "    return set(full.columns[~np.isclose(full.loc[day], past.iloc[-1], equal_nan=True)])"
        ),
        "NaN is not equal to NaN": (
            "def looks_ahead(make_table, prices, day):\n"
            "    full = make_table(prices).loc[day]\n"
            "    past = make_table(prices.loc[:day]).loc[day]\n"
            "    return set(full.index[~np.isclose(full, past)])"
        ),
        "compares whole columns": (
            "def looks_ahead(make_table, prices, day):\n"
            "    full = make_table(prices)\n"
            "    past = make_table(prices.loc[:day])\n"
            "    return {name for name in full if not full[name].equals(past[name])}"
        ),
        "takes the past away": (
            "def looks_ahead(make_table, prices, day):\n"
            "    full = make_table(prices).loc[day]\n"
            "    later = make_table(prices.loc[day:]).loc[day]\n"
            "    return set(full.index[~np.isclose(full, later, equal_nan=True)])"
        ),
        "correlation with the future": (
            "def looks_ahead(make_table, prices, day):\n"
            "    future = prices.iloc[:, 0].shift(-1)\n"
            "    full = make_table(prices)\n"
            "    return {name for name in full if abs(full[name].corr(future)) > 0.9}"
        ),
    }

    def check(self, looks_ahead):
        if not callable(looks_ahead):
            raise Incorrect(f"`looks_ahead` is a function, got {type(looks_ahead).__name__}.")
        months = pd.date_range("2000-01-31", periods=60, freq="ME")
        prices = pd.DataFrame({"price": np.exp(np.random.default_rng(0).normal(0, 0.1, 60).cumsum())}, index=months)
        guilty = {"centred", "next", "share_of_total"}
        for day, where in ((months[40], "in the middle"), (months[10], "early, where long averages are still missing")):
            found = looks_ahead(_known_table, prices, day)
            if not isinstance(found, set | frozenset | list | tuple | pd.Index):
                raise Incorrect(f"It returns a set of column names, got {type(found).__name__}.")
            missed, accused = guilty - set(found), set(found) - guilty
            if missed and not found:
                raise Incorrect(
                    "It finds nothing, not even a column that is simply the next month's price. Is the table made anew "
                    "from the shorter prices, or is a finished table cut?"
                )
            if accused:
                name = sorted(accused)[0]
                raise Incorrect(
                    f"On a day {where} it accuses `{name}`, which uses that day and earlier ones only. Compare "
                    "one value per column, that of the day, and count two missing values as equal. Take away what is "
                    "later, nothing else."
                )
            if missed:
                name = sorted(missed)[0]
                raise Incorrect(f"On a day {where} it misses `{name}`, whose value changes when the future goes.")


class Pipeline(Exercise):
    name = "pipeline"
    hints = [
        "Which step has looked at labels? It has to happen again in every fold, on that fold's training rows.",
        "scikit-learn has an object that chains a step and a model, and whose fit fits both.",
        "SelectKBest is a step like a scaler: give it to make_pipeline unfitted, before the Ridge.",
    ]
    wrong = {
        "the choice made once": (
            "def build():\n"
            "    columns = vendor.columns.get_indexer(chosen)\n"
            "    from sklearn.preprocessing import FunctionTransformer\n"
            "    return make_pipeline(FunctionTransformer(lambda X: np.asarray(X)[:, columns]), Ridge(1.0))"
        ),
        "no choice at all": "def build():\n    return Ridge(1.0)",
        "a scaler instead": (
            "def build():\n"
            "    from sklearn.preprocessing import StandardScaler\n"
            "    return make_pipeline(StandardScaler(), Ridge(1.0))"
        ),
        "the default number of series": "def build():\n    return make_pipeline(SelectKBest(f_regression), Ridge(1.0))",
        "only the choice": "def build():\n    return SelectKBest(f_regression, k=KEPT)",
    }

    def check(self, build, kept, columns):
        if not callable(build):
            raise Incorrect(f"`build` is a function that returns a model, got {type(build).__name__}.")
        model = build()
        for method in ("fit", "predict"):
            if not hasattr(model, method):
                name = type(model).__name__
                raise Incorrect(f"`build()` returns {name}, which has no {method}. After the choice comes a Ridge.")
        # Known truth: one series, another one in each round, is the label plus a little noise.
        rng = np.random.default_rng(1)
        for _ in range(2):
            X, truth = rng.normal(size=(80, columns)), int(rng.integers(columns))
            fitted = build().fit(X, X[:, truth] + 0.1 * rng.normal(size=80))
            weights = fitted.predict(np.eye(columns)) - fitted.predict(np.zeros((1, columns)))
            used = np.flatnonzero(np.abs(weights) > 1e-9)
            if len(used) > kept:
                raise Incorrect(f"The fitted model uses {len(used)} series, not {kept}: the others go on adding noise.")
            if truth not in used:
                raise Incorrect(
                    "Fitted on other rows, the model does not find the one series that goes with their label. "
                    "Its choice was made before it was fitted, on rows that the test fold contains."
                )
            if len(used) < kept:
                raise Incorrect(f"The fitted model uses {len(used)} series, {kept} were asked for: set k.")
