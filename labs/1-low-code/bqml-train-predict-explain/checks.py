"""Checks, hints and wrong answers of bqml-train-predict-explain."""

import re

import numpy as np
import pandas as pd
from labkit.lesson import Exercise, Incorrect, sql_rows

NUMBERS = ["culmen_length_mm", "culmen_depth_mm", "flipper_length_mm"]
CATEGORIES = ["species", "island", "sex"]
FEATURES = ["species", "island", *NUMBERS, "sex"]


def rows_of(client, sql):
    return sql_rows(client, sql).to_dataframe()


def one_row(client, sql, columns):
    found = rows_of(client, sql)
    if sorted(found.columns) != sorted(columns) or len(found) != 1:
        raise Incorrect(
            f"The result has {len(found)} rows and the columns {', '.join(found.columns) or 'none'}; "
            f"asked for is one row with {' and '.join(columns)}."
        )
    return found.iloc[0]


class Encode(Exercise):
    name = "encode"
    hints = [
        "Every constant comes from `training`. Which lines of yours would change if `rows` were a single bird?",
        "pandas: Series.mean() and Series.std() skip NULLs, and std() divides by n - 1.",
        "For a category column, fill NULL with a word of its own first; then one comparison per category of training.",
    ]
    wrong = {
        "statistics of the rows at hand": """
def encode(rows, training):
    columns = [(rows[name].fillna(rows[name].mean()) - rows[name].mean()) / rows[name].std() for name in NUMBERS]
    for name in CATEGORIES:
        for category in sorted(training[name].fillna("NULL").unique()):
            columns.append((rows[name].fillna("NULL") == category).astype(float))
    return np.column_stack(columns)
""",
        "population standard deviation": """
def encode(rows, training):
    columns = [(rows[name].fillna(training[name].mean()) - training[name].mean()) / training[name].std(ddof=0)
               for name in NUMBERS]
    for name in CATEGORIES:
        for category in sorted(training[name].fillna("NULL").unique()):
            columns.append((rows[name].fillna("NULL") == category).astype(float))
    return np.column_stack(columns)
""",
        "zero before standardising": """
def encode(rows, training):
    columns = [(rows[name].fillna(0) - training[name].mean()) / training[name].std() for name in NUMBERS]
    for name in CATEGORIES:
        for category in sorted(training[name].fillna("NULL").unique()):
            columns.append((rows[name].fillna("NULL") == category).astype(float))
    return np.column_stack(columns)
""",
        "most frequent sex for NULL": """
def encode(rows, training):
    columns = [(rows[name].fillna(training[name].mean()) - training[name].mean()) / training[name].std()
               for name in NUMBERS]
    for name in CATEGORIES:
        usual = training[name].mode()[0]
        for category in sorted(training[name].dropna().unique()):
            columns.append((rows[name].fillna(usual) == category).astype(float))
    return np.column_stack(columns)
""",
        "category codes": """
def encode(rows, training):
    columns = [(rows[name].fillna(training[name].mean()) - training[name].mean()) / training[name].std()
               for name in NUMBERS]
    for name in CATEGORIES:
        columns.append(pd.Categorical(rows[name], sorted(training[name].dropna().unique())).codes.astype(float))
    return np.column_stack(columns)
""",
        "get_dummies of the rows at hand": """
def encode(rows, training):
    columns = (rows[NUMBERS].fillna(training[NUMBERS].mean()) - training[NUMBERS].mean()) / training[NUMBERS].std()
    dummies = pd.get_dummies(rows[CATEGORIES], dummy_na=True, dtype=float)
    return np.column_stack([columns, dummies])
""",
        "rows with a NULL dropped": """
def encode(rows, training):
    rows = rows.dropna()
    columns = [(rows[name] - training[name].mean()) / training[name].std() for name in NUMBERS]
    for name in CATEGORIES:
        for category in sorted(training[name].dropna().unique()):
            columns.append((rows[name] == category).astype(float))
    return np.column_stack(columns)
""",
    }

    def check(self, encode, penguins):
        training = penguins[penguins["body_mass_g"].notna()]
        stranger = training.iloc[[5]].assign(island="Zavodovski")
        found = self.run(encode, penguins, training, "all birds")
        fitted = self.run(encode, training, training, "the training rows")
        for rows, words in [(penguins.iloc[[0]], "one bird"), (stranger, "a bird of an island unknown to training")]:
            width = self.run(encode, rows, training, words).shape[1]
            if width != fitted.shape[1]:
                raise Incorrect(
                    f"For {words} there are {width} columns, for the training rows {fitted.shape[1]}. The categories "
                    "are those of training, whatever is in the rows."
                )
        self.check_numbers(found, penguins, training)
        self.check_single(encode, found, penguins, training)
        self.check_categories(fitted, training)

    def run(self, encode, rows, training, words):
        before = rows.copy()
        try:
            found = np.asarray(encode(rows, training), dtype=float)
        except Exception as error:
            raise Incorrect(f"encode fails for {words}: {type(error).__name__}: {error}") from None
        if not rows.equals(before):
            raise Incorrect("encode changes the frame it is given: work on a copy.")
        if found.ndim != 2 or len(found) != len(rows):
            raise Incorrect(
                f"For {words}, {len(rows)} rows, the result has shape {found.shape}. Every row gets its columns: at "
                "serving nobody may be left without an answer because of a NULL."
            )
        if not np.isfinite(found).all():
            raise Incorrect(
                f"For {words} the result has NaN. A NULL number becomes the mean of training; and a single row has no "
                "standard deviation, so that must be training's, too."
            )
        return found

    def check_numbers(self, found, penguins, training):
        if found.shape[1] < len(NUMBERS):
            raise Incorrect(f"There are {found.shape[1]} columns: the three NUMBERS come first, then the categories.")
        for place, name in enumerate(NUMBERS):
            mean, deviation = training[name].mean(), training[name].std()
            unknown = penguins[name].isna().to_numpy()
            right = ((penguins[name] - mean) / deviation)[~unknown]
            if not np.allclose(found[~unknown, place], right, atol=1e-9):
                ratio = np.std(found[~unknown, place]) / np.std(right)
                raise Incorrect(
                    f"Column {place} is {name}, minus the training mean {mean:.2f}, over the sample standard deviation "
                    f"{deviation:.4f} of training. Yours has {ratio:.4f} times that spread: predictions may survive "
                    "it, the weights do not."
                )
            if not np.allclose(found[unknown, place], 0, atol=1e-9):
                raise Incorrect(
                    f"A bird without {name} gets {found[unknown, place][0]:.2f} standard deviations. The mean of "
                    "training is imputed, which is 0 after standardising."
                )

    def check_single(self, encode, found, penguins, training):
        for place in (0, 200):
            alone = self.run(encode, penguins.iloc[[place]], training, "one bird")
            if not np.allclose(alone[0], found[place]):
                raise Incorrect("A bird alone gets other columns than among the others: learn from training only.")

    def check_categories(self, fitted, training):
        # Least squares sees only the space that the columns span, so all columns with the right span are right.
        one = np.ones((len(training), 1))
        right = np.hstack([self.reference(training), one])
        mine = np.hstack([fitted, one])
        rank = np.linalg.matrix_rank
        if rank(mine) == rank(right) == rank(np.hstack([mine, right])):
            return
        raise Incorrect(
            f"The category columns cannot tell apart what BigQuery ML tells apart (rank {rank(mine)}, needed "
            f"{rank(right)}): one column of 0 and 1 for every category of training, and NULL is one of them. A bird "
            f"without a sex, of which training has {training['sex'].isna().sum()}, is neither female nor male."
        )

    def reference(self, training):
        columns = [(training[name] - training[name].mean()) / training[name].std() for name in NUMBERS]
        return np.column_stack([*columns, pd.get_dummies(training[CATEGORIES].fillna("NULL"), dtype=float)])


class HoldOut(Exercise):
    name = "hold_out"
    hints = [
        "Which column of `birds` decides, and which BOOL do you make of it? Call it what data_split_col says.",
        "The split column is no feature, BigQuery ML takes it out. `fold` and `penguin` are yours to leave out.",
        "The SELECT takes all rows and adds one column that is true in fold 0; data_split_col names that column.",
    ]
    wrong = {
        "no split": """
sql = f'''
CREATE OR REPLACE MODEL trees_honest OPTIONS ({TREES}, input_label_cols = ['body_mass_g']) AS
SELECT * EXCEPT (penguin, fold) FROM birds
'''
""",
        "held-out rows only filtered away": """
sql = f'''
CREATE OR REPLACE MODEL trees_honest OPTIONS ({TREES}, input_label_cols = ['body_mass_g']) AS
SELECT * EXCEPT (penguin, fold) FROM birds WHERE fold != 0
'''
""",
        "trained on the fifth": """
sql = f'''
CREATE OR REPLACE MODEL trees_honest
OPTIONS ({TREES}, input_label_cols = ['body_mass_g'], data_split_method = 'CUSTOM', data_split_col = 'is_training') AS
SELECT * EXCEPT (penguin, fold), fold != 0 AS is_training FROM birds
'''
""",
        "fold and number as features": """
sql = f'''
CREATE OR REPLACE MODEL trees_honest
OPTIONS ({TREES}, input_label_cols = ['body_mass_g'], data_split_method = 'CUSTOM', data_split_col = 'held_out') AS
SELECT *, fold = 0 AS held_out FROM birds
'''
""",
        "the fold itself as split column": """
sql = f'''
CREATE OR REPLACE MODEL trees_honest
OPTIONS ({TREES}, input_label_cols = ['body_mass_g'], data_split_method = 'CUSTOM', data_split_col = 'fold') AS
SELECT * EXCEPT (penguin) FROM birds
'''
""",
        "some random fifth": """
sql = f'''
CREATE OR REPLACE MODEL trees_honest
OPTIONS ({TREES}, input_label_cols = ['body_mass_g'], data_split_method = 'RANDOM', data_split_eval_fraction = 0.2) AS
SELECT * EXCEPT (penguin, fold) FROM birds
'''
""",
        "the linear model": """
sql = f'''
CREATE OR REPLACE MODEL trees_honest
OPTIONS ({LINEAR}, input_label_cols = ['body_mass_g'], data_split_method = 'CUSTOM', data_split_col = 'held_out') AS
SELECT * EXCEPT (penguin, fold), fold = 0 AS held_out FROM birds
'''
""",
    }

    def check(self, sql, client, options):
        client.query("DROP MODEL IF EXISTS trees_honest").result()
        rows_of(client, sql)
        features = rows_of(client, "SELECT input FROM ML.FEATURE_INFO(MODEL trees_honest)")["input"].tolist()
        if sorted(features) != sorted(FEATURES):
            extra, lost = sorted(set(features) - set(FEATURES)), sorted(set(FEATURES) - set(features))
            raise Incorrect(
                "The model has other features than before."
                + (f" Too many: {', '.join(extra)}; a bird's number or fold says nothing about it." if extra else "")
                + (f" Missing: {', '.join(lost)}." if lost else "")
            )
        client.query(f"""
            CREATE OR REPLACE MODEL check_trees
            OPTIONS ({options}, input_label_cols = ['body_mass_g'],
                     data_split_method = 'CUSTOM', data_split_col = 'held_out') AS
            SELECT * EXCEPT (penguin, fold), fold = 0 AS held_out FROM birds
        """).result()
        right, mine = (self.errors(client, model) for model in ("check_trees", "trees_honest"))
        client.query("DROP MODEL check_trees").result()
        if np.allclose(mine["reported"], right["reported"]) and np.allclose(mine["others"], right["others"]):
            return
        if np.allclose(mine["fold 0"], right["fold 0"]):
            raise Incorrect(
                f"It is trained on the right birds, but ML.EVALUATE reports {mine['reported']:.0f} g, the error on "
                "them: the model does not know fold 0. Give CREATE MODEL all rows and let the split column tell."
            )
        if mine["fold 0"] < 0.8 * right["fold 0"]:
            raise Incorrect(
                f"On fold 0 its error is {mine['fold 0']:.0f} g, on the others {mine['others']:.0f} g: it was trained "
                "on birds of fold 0. True in the split column means held out."
            )
        raise Incorrect(
            f"ML.EVALUATE reports {mine['reported']:.0f} g; trees with the options of TREES, trained on folds 1 to 4, "
            f"have {right['reported']:.0f} g on fold 0. Are the options and the rows the same?"
        )

    def errors(self, client, model):
        """Mean absolute errors, g: as reported, on fold 0 and on the other folds."""
        found = rows_of(
            client,
            f"""
            SELECT 'reported' AS part, mean_absolute_error AS g FROM ML.EVALUATE(MODEL {model})
            UNION ALL
            SELECT 'fold 0', mean_absolute_error FROM ML.EVALUATE(MODEL {model}, (SELECT * FROM birds WHERE fold = 0))
            UNION ALL
            SELECT 'others', mean_absolute_error FROM ML.EVALUATE(MODEL {model}, (SELECT * FROM birds WHERE fold != 0))
            """,
        )
        return dict(zip(found["part"], found["g"], strict=True))


class CheapestThreshold(Exercise):
    name = "cheapest_threshold"
    hints = [
        "A male with a logger is a false positive. What is a female that was passed over?",
        "ML.ROC_CURVE has a row per threshold, with false_positives and false_negatives. Make one column of the two.",
        "Sort by the cost and keep one row. And look at which table the curve was computed on.",
    ]
    wrong = {
        "both mistakes cost the same": """
sql = '''
SELECT threshold, false_positives + false_negatives AS cost
FROM ML.ROC_CURVE(MODEL is_female, TABLE field_test, GENERATE_ARRAY(0.02, 0.98, 0.02)) ORDER BY cost LIMIT 1
'''
""",
        "costs the wrong way round": """
sql = f'''
SELECT threshold, false_positives + {LOGGER_COST} * false_negatives AS cost
FROM ML.ROC_CURVE(MODEL is_female, TABLE field_test, GENERATE_ARRAY(0.02, 0.98, 0.02)) ORDER BY cost LIMIT 1
'''
""",
        "rates instead of birds": """
sql = f'''
SELECT threshold, {LOGGER_COST} * false_positive_rate + 1 - recall AS cost
FROM ML.ROC_CURVE(MODEL is_female, TABLE field_test, GENERATE_ARRAY(0.02, 0.98, 0.02)) ORDER BY cost LIMIT 1
'''
""",
        "0.5 as ever": """
sql = f'''
SELECT threshold, {LOGGER_COST} * false_positives + false_negatives AS cost
FROM ML.ROC_CURVE(MODEL is_female, TABLE field_test, [0.5])
'''
""",
        "the most expensive one": """
sql = f'''
SELECT threshold, {LOGGER_COST} * false_positives + false_negatives AS cost
FROM ML.ROC_CURVE(MODEL is_female, TABLE field_test, GENERATE_ARRAY(0.02, 0.98, 0.02)) ORDER BY cost DESC LIMIT 1
'''
""",
        "on the training rows": """
sql = f'''
SELECT threshold, {LOGGER_COST} * false_positives + false_negatives AS cost
FROM ML.ROC_CURVE(
  MODEL is_female,
  (SELECT *, sex = 'female' AS female FROM birds WHERE sex IN ('female', 'male') AND fold >= 2),
  GENERATE_ARRAY(0.02, 0.98, 0.02)) ORDER BY cost LIMIT 1
'''
""",
    }

    def check(self, sql, client, logger_cost):
        self.judge(sql, client, "field_test", logger_cost)
        if not re.search(r"\bfield_test\b", sql):
            raise Incorrect("The query does not read field_test, the birds that the model has not seen.")
        # On one small table a wrong formula can meet the right birds by chance; hardly on a second one.
        client.query("""
            CREATE OR REPLACE TABLE check_birds AS
            SELECT species, flipper_length_mm, body_mass_g, sex = 'female' AS female
            FROM birds WHERE sex IN ('female', 'male') AND fold >= 2
        """).result()
        try:
            self.judge(re.sub(r"\bfield_test\b", "check_birds", sql), client, "check_birds", logger_cost)
        except Incorrect as error:
            raise Incorrect(f"On field_test it is right by chance. With other birds: {error}") from None
        finally:
            client.query("DROP TABLE check_birds").result()

    def judge(self, sql, client, table, logger_cost):
        found = one_row(client, sql, ["threshold", "cost"])
        curve = rows_of(
            client,
            f"SELECT * FROM ML.ROC_CURVE(MODEL is_female, TABLE {table}, GENERATE_ARRAY(0.02, 0.98, 0.02))",
        )
        curve["cost"] = logger_cost * curve["false_positives"] + curve["false_negatives"]
        apart = (curve["threshold"] - found["threshold"]).abs()
        if pd.isna(found["threshold"]) or apart.min() > 0.005:
            raise Incorrect(f"threshold {found['threshold']:.3g} is none of 0.02, 0.04, … 0.98.")
        there, best = curve.loc[apart.idxmin()], curve["cost"].min()
        if pd.isna(found["cost"]) or not np.isclose(found["cost"], there["cost"]):
            raise Incorrect(
                f"At threshold {found['threshold']:.2f} there are {there['false_positives']:.0f} males with a logger "
                f"and {there['false_negatives']:.0f} females passed over: a cost of {there['cost']:.0f}, yours says "
                f"{found['cost']:.4g}. Count birds, {logger_cost} for a male and 1 for a female, in field_test."
            )
        if there["cost"] > best:
            raise Incorrect(
                f"Threshold {found['threshold']:.2f} costs {there['cost']:.0f}, another one {best:.0f}. When a false "
                "alarm is dear the threshold has to rise."
            )


class AddsUp(Exercise):
    name = "adds_up"
    hints = [
        "The model has six features. How many attributions does ML.EXPLAIN_PREDICT return if you say nothing?",
        "A sub-query, SUM(part.attribution) over UNNEST(…) AS part, is one number per bird.",
        "Per bird: prediction minus baseline minus that sum. Then ABS, then MAX over the birds.",
    ]
    wrong = {
        "the top five only": """
sql = '''
SELECT MAX(ABS(predicted_body_mass_g - baseline_prediction_value - (
  SELECT SUM(part.attribution) FROM UNNEST(top_feature_attributions) AS part))) AS gap
FROM ML.EXPLAIN_PREDICT(MODEL body_mass, TABLE penguins)
'''
""",
        "baseline forgotten": """
sql = '''
SELECT MAX(ABS(predicted_body_mass_g - (
  SELECT SUM(part.attribution) FROM UNNEST(top_feature_attributions) AS part))) AS gap
FROM ML.EXPLAIN_PREDICT(MODEL body_mass, TABLE penguins, STRUCT(6 AS top_k_features))
'''
""",
        "signs taken away": """
sql = '''
SELECT MAX(ABS(predicted_body_mass_g - baseline_prediction_value - (
  SELECT SUM(ABS(part.attribution)) FROM UNNEST(top_feature_attributions) AS part))) AS gap
FROM ML.EXPLAIN_PREDICT(MODEL body_mass, TABLE penguins, STRUCT(6 AS top_k_features))
'''
""",
        "against the true mass": """
sql = '''
SELECT MAX(ABS(body_mass_g - baseline_prediction_value - (
  SELECT SUM(part.attribution) FROM UNNEST(top_feature_attributions) AS part))) AS gap
FROM ML.EXPLAIN_PREDICT(MODEL body_mass, TABLE penguins, STRUCT(6 AS top_k_features))
'''
""",
        "no MAX": """
sql = '''
SELECT ABS(predicted_body_mass_g - baseline_prediction_value - (
  SELECT SUM(part.attribution) FROM UNNEST(top_feature_attributions) AS part)) AS gap
FROM ML.EXPLAIN_PREDICT(MODEL body_mass, TABLE penguins, STRUCT(6 AS top_k_features))
'''
""",
        "approximation_error instead": """
sql = '''
SELECT MAX(approximation_error) AS gap
FROM ML.EXPLAIN_PREDICT(MODEL body_mass, TABLE penguins, STRUCT(6 AS top_k_features))
'''
""",
        "the two predictions against each other": """
sql = '''
SELECT MAX(ABS(predicted_body_mass_g - prediction_value)) AS gap
FROM ML.EXPLAIN_PREDICT(MODEL body_mass, TABLE penguins, STRUCT(6 AS top_k_features))
'''
""",
        "array summed without UNNEST": """
sql = '''
SELECT MAX(ABS(predicted_body_mass_g - baseline_prediction_value - SUM(top_feature_attributions.attribution))) AS gap
FROM ML.EXPLAIN_PREDICT(MODEL body_mass, TABLE penguins, STRUCT(6 AS top_k_features))
'''
""",
    }

    def check(self, sql, client):
        gap = one_row(client, sql, ["gap"])["gap"]
        if pd.isna(gap):
            raise Incorrect("gap is NULL.")
        if abs(gap) > 1e-6:
            raise Incorrect(
                f"gap is {gap:.4g} g. The baseline plus all attributions, with their signs, is the prediction to a "
                "rounding error. Is one of them missing, or is the sum held against something else?"
            )
        # A gap of zero proves something only if the query would have seen one.
        seen = one_row(client, self.disturbed(sql), ["gap"])["gap"]
        if pd.isna(seen) or abs(seen) < 0.5:
            raise Incorrect(
                "gap does not come from baseline and attributions: if every baseline were one gram higher, your query "
                f"would still say {seen:.2g} g. Add them up yourself."
            )

    def disturbed(self, sql):
        """The learner's query over explanations whose baseline is one gram too high."""
        found = re.search(r"ML\s*\.\s*EXPLAIN_PREDICT\s*\(", sql, re.IGNORECASE)
        if found is None:
            raise Incorrect("The query does not call ML.EXPLAIN_PREDICT.")
        end, depth = found.end(), 1
        while depth and end < len(sql):
            depth += {"(": 1, ")": -1}.get(sql[end], 0)
            end += 1
        higher = "SELECT * REPLACE (baseline_prediction_value + 1 AS baseline_prediction_value)"
        return f"{sql[: found.start()]}({higher} FROM {sql[found.start() : end]}){sql[end:]}"
