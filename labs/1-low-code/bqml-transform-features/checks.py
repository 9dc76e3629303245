"""Checks, hints and wrong answers of bqml-transform-features."""

import numpy as np
import pandas as pd
from google.api_core.exceptions import GoogleAPICallError
from labkit.lesson import Exercise, Incorrect, sql_rows

ROWS = "(SELECT * FROM served WHERE MOD(order_id, 4) = 0)"


def table(client, sql):
    return sql_rows(client, sql).to_dataframe()


class TransformClause(Exercise):
    name = "transform"
    hints = [
        "Which of the two plots of the data is no sum of a district's share and an hour's share? Which is no line?",
        "An hour is a number. Make a category of it first, then one category of district and shift together.",
        "ML.FEATURE_CROSS and ML.POLYNOMIAL_EXPAND take a STRUCT whose fields have names; scalers end with OVER().",
        "The clause decides what the model gets. Is the label among its items, as minutes?",
    ]
    wrong = {
        "district and shift side by side, not crossed": '''transform = """
  ML.POLYNOMIAL_EXPAND(STRUCT(ML.STANDARD_SCALER(temperature_c) OVER() AS temperature), 2) AS warmth,
  ML.IMPUTER(weight_kg, 'mean') OVER() AS weight,
  distance_km,
  district,
  ML.BUCKETIZE(EXTRACT(HOUR FROM ordered_at), [11, 14, 17, 20]) AS shift,
  minutes"""''',
        "one bucket edge instead of four": '''transform = """
  ML.POLYNOMIAL_EXPAND(STRUCT(ML.STANDARD_SCALER(temperature_c) OVER() AS temperature), 2) AS warmth,
  ML.IMPUTER(weight_kg, 'mean') OVER() AS weight,
  distance_km,
  ML.FEATURE_CROSS(STRUCT(
    district, ML.BUCKETIZE(EXTRACT(HOUR FROM ordered_at), [16]) AS shift)) AS place,
  minutes"""''',
        "temperature stays a straight line": '''transform = """
  ML.STANDARD_SCALER(temperature_c) OVER() AS temperature,
  weight_kg,
  distance_km,
  ML.FEATURE_CROSS(STRUCT(
    district, ML.BUCKETIZE(EXTRACT(HOUR FROM ordered_at), [11, 14, 17, 20]) AS shift)) AS place,
  minutes"""''',
        "label forgotten": '''transform = """
  ML.POLYNOMIAL_EXPAND(STRUCT(ML.STANDARD_SCALER(temperature_c) OVER() AS temperature), 2) AS warmth,
  ML.IMPUTER(weight_kg, 'mean') OVER() AS weight,
  distance_km,
  ML.FEATURE_CROSS(STRUCT(
    district, ML.BUCKETIZE(EXTRACT(HOUR FROM ordered_at), [11, 14, 17, 20]) AS shift)) AS place"""''',
        "label among the features": '''transform = """
  ML.POLYNOMIAL_EXPAND(STRUCT(ML.STANDARD_SCALER(temperature_c) OVER() AS temperature), 2) AS warmth,
  ML.IMPUTER(weight_kg, 'mean') OVER() AS weight,
  distance_km,
  ML.FEATURE_CROSS(STRUCT(
    district, ML.BUCKETIZE(EXTRACT(HOUR FROM ordered_at), [11, 14, 17, 20]) AS shift)) AS place,
  ML.STANDARD_SCALER(minutes) OVER() AS pace,
  minutes"""''',
        "OVER() forgotten": '''transform = """
  ML.POLYNOMIAL_EXPAND(STRUCT(ML.STANDARD_SCALER(temperature_c) OVER() AS temperature), 2) AS warmth,
  ML.IMPUTER(weight_kg, 'mean') OVER() AS weight,
  ML.STANDARD_SCALER(distance_km) AS distance,
  ML.FEATURE_CROSS(STRUCT(
    district, ML.BUCKETIZE(EXTRACT(HOUR FROM ordered_at), [11, 14, 17, 20]) AS shift)) AS place,
  minutes"""''',
        "scaled within each district": '''transform = """
  ML.POLYNOMIAL_EXPAND(STRUCT(ML.STANDARD_SCALER(temperature_c) OVER() AS temperature), 2) AS warmth,
  ML.IMPUTER(weight_kg, 'mean') OVER() AS weight,
  ML.STANDARD_SCALER(distance_km) OVER(PARTITION BY district) AS distance,
  ML.FEATURE_CROSS(STRUCT(
    district, ML.BUCKETIZE(EXTRACT(HOUR FROM ordered_at), [11, 14, 17, 20]) AS shift)) AS place,
  minutes"""''',
        "distance left out": '''transform = """
  ML.POLYNOMIAL_EXPAND(STRUCT(ML.STANDARD_SCALER(temperature_c) OVER() AS temperature), 2) AS warmth,
  ML.IMPUTER(weight_kg, 'mean') OVER() AS weight,
  ML.FEATURE_CROSS(STRUCT(
    district, ML.BUCKETIZE(EXTRACT(HOUR FROM ordered_at), [11, 14, 17, 20]) AS shift)) AS place,
  minutes"""''',
        "a list, not SQL": 'transform = ["ML.FEATURE_CROSS(STRUCT(district, hour))", "minutes"]',
    }

    def check(self, transform, client, create):
        if not isinstance(transform, str):
            raise Incorrect(f"transform is SQL text, the items between TRANSFORM( and ), got {transform!r}.")
        table(client, create.format(name="check_transform", transform=transform))
        label = f"(SELECT * EXCEPT(minutes) FROM {ROWS})"
        try:
            client.query(f"SELECT * FROM ML.PREDICT(MODEL check_transform, {label}) LIMIT 1").result()
        except GoogleAPICallError as error:
            if "minutes" in str(error):
                raise Incorrect(
                    "The model needs the column minutes to predict minutes: the label is among the features. Offline "
                    "that looks perfect; at serving the column does not exist yet. List the label as it is: minutes."
                ) from None
            raise
        rush, bend = self.probes(client)
        if rush < 11:
            raise Incorrect(
                f"At noon rather than 18:30 the Centre gains {rush:.0f} minutes on the Suburbs in your model; in the "
                "data it is about 22. Each district has a rush of its own: one category for each pair of district and "
                "shift."
            )
        if bend < 10:
            raise Incorrect(
                "From 25 °C to 10 °C and from 10 °C to -5 °C your model adds the same minutes, or nearly. Frost costs "
                "far more than a cool day: the model needs the square of the temperature, or buckets of it."
            )
        found = table(client, f"SELECT mean_squared_error FROM ML.EVALUATE(MODEL check_transform, {ROWS})")
        error = float(found.mean_squared_error[0]) ** 0.5
        if not error <= 3.4:
            raise Incorrect(
                f"The error is {error:.2f} minutes, above 3.4. Each of distance, weight, temperature, district and "
                "shift is worth more than that: which one does your clause leave out or blur?"
            )

    def probes(self, client):
        """Minutes that the Centre gains on the Suburbs at noon against the evening, and those that frost adds to cold.

        The second is by how much more the step from 10 to -5 °C costs than the step from 25 to 10 °C.
        """
        orders = [(place, hour, 10.0) for place in ("Centre", "Suburbs") for hour in (12, 18)]
        orders += [("Centre", 12, degrees) for degrees in (-5.0, 25.0)]
        rows = " UNION ALL ".join(
            f"SELECT {number} AS probe, DATETIME '2025-04-01 {hour}:30:00' AS ordered_at, '{place}' AS district, "
            f"{degrees} AS temperature_c, 2.5 AS distance_km, 4.0 AS weight_kg"
            for number, (place, hour, degrees) in enumerate(orders)
        )
        found = table(client, f"SELECT probe, predicted_minutes FROM ML.PREDICT(MODEL check_transform, ({rows}))")
        noon, evening, suburbs_noon, suburbs_evening, frost, warm = found.sort_values("probe").predicted_minutes
        return (noon - suburbs_noon) - (evening - suburbs_evening), (frost - noon) - (noon - warm)


class ParityGap(Exercise):
    name = "parity_gap"
    hints = [
        "Two sets of predictions for the same orders: one call with all ids, and one call for each id.",
        "Put both in Series whose index is order_id before you subtract: rows come back in any order.",
        "What does pandas' max() do with NaN? What would the release gate then say about a model that answers NULL?",
    ]
    wrong = {
        "rows taken in the order they came": (
            "def parity_gap(predict, order_ids):\n"
            "    together = predict(order_ids).predicted_minutes.to_numpy()\n"
            "    alone = pd.concat([predict([order]) for order in order_ids]).predicted_minutes.to_numpy()\n"
            "    change = np.abs(alone - together)\n"
            "    return np.where(np.isnan(change), np.inf, change).max()"
        ),
        "NaN skipped": (
            "def parity_gap(predict, order_ids):\n"
            "    together = predict(order_ids).set_index('order_id').predicted_minutes\n"
            "    alone = pd.concat([predict([o]) for o in order_ids]).set_index('order_id').predicted_minutes\n"
            "    return (alone - together).abs().max()"
        ),
        "averages compared": (
            "def parity_gap(predict, order_ids):\n"
            "    alone = pd.concat([predict([order]) for order in order_ids])\n"
            "    return abs(alone.predicted_minutes.mean() - predict(order_ids).predicted_minutes.mean())"
        ),
        "sign forgotten": (
            "def parity_gap(predict, order_ids):\n"
            "    together = predict(order_ids).set_index('order_id').predicted_minutes\n"
            "    alone = pd.concat([predict([o]) for o in order_ids]).set_index('order_id').predicted_minutes\n"
            "    return float((alone - together).fillna(np.inf).max())"
        ),
        "the same batch twice": (
            "def parity_gap(predict, order_ids):\n"
            "    first = predict(order_ids).set_index('order_id').predicted_minutes\n"
            "    again = predict(order_ids).set_index('order_id').predicted_minutes\n"
            "    return float((first - again).abs().fillna(np.inf).max())"
        ),
        "mean change instead of the largest": (
            "def parity_gap(predict, order_ids):\n"
            "    together = predict(order_ids).set_index('order_id').predicted_minutes\n"
            "    alone = pd.concat([predict([o]) for o in order_ids]).set_index('order_id').predicted_minutes\n"
            "    return float((alone - together).abs().fillna(np.inf).mean())"
        ),
    }
    IDS = (11, 17, 23, 42)

    def check(self, parity_gap):
        ids, mean = np.array(self.IDS), np.mean(self.IDS)
        cases = [
            (self.row_by_row, 0.0, "each row on its own, in any order of rows", "align both sides on order_id."),
            (
                lambda batch: self.answer(batch, np.array(batch, float) - np.mean(batch)),
                float(np.abs(ids - mean).max()),
                "the batch's own mean subtracted",
                "score each order alone and together, and take the largest change of a single order. Averages cancel.",
            ),
            (
                lambda batch: self.answer(batch, np.array(batch) + (3.0 if len(batch) > 1 else 0.0)),
                3.0,
                "three minutes more for every order in company",
                "a change downwards is a change, too.",
            ),
            (
                lambda batch: self.answer(batch, np.full(len(batch), np.nan if len(batch) == 1 else 20.0)),
                np.inf,
                "NULL for an order alone",
                "a customer with no promise is the worst gap of all, and max() skips NaN.",
            ),
            (
                lambda batch: self.answer(batch, np.where((np.array(batch) == 42) & (len(batch) > 1), np.nan, 20.0)),
                np.inf,
                "NULL for one order of the batch",
                "one missing prediction among many is still missing.",
            ),
        ]
        for predict, right, what, mend in cases:
            found = parity_gap(predict, list(self.IDS))
            if isinstance(found, bool) or not np.isscalar(found):
                raise Incorrect(f"parity_gap returns one number, minutes, got {type(found).__name__}.")
            if not (found == right or abs(found - right) < 1e-9):
                raise Incorrect(f"A scorer with {what}: the gap is {right:g}, yours is {found:g}. Mend: {mend}")

    def row_by_row(self, batch):
        """Every order by itself; the rows come back in another order than they were asked for."""
        return self.answer(batch[::-1], np.array(batch[::-1]) * 2.0)

    def answer(self, batch, minutes):
        return pd.DataFrame({"order_id": list(batch), "predicted_minutes": minutes})


class StoredConstants(Exercise):
    name = "stored_constants"
    hints = [
        "Five constants belong to the model's weights. Which table were they computed from?",
        "A subquery over train returns one row with AVG and STDDEV. How does one row get beside every row of {rows}?",
        "FROM {rows} CROSS JOIN (SELECT AVG(temperature_c) AS …, STDDEV(temperature_c) AS … FROM train) AS known",
    ]
    wrong = {
        "the same text again": "numbers = NUMBERS",
        "windows over the batch": '''numbers = """
SELECT order_id, ordered_at, district, minutes,
  (temperature_c - AVG(temperature_c) OVER ()) / STDDEV(temperature_c) OVER () AS temperature,
  (distance_km - AVG(distance_km) OVER ()) / STDDEV(distance_km) OVER () AS distance,
  IFNULL(weight_kg, AVG(weight_kg) OVER ()) AS weight
FROM {rows}"""''',
        "constants of the serving year": '''numbers = """
SELECT order_id, ordered_at, district, minutes,
  (temperature_c - t) / st AS temperature, (distance_km - d) / sd AS distance,
  IFNULL(weight_kg, w) AS weight
FROM {rows} CROSS JOIN (
  SELECT AVG(temperature_c) AS t, STDDEV(temperature_c) AS st, AVG(distance_km) AS d, STDDEV(distance_km) AS sd,
    AVG(weight_kg) AS w FROM served) AS known"""''',
        "training rows added to the batch, then scaled": '''numbers = """
SELECT order_id, ordered_at, district, minutes, temperature, distance, weight
FROM (
  SELECT *, ML.STANDARD_SCALER(temperature_c) OVER() AS temperature,
    ML.STANDARD_SCALER(distance_km) OVER() AS distance, ML.IMPUTER(weight_kg, 'mean') OVER() AS weight
  FROM (
    SELECT order_id, ordered_at, district, minutes, temperature_c, distance_km, weight_kg FROM train
    UNION ALL
    SELECT order_id, ordered_at, district, minutes, temperature_c, distance_km, weight_kg FROM {rows}))
WHERE order_id IN (SELECT order_id FROM {rows})"""''',
        "a missing weight weighs nothing": '''numbers = """
SELECT order_id, ordered_at, district, minutes,
  (temperature_c - t) / st AS temperature, (distance_km - d) / sd AS distance,
  IFNULL(weight_kg, 0) AS weight
FROM {rows} CROSS JOIN (
  SELECT AVG(temperature_c) AS t, STDDEV(temperature_c) AS st, AVG(distance_km) AS d, STDDEV(distance_km) AS sd,
    AVG(weight_kg) AS w FROM train) AS known"""''',
        "variance for the standard deviation": '''numbers = """
SELECT order_id, ordered_at, district, minutes,
  (temperature_c - t) / st AS temperature, (distance_km - d) / sd AS distance,
  IFNULL(weight_kg, w) AS weight
FROM {rows} CROSS JOIN (
  SELECT AVG(temperature_c) AS t, VARIANCE(temperature_c) AS st, AVG(distance_km) AS d, VARIANCE(distance_km) AS sd,
    AVG(weight_kg) AS w FROM train) AS known"""''',
        "raw columns, as TRANSFORM would take them": '''numbers = """
SELECT order_id, ordered_at, district, minutes,
  temperature_c AS temperature, distance_km AS distance, weight_kg AS weight
FROM {rows}"""''',
        "a table instead of {rows}": '''numbers = """
SELECT order_id, ordered_at, district, minutes,
  (temperature_c - t) / st AS temperature, (distance_km - d) / sd AS distance,
  IFNULL(weight_kg, w) AS weight
FROM served CROSS JOIN (
  SELECT AVG(temperature_c) AS t, STDDEV(temperature_c) AS st, AVG(distance_km) AS d, STDDEV(distance_km) AS sd,
    AVG(weight_kg) AS w FROM train) AS known"""''',
    }

    def check(self, numbers, client, features):
        if not isinstance(numbers, str) or "{rows}" not in numbers:
            raise Incorrect("numbers is SQL text with {rows} in its FROM: the place of the orders to score.")
        right = table(
            client,
            "SELECT s.order_id, (temperature_c - t) / st AS temperature, (distance_km - d) / sd AS distance, "
            "IFNULL(weight_kg, w) AS weight "
            "FROM served AS s CROSS JOIN (SELECT AVG(temperature_c) AS t, STDDEV(temperature_c) AS st, "
            "AVG(distance_km) AS d, STDDEV(distance_km) AS sd, AVG(weight_kg) AS w FROM train) "
            "WHERE MOD(s.order_id, 400) = 0",
        ).set_index("order_id")
        # Some without a weight, so that the imputed constant shows.
        batches = {
            "a batch of the whole year": list(right.index),
            "a batch of two orders": [right.index[0], right.index[-1]],
            "an order alone": [right.index[len(right) // 2]],
        }
        for company, ids in batches.items():
            rows = f"(SELECT * FROM served WHERE order_id IN ({', '.join(map(str, ids))}))"
            found = table(client, f"SELECT * FROM ({numbers.format(rows=rows)})")
            missing = {"order_id", "ordered_at", "district", "minutes", *right.columns} - set(found.columns)
            if missing:
                raise Incorrect(f"The columns {', '.join(sorted(missing))} are not there: give them as NUMBERS does.")
            if sorted(found.order_id) != sorted(ids):
                raise Incorrect(
                    f"For {company}, {len(ids)} rows, {len(found)} came back: one row for each row of {{rows}}."
                )
            self.compare(found.set_index("order_id"), right.loc[ids], company)
        # What the model makes of it, through the same text as in production.
        table(client, f"SELECT * FROM ML.PREDICT(MODEL outside, ({features(numbers, rows)}))")

    def compare(self, found, right, company):
        for column in right.columns:
            values = found[column].astype(float).reindex(right.index)
            if values.isna().any():
                raise Incorrect(
                    f"For {company} {column} is NULL: there is nothing to compute a spread or a mean from, and the "
                    "model fills in the average without a word. The constants must come from train."
                )
            worst = (values - right[column]).abs().idxmax()
            if abs(values[worst] - right[column][worst]) > 1e-6:
                raise Incorrect(
                    f"For {company}, order {worst}: {column} is {values[worst]:.4f}, but the model was trained to read "
                    f"this order as {right[column][worst]:.4f}, with the constants of the rows in train and no others."
                )
