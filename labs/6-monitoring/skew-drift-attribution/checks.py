"""Checks, hints and wrong answers of skew-drift-attribution."""

import numpy as np
import pandas as pd
from labkit.lesson import Exercise, Incorrect


class Curate(Exercise):
    name = "curate"
    hints = [
        "Print inferred. Where does it keep the values of payment_type, and where is company tied to its list?",
        "A domain's values are a list that can be assigned to. A feature's distribution_constraints have one field, "
        "the share of values that must come from the domain.",
        "schema_pb2.IntDomain takes min and max; tfdv.set_domain ties it to a column. Do not forget to return.",
    ]
    wrong = {
        "leaves it as inferred": ("def curate(schema):\n    return schema"),
        "learns the new values from the log": (
            "def curate(schema):\n    return tfdv.update_schema(schema, statistics(held[LOG]))"
        ),
        "drops every list": (
            "def curate(schema):\n"
            "    curated = schema_pb2.Schema()\n"
            "    curated.CopyFrom(schema)\n"
            '    for column in ["payment_type", "company"]:\n'
            '        tfdv.get_feature(curated, column).ClearField("domain")\n'
            '    tfdv.set_domain(curated, "trip_seconds", schema_pb2.IntDomain(min=60, max=7200))\n'
            "    return curated\n"
        ),
        "loosens the closed list as well": (
            "def curate(schema):\n"
            "    curated = schema_pb2.Schema()\n"
            "    curated.CopyFrom(schema)\n"
            '    tfdv.get_domain(curated, "payment_type").value[:] = PAYMENT_TYPES\n'
            '    tfdv.get_feature(curated, "company").distribution_constraints.min_domain_mass = 0.9\n'
            '    tfdv.get_feature(curated, "payment_type").distribution_constraints.min_domain_mass = 0.9\n'
            '    tfdv.set_domain(curated, "trip_seconds", schema_pb2.IntDomain(min=60, max=7200))\n'
            "    return curated\n"
        ),
        "accepts any company": (
            "def curate(schema):\n"
            "    curated = schema_pb2.Schema()\n"
            "    curated.CopyFrom(schema)\n"
            '    tfdv.get_domain(curated, "payment_type").value[:] = PAYMENT_TYPES\n'
            '    tfdv.get_feature(curated, "company").ClearField("domain")\n'
            '    tfdv.set_domain(curated, "trip_seconds", schema_pb2.IntDomain(min=60, max=7200))\n'
            "    return curated\n"
        ),
        "forgets the range": (
            "def curate(schema):\n"
            "    curated = schema_pb2.Schema()\n"
            "    curated.CopyFrom(schema)\n"
            '    tfdv.get_domain(curated, "payment_type").value[:] = PAYMENT_TYPES\n'
            '    tfdv.get_feature(curated, "company").distribution_constraints.min_domain_mass = 0.9\n'
            "    return curated\n"
        ),
        "writes the range in minutes": (
            "def curate(schema):\n"
            "    curated = schema_pb2.Schema()\n"
            "    curated.CopyFrom(schema)\n"
            '    tfdv.get_domain(curated, "payment_type").value[:] = PAYMENT_TYPES\n'
            '    tfdv.get_feature(curated, "company").distribution_constraints.min_domain_mass = 0.9\n'
            '    tfdv.set_domain(curated, "trip_seconds", schema_pb2.IntDomain(min=1, max=120))\n'
            "    return curated\n"
        ),
        "forgets to return": (
            "def curate(schema):\n"
            "    curated = schema_pb2.Schema()\n"
            "    curated.CopyFrom(schema)\n"
            '    tfdv.get_domain(curated, "payment_type").value[:] = PAYMENT_TYPES\n'
            '    tfdv.get_feature(curated, "company").distribution_constraints.min_domain_mass = 0.9\n'
            '    tfdv.set_domain(curated, "trip_seconds", schema_pb2.IntDomain(min=60, max=7200))\n'
        ),
    }

    def check(self, curate, inferred, train, held):
        from tensorflow_metadata.proto.v0 import schema_pb2

        given = schema_pb2.Schema()
        given.CopyFrom(inferred)
        schema = curate(given)
        if not isinstance(schema, schema_pb2.Schema):
            raise Incorrect(f"curate returns the schema; yours returned {type(schema).__name__}.")
        day = held.sample(500, random_state=0).reset_index(drop=True)
        self.silent(schema, day, "A clean day")
        listed = day.copy()
        listed.loc[[0, 1], "payment_type"] = ["Pcard", "Prcard"]
        self.silent(schema, listed, "A day with Pcard and Prcard, which are on the list,")
        longest = day.copy()
        longest.loc[[0, 1], "trip_seconds"] = [60, 7200]
        self.silent(schema, longest, "A day with trips of exactly 60 and 7200 seconds")
        self.silent(schema, self.new_companies(day, 0.04), "A day with 4 per cent of its rows from a new company")

        mobile = day.copy()
        mobile.loc[0, "payment_type"] = "Mobile"
        self.rings(schema, mobile, "payment_type", "one row pays by 'Mobile', and the list of payment types is closed")
        minutes = day.assign(trip_seconds=day.trip_seconds // 60)
        self.rings(schema, minutes, "trip_seconds", "the durations are in minutes, and the shortest may be 60 seconds")
        long = day.copy()
        long.loc[0, "trip_seconds"] = 7201
        self.rings(schema, long, "trip_seconds", "one trip takes longer than 7200 seconds")
        new = self.new_companies(day, 0.3)
        self.rings(schema, new, "company", "nearly a third of the rows has a company that nobody knows")

    def new_companies(self, day, share):
        changed = day.copy()
        changed.loc[changed.index[: int(share * len(day))], "company"] = "A Company That Did Not Exist"
        return changed

    def anomalies(self, schema, day):
        import tensorflow_data_validation as tfdv

        found = tfdv.validate_statistics(tfdv.generate_statistics_from_dataframe(day, n_jobs=1), schema).anomaly_info
        return {column: info.description for column, info in found.items()}

    def silent(self, schema, day, what):
        found = self.anomalies(schema, day)
        if found:
            column, said = next(iter(found.items()))
            raise Incorrect(f"{what} is refused: {column}: {said.strip()} Refuse good days, and nobody will look.")

    def rings(self, schema, day, column, why):
        if column not in self.anomalies(schema, day):
            raise Incorrect(f"A bad day passes: {why}. The schema says nothing about {column}.")


class Thresholds(Exercise):
    name = "thresholds"
    hints = [
        "If seven columns each ring on one clean day in twenty, on how many days does at least one of them ring?",
        "Share the allowed rate among the columns. Which quantile of a column is exceeded that rarely?",
        "clean.quantile(…) gives one number per column. How far below 1, when each column gets its part?",
    ]
    wrong = {
        "the whole rate for each column": "thresholds = clean.quantile(1 - FALSE_ALARMS)",
        "one number for all": "thresholds = pd.Series(clean.max().max(), index=clean.columns)",
        "gcloud's default": "thresholds = pd.Series(0.3, index=clean.columns)",
        "the tutorial's": "thresholds = pd.Series(0.01, index=clean.columns)",
        "the typical clean day": "thresholds = clean.mean()",
        "the wrong end": "thresholds = clean.quantile(FALSE_ALARMS / clean.shape[1])",
        "a single number": "thresholds = clean.stack().quantile(1 - FALSE_ALARMS)",
    }

    def check(self, thresholds, clean, fresh, rate):
        if not isinstance(thresholds, pd.Series):
            raise Incorrect(
                "thresholds is a Series with one number per column. The noise of the columns differs "
                "several times over: what suits one is deaf or hysterical for another."
            )
        missing = [column for column in clean.columns if column not in thresholds.index]
        if missing:
            raise Incorrect(f"These columns have no threshold: {', '.join(missing)}.")
        thresholds = thresholds[clean.columns]
        rings = fresh > thresholds
        share = rings.any(axis=1).mean()
        if share > 2.5 * rate:
            each = rings.mean()
            raise Incorrect(
                f"{share:.0%} of new clean days ring, {rate:.0%} were allowed. No column rings on more than "
                f"{each.max():.0%} of them, but a day rings when any of {len(each)} columns does."
            )
        deaf = thresholds / clean.max()
        if deaf.max() > 1.25:
            column = deaf.idxmax()
            raise Incorrect(
                f"{column} gets {thresholds[column]:.3f}, {deaf.max():.1f} times the largest distance of any clean "
                "day. That keeps it quiet, but a skew must be far larger than the noise to be seen."
            )


class SampleRate(Exercise):
    name = "sample_rate"
    hints = [
        "To find a skew of half the size, the noise must be half as large. How many times the rows does that take?",
        "The noise of a share falls with the square root of the rows. Make a factor of found_at[ROWS_A_DAY] / WANTED.",
        "A sample rate is a share of the requests, not a number of rows.",
    ]
    wrong = {
        "in proportion": "sample_rate = ROWS_A_DAY * found_at[ROWS_A_DAY] / WANTED / REQUESTS",
        "the wrong way round": "sample_rate = ROWS_A_DAY * (WANTED / found_at[ROWS_A_DAY]) ** 2 / REQUESTS",
        "rows instead of a rate": "sample_rate = ROWS_A_DAY * (found_at[ROWS_A_DAY] / WANTED) ** 2",
        "as many rows as now": "sample_rate = ROWS_A_DAY / REQUESTS",
        "everything": "sample_rate = 1.0",
        "the square root of the factor": "sample_rate = ROWS_A_DAY * (found_at[ROWS_A_DAY] / WANTED) ** 0.5 / REQUESTS",
    }

    def check(self, sample_rate, found, rows, wanted, requests):
        if not np.isscalar(sample_rate) or isinstance(sample_rate, str) or not np.isfinite(sample_rate):
            raise Incorrect(f"sample_rate is one number between 0 and 1, got {sample_rate!r}.")
        if not 0 < sample_rate <= 1:
            raise Incorrect(f"sample_rate is the share of the requests that is logged, at most 1; got {sample_rate:g}.")
        right = rows * (found / wanted) ** 2 / requests
        finds = found * np.sqrt(rows / (sample_rate * requests))
        if sample_rate < right / 1.15:
            raise Incorrect(
                f"{sample_rate * requests:.0f} rows a day find {finds:.1f} points, not {wanted}: the noise falls only "
                "with the square root of the rows."
            )
        if sample_rate > right * 1.15:
            raise Incorrect(
                f"{sample_rate * requests:.0f} rows a day would find {finds:.1f} points. {wanted} were asked for, and "
                "every row that is logged and analysed is paid for."
            )


class DriftAlone(Exercise):
    name = "drift_alone"
    hints = [
        "The mix of the kinds, the error of a kind: which comes from 2016 here, and which from the held-back trips?",
        "One mean error per kind on the held-back trips, and one share per kind in 2016. Both are indexed by stratum.",
        "A weighted mean: multiply the two by kind, then add up.",
    ]
    wrong = {
        "the clean error as it is": "drift_alone = held.error.mean()",
        "2016's own error": "drift_alone = trips_2016.error.mean()",
        "all kinds count the same": 'drift_alone = held.groupby("stratum").error.mean().mean()',
        "new errors, old mix": (
            "mix = held.stratum.value_counts(normalize=True)\n"
            'drift_alone = (trips_2016.groupby("stratum").error.mean() * mix).sum()'
        ),
        "counts instead of shares": (
            'drift_alone = (held.groupby("stratum").error.mean() * trips_2016.stratum.value_counts()).sum()'
        ),
        "not added up": (
            'drift_alone = held.groupby("stratum").error.mean() * trips_2016.stratum.value_counts(normalize=True)'
        ),
    }

    def check(self, drift_alone, held, new):
        if not np.isscalar(drift_alone) or isinstance(drift_alone, str):
            raise Incorrect(f"drift_alone is one mean error in dollars, got {type(drift_alone).__name__}.")
        mix = new.stratum.value_counts(normalize=True)
        right = (held.groupby("stratum").error.mean() * mix).sum()
        if np.isclose(drift_alone, right, rtol=0.005):
            return
        if np.isclose(drift_alone, held.error.mean(), rtol=0.001):
            raise Incorrect("That is the error with the old mix of kinds: it says what happens if nothing drifts.")
        if np.isclose(drift_alone, new.error.mean(), rtol=0.001):
            raise Incorrect("That error has both in it, the new mix and the new fares. Take only the mix from 2016.")
        raise Incorrect(
            f"{drift_alone:.2f} dollars is not the mean of the held-back errors by kind, weighted with 2016's shares. "
            "Keep the error of each kind as it was, and change only how often the kind occurs."
        )
