"""Checks, hints and wrong answers of interpretable-vs-blackbox."""

import numpy as np
import pandas as pd
from labkit.lesson import Exercise, Incorrect

TREES = {
    "n_estimators": 80,
    "max_depth": 4,
    "learning_rate": 0.12,
    "min_child_weight": 15,
    "reg_lambda": 5,
    "n_jobs": 1,
}
HOME_SHARE = 0.4


def log_odds(p):
    p = np.asarray(p, dtype=float)
    return np.log(p / (1 - p))


def number(value, what):
    """The value as a float, or Incorrect."""
    if isinstance(value, (str, bytes)) or np.size(value) != 1:
        raise Incorrect(f"{what} returns one number, got {type(value).__name__} of size {np.size(value)}.")
    found = float(np.ravel(value)[0])
    if not np.isfinite(found):
        raise Incorrect(f"{what} returned {found}, not a finite number.")
    return found


class Effect(Exercise):
    name = "effect"
    hints = [
        "Two tables: one in which everybody has the column at 1, one in which everybody has it at 0. DataFrame.assign "
        "makes a copy.",
        "Predict for both tables, turn both risks into log-odds, and only then take the difference.",
        "For a logistic regression the answer must be the weight of the column, in the column's own unit.",
    ]
    wrong = {
        "the difference between the two groups": (
            "def effect(model, patients, column):\n"
            "    p = risk(model, patients)\n"
            "    logit = np.log(p / (1 - p))\n"
            "    return logit[patients[column] == 1].mean() - logit[patients[column] == 0].mean()"
        ),
        "probabilities instead of log-odds": (
            "def effect(model, patients, column):\n"
            "    on, off = patients.assign(**{column: 1.0}), patients.assign(**{column: 0.0})\n"
            "    return (risk(model, on) - risk(model, off)).mean()"
        ),
        "the wrong way round": (
            "def effect(model, patients, column):\n"
            "    p1, p0 = [risk(model, patients.assign(**{column: value})) for value in (1.0, 0.0)]\n"
            "    return (np.log(p0 / (1 - p0)) - np.log(p1 / (1 - p1))).mean()"
        ),
        "compared with the patients as they are": (
            "def effect(model, patients, column):\n"
            "    p1, p0 = risk(model, patients.assign(**{column: 1.0})), risk(model, patients)\n"
            "    return (np.log(p1 / (1 - p1)) - np.log(p0 / (1 - p0))).mean()"
        ),
        "one number for each patient": (
            "def effect(model, patients, column):\n"
            "    p1, p0 = [risk(model, patients.assign(**{column: value})) for value in (1.0, 0.0)]\n"
            "    return np.log(p1 / (1 - p1)) - np.log(p0 / (1 - p0))"
        ),
        "changes the table itself": (
            "def effect(model, patients, column):\n"
            "    patients[column] = 1.0\n"
            "    p1 = risk(model, patients)\n"
            "    patients[column] = 0.0\n"
            "    p0 = risk(model, patients)\n"
            "    return (np.log(p1 / (1 - p1)) - np.log(p0 / (1 - p0))).mean()"
        ),
    }

    def check(self, effect, model, patients):
        columns = list(model.feature_names_in_)
        for column in ("asthma", "heart_failure"):
            table = patients.copy()
            try:
                found = number(effect(model, table, column), "effect")
            except KeyError as error:
                raise Incorrect(f"It asks the table for {error}, which is not one of its columns.") from None
            if not table.equals(patients):
                raise Incorrect(
                    f"Afterwards {column} has changed in the caller's table: every later cell would see patients "
                    "who do not exist. Change a copy, as DataFrame.assign does."
                )
            p1, p0 = (model.predict_proba(patients.assign(**{column: v})[columns])[:, 1] for v in (1.0, 0.0))
            right = float((log_odds(p1) - log_odds(p0)).mean())
            if np.isclose(found, right, rtol=1e-3, atol=1e-4):
                continue
            if np.isclose(found, -right, rtol=1e-3):
                raise Incorrect(f"{column}: {found:+.2f} has the wrong sign. From 0 to 1 is predicted at 1 minus at 0.")
            if np.isclose(found, (p1 - p0).mean(), rtol=1e-3):
                raise Incorrect(
                    f"{column}: {found:+.4f} is a difference of probabilities. It is small wherever death is rare; "
                    "in log-odds an additive model has one answer for everybody."
                )
            raise Incorrect(
                f"{column}: {found:+.2f}, but only setting it to 1 and then to 0 for the same patients changes the "
                f"log-odds by {right:+.2f}. Groups of different patients differ in age and all the rest, and those "
                "who have the column at 1 already must be set to 0 as well."
            )


class DeathsAtHome(Exercise):
    name = "deaths_at_home"
    hints = [
        "Under the new policy nobody at home gets intensive care. Which column says what happens then?",
        "np.argsort(predicted) gives the places of the patients from the lowest to the highest risk.",
        "The mean over those sent home, and only those, times 1,000.",
    ]
    wrong = {
        "what was observed": (
            "def deaths_at_home(predicted, patients, share):\n"
            "    home = np.argsort(predicted)[:int(share * len(patients))]\n"
            "    return 1000 * patients['died'].to_numpy()[home].mean()"
        ),
        "what the model predicts": (
            "def deaths_at_home(predicted, patients, share):\n"
            "    return 1000 * np.sort(predicted)[:int(share * len(patients))].mean()"
        ),
        "the highest risks sent home": (
            "def deaths_at_home(predicted, patients, share):\n"
            "    home = np.argsort(-predicted)[:int(share * len(patients))]\n"
            "    return 1000 * patients['risk_at_home'].to_numpy()[home].mean()"
        ),
        "per 1,000 of all patients": (
            "def deaths_at_home(predicted, patients, share):\n"
            "    home = np.argsort(predicted)[:int(share * len(patients))]\n"
            "    return 1000 * patients['risk_at_home'].to_numpy()[home].sum() / len(patients)"
        ),
        "a share instead of a number in 1,000": (
            "def deaths_at_home(predicted, patients, share):\n"
            "    home = np.argsort(predicted)[:int(share * len(patients))]\n"
            "    return patients['risk_at_home'].to_numpy()[home].mean()"
        ),
        "only those without care in the past": (
            "def deaths_at_home(predicted, patients, share):\n"
            "    home = np.argsort(predicted)[:int(share * len(patients))]\n"
            "    sent = patients.iloc[home]\n"
            "    return 1000 * sent['died'][sent['intensive_care'] == 0].mean()"
        ),
    }

    def check(self, deaths_at_home, patients):
        rng = np.random.default_rng(0)
        risk = patients["risk_at_home"].to_numpy()
        # A prediction that ranks a whole group wrongly, as the models of this lab do.
        predicted = 0.7 * risk * np.where(patients["asthma"] == 1, 0.2, 1) * rng.uniform(0.7, 1.4, len(risk))
        for share in (0.4, 0.15):
            found = number(deaths_at_home(predicted, patients, share), "deaths_at_home")
            count = int(share * len(risk))
            order = np.argsort(predicted, kind="stable")
            home = order[:count]
            right = 1000 * risk[home].mean()
            if np.isclose(found, right, rtol=0.002):
                continue
            if np.isclose(found, right / 1000, rtol=0.002):
                raise Incorrect(f"{found:.4f} is the share of those sent home who die; asked is the number of 1,000.")
            if np.isclose(found, 1000 * patients["died"].to_numpy()[home].mean(), rtol=0.002):
                raise Incorrect(
                    f"{found:.1f} counts the deaths that were observed under the old policy, when many of these "
                    "patients had intensive care. At home they have none: the records cannot answer this question."
                )
            if np.isclose(found, right * share, rtol=0.002):
                raise Incorrect(f"{found:.1f} is per 1,000 of all patients. Divide by the number of those sent home.")
            if np.isclose(found, 1000 * risk[order[-count:]].mean(), rtol=0.002):
                raise Incorrect(f"{found:.0f}: this sends home the patients with the highest predicted risk.")
            if np.isclose(found, 1000 * predicted[home].mean(), rtol=0.002):
                raise Incorrect(
                    f"{found:.1f} is the mean of the predictions: it asks the model whether the model is right. "
                    "The prediction says who goes home, risk_at_home says what happens to them."
                )
            raise Incorrect(
                f"{found:.1f} for a share of {share}, but of 1,000 patients sent home {right:.1f} die on average. "
                "The outcome under the old policy is not what happens at home, also not among a part of the patients."
            )


class Constraints(Exercise):
    name = "constraints"
    hints = [
        "Go through the columns one by one: if only this one grows, can a patient's risk fall?",
        "A disease of the lung does not lower the risk. Which two columns say who has one?",
        "One column has a minus: the risk falls when it grows.",
    ]
    wrong = {
        "asthma alone": 'constraints = {"asthma": 1}',
        "all upwards": "constraints = {name: 1 for name in COLUMNS}",
        "as the data say": (
            'constraints = {"age": 1, "breaths": 1, "urea": 1, "heart_failure": 1, "pressure": -1,\n'
            '               "asthma": -1, "inhaler": -1}'
        ),
        "the inhaler forgotten": (
            'constraints = {"age": 1, "breaths": 1, "urea": 1, "heart_failure": 1, "pressure": -1, "asthma": 1}'
        ),
        "no constraint": "constraints = {}",
        "a list instead of names": "constraints = [1, 1, -1, 1, 0, 1, 1, 1]",
        "not the table's name": (
            'constraints = {"age": 1, "breathing rate": 1, "urea": 1, "heart_failure": 1, "pressure": -1,\n'
            '               "asthma": 1, "inhaler": 1}'
        ),
    }
    DIRECTION = {
        "age": 1, "breaths": 1, "urea": 1, "heart_failure": 1, "asthma": 1, "inhaler": 1, "pressure": -1
    }  # fmt: skip

    def check(self, constraints, history, died, patients):
        import xgboost

        if not isinstance(constraints, dict):
            raise Incorrect(f"constraints is a dictionary from columns to 1 or -1, got {type(constraints).__name__}.")
        unknown = set(constraints) - set(history.columns)
        if unknown:
            raise Incorrect(f"{sorted(map(str, unknown))}: no such column. There are {', '.join(history.columns)}.")
        if not all(value in (-1, 0, 1) for value in constraints.values()):
            raise Incorrect("A direction is 1 (up only), -1 (down only) or 0 (free).")
        turned = [name for name, sign in constraints.items() if sign == -self.DIRECTION.get(name, 0) != 0]
        if turned:
            raise Incorrect(
                f"{', '.join(turned)}: the other way round. Not what the data show, but what medicine knows: with a "
                "constraint in the wrong direction the model may only learn the error, or nothing from this column."
            )
        if constraints.get("temperature", 0):
            raise Incorrect("Fever can go either way: a constraint on the temperature states what nobody knows.")
        # What the trees do with it: the effect that is left on two columns, against medicine.
        model = xgboost.XGBClassifier(**TREES | {"n_estimators": 30}, monotone_constraints=constraints)
        model.fit(history, died)
        some = patients[history.columns].iloc[:1000]
        for name in ("asthma", "inhaler"):
            on, off = (log_odds(model.predict_proba(some.assign(**{name: v}))[:, 1]) for v in (1.0, 0.0))
            if (on - off).min() < -1e-4:
                raise Incorrect(
                    f"With these constraints {name} still lowers the risk, by up to {-(on - off).min():.2f} log-odds. "
                    "The boosting moves what it may not say with one column to another one that stands for it."
                )
        missing = [name for name in self.DIRECTION if constraints.get(name, 0) == 0]
        if missing:
            raise Incorrect(f"Free although the doctor knows its direction: {', '.join(missing)}.")


class RiskWithoutCare(Exercise):
    name = "risk_without_care"
    hints = [
        "Train with nine columns: the eight and intensive_care, as it was.",
        "Predict for the same patients, but with intensive_care at the value that it has at home.",
        "patients.assign(intensive_care=...) makes a copy; keep the order of the columns.",
    ]
    wrong = {
        "with the care that they had": (
            "def risk_without_care(history, patients):\n"
            "    columns = [*COLUMNS, 'intensive_care']\n"
            "    model = xgboost.XGBClassifier(**TREES).fit(history[columns], history['died'])\n"
            "    return model.predict_proba(patients[columns])[:, 1]"
        ),
        "with care for everybody": (
            "def risk_without_care(history, patients):\n"
            "    columns = [*COLUMNS, 'intensive_care']\n"
            "    model = xgboost.XGBClassifier(**TREES).fit(history[columns], history['died'])\n"
            "    return model.predict_proba(patients.assign(intensive_care=1.0)[columns])[:, 1]"
        ),
        "the eight columns only": (
            "def risk_without_care(history, patients):\n"
            "    model = xgboost.XGBClassifier(**TREES).fit(history[COLUMNS], history['died'])\n"
            "    return model.predict_proba(patients[COLUMNS])[:, 1]"
        ),
        "the probability of surviving": (
            "def risk_without_care(history, patients):\n"
            "    columns = [*COLUMNS, 'intensive_care']\n"
            "    model = xgboost.XGBClassifier(**TREES).fit(history[columns], history['died'])\n"
            "    return model.predict_proba(patients.assign(intensive_care=0.0)[columns])[:, 0]"
        ),
        "classes instead of probabilities": (
            "def risk_without_care(history, patients):\n"
            "    columns = [*COLUMNS, 'intensive_care']\n"
            "    model = xgboost.XGBClassifier(**TREES).fit(history[columns], history['died'])\n"
            "    return model.predict(patients.assign(intensive_care=0.0)[columns])"
        ),
        "only patients without care": (
            "def risk_without_care(history, patients):\n"
            "    model = xgboost.XGBClassifier(**TREES).fit(history[COLUMNS], history['died'])\n"
            "    home = patients[patients['intensive_care'] == 0]\n"
            "    return model.predict_proba(home[COLUMNS])[:, 1]"
        ),
    }

    def check(self, risk_without_care, history, patients):
        found = np.asarray(risk_without_care(history.copy(), patients.copy()), dtype=float)
        if found.shape != (len(patients),):
            raise Incorrect(f"A probability for each of the {len(patients)} patients, got shape {found.shape}.")
        if not ((found >= 0) & (found <= 1)).all():
            raise Incorrect(f"Probabilities lie between 0 and 1, got {found.min():.3g} to {found.max():.3g}.")
        if len(np.unique(found)) < 20:
            raise Incorrect("Only a few different values: classes cannot rank 40% of the patients. Use predict_proba.")
        had_care = patients["intensive_care"].to_numpy() == 1
        truth = patients["risk_at_home"].to_numpy()
        if found.mean() > 0.5:
            raise Incorrect(f"The mean is {found.mean():.2f}: that is the probability of surviving. Column 1 is death.")
        if pd.Series(found).corr(pd.Series(truth), method="spearman") < 0.5:
            raise Incorrect("It hardly ranks the patients by their risk: is every column in its place?")
        ratio = found[had_care].mean() / truth[had_care].mean()
        if ratio < 0.7:
            raise Incorrect(
                f"Patients who had intensive care get a mean risk of {found[had_care].mean():.2f}; without it it is "
                f"{truth[had_care].mean():.2f}. Their care is still inside the prediction, and at home there is none."
            )
        if ratio > 1.4:
            raise Incorrect(f"The risk of those who had care is predicted {ratio:.1f} times too high.")
