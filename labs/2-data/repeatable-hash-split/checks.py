"""Checks, hints and wrong answers of repeatable-hash-split."""

import re

import numpy as np
from labkit.lesson import Exercise, Incorrect, sql_rows


def rows_of(client, sql):
    return sql_rows(client, sql).to_dataframe()


def demand_columns(found, columns):
    if sorted(found.columns) != sorted(columns):
        raise Incorrect(
            f"The result has the columns {', '.join(found.columns) or 'none'}; asked for: {', '.join(columns)}."
        )


def demand_parts(found, allowed):
    others = sorted(set(found["part"].astype(object).where(found["part"].notna(), "NULL")) - set(allowed))
    if others:
        raise Incorrect(f"part is one of {', '.join(allowed)}; yours says {', '.join(map(str, others[:3]))} as well.")


def demand_same(before, after, key, what):
    """Raises Incorrect unless every key has the same part in both frames; `what` says what happened in between."""
    both = before.merge(after, on=key, suffixes=("", "_after"))
    changed = (both["part"] != both["part_after"]).mean() if len(both) else 1.0
    if changed or len(both) < len(before):
        gone = 1 - len(both) / len(before)
        raise Incorrect(
            f"{what}, and {changed:.0%} of the rows are in another part"
            + (f", {gone:.0%} are gone" if gone > 0 else "")
            + ". The part may depend on the person's key and on nothing else."
        )


class ThreeParts(Exercise):
    name = "three_parts"
    hints = [
        "Which column is the same in all rows of a person, and in no row of another one?",
        "One bucket from 0 to 9 per row, computed once, in a sub-query. Then three cases of that one number.",
        "ABS(MOD(FARM_FINGERPRINT(CAST(… AS STRING)), 10)) is the bucket: 0 to 7, 8, and 9.",
    ]
    wrong = {
        "RAND() in each case": """
sql = '''
SELECT person, year, CASE WHEN RAND() < 0.8 THEN 'TRAIN' WHEN RAND() < 0.5 THEN 'EVAL' ELSE 'TEST' END AS part
FROM study
'''
""",
        "hash of the row": """
sql = '''
SELECT person, year, CASE WHEN b < 8 THEN 'TRAIN' WHEN b = 8 THEN 'EVAL' ELSE 'TEST' END AS part
FROM (
  SELECT *, ABS(MOD(FARM_FINGERPRINT(CONCAT(CAST(person AS STRING), '/', CAST(year AS STRING))), 10)) AS b FROM study)
'''
""",
        "hash of everything": """
sql = '''
SELECT person, year, CASE WHEN b < 8 THEN 'TRAIN' WHEN b = 8 THEN 'EVAL' ELSE 'TEST' END AS part
FROM (SELECT *, ABS(MOD(FARM_FINGERPRINT(TO_JSON_STRING(t)), 10)) AS b FROM study AS t)
'''
""",
        "no ABS": """
sql = '''
SELECT person, year, CASE WHEN b < 8 THEN 'TRAIN' WHEN b = 8 THEN 'EVAL' ELSE 'TEST' END AS part
FROM (SELECT *, MOD(FARM_FINGERPRINT(CAST(person AS STRING)), 10) AS b FROM study)
'''
""",
        "number of the person in the list": """
sql = '''
SELECT person, year, CASE WHEN MOD(n, 10) < 8 THEN 'TRAIN' WHEN MOD(n, 10) = 8 THEN 'EVAL' ELSE 'TEST' END AS part
FROM (SELECT *, DENSE_RANK() OVER (ORDER BY person) AS n FROM study)
'''
""",
        "the year decides": """
sql = '''
SELECT person, year, CASE WHEN year <= 3 THEN 'TRAIN' WHEN year = 4 THEN 'EVAL' ELSE 'TEST' END AS part FROM study
'''
""",
        "by site": """
sql = '''
SELECT person, year, CASE WHEN b < 8 THEN 'TRAIN' WHEN b = 8 THEN 'EVAL' ELSE 'TEST' END AS part
FROM (SELECT *, ABS(MOD(FARM_FINGERPRINT(site), 10)) AS b FROM study)
'''
""",
        "shares 70, 20, 10": """
sql = '''
SELECT person, year, CASE WHEN b < 7 THEN 'TRAIN' WHEN b < 9 THEN 'EVAL' ELSE 'TEST' END AS part
FROM (SELECT *, ABS(MOD(FARM_FINGERPRINT(CAST(person AS STRING)), 10)) AS b FROM study)
'''
""",
        "a hole between the buckets": """
sql = '''
SELECT person, year, CASE WHEN b < 8 THEN 'TRAIN' WHEN b = 9 THEN 'EVAL' WHEN b = 10 THEN 'TEST' END AS part
FROM (SELECT *, ABS(MOD(FARM_FINGERPRINT(CAST(person AS STRING)), 10)) AS b FROM study)
'''
""",
        "an integer into the hash": """
sql = '''
SELECT person, year, IF(ABS(MOD(FARM_FINGERPRINT(person), 10)) < 8, 'TRAIN', 'TEST') AS part FROM study
'''
""",
    }
    shares = {"TRAIN": 0.8, "EVAL": 0.1, "TEST": 0.1}

    def check(self, sql, client):
        found = rows_of(client, sql)
        demand_columns(found, ["person", "year", "part"])
        total = int(rows_of(client, "SELECT COUNT(*) AS n FROM study")["n"][0])
        if len(found) != total or found.duplicated(["person", "year"]).any():
            raise Incorrect(f"study has {total} rows, each of them once; the result has {len(found)}.")
        demand_parts(found, list(self.shares))
        self.check_stable(sql, client, found)
        divided = (found.groupby("person")["part"].nunique() > 1).sum()
        if divided:
            raise Incorrect(
                f"{divided} people are in more than one part. A model that remembers them in TRAIN is asked about "
                "them in TEST: hash what identifies the person, not the row."
            )
        for part, share in self.shares.items():
            mine = (found["part"] == part).mean()
            if abs(mine - share) > 0.03:
                raise Incorrect(
                    f"{part} has {mine:.1%} of the rows instead of about {share:.0%}. Is the remainder ever negative, "
                    "are there enough different keys, does every bucket have its part?"
                )

    def check_stable(self, sql, client, found):
        """The learner's query on another version of the table: people gone, incomes corrected, another order."""
        client.query("""
            CREATE OR REPLACE TABLE check_study AS
            SELECT * REPLACE (income * 1.05 AS income) FROM study
            WHERE MOD(person, 4) = 1 ORDER BY age, person
        """).result()
        later = rows_of(client, re.sub(r"\bstudy\b", "check_study", sql))
        client.query("DROP TABLE check_study").result()
        before, key = found[found["person"] % 4 == 1], ["person", "year"]
        if len(before.merge(later, on=[*key, "part"])) != len(before):
            demand_same(found, rows_of(client, sql), key, "The same query ran a second time")
            demand_same(before, later, key, "People left the table, incomes were corrected")


class Tenth(Exercise):
    name = "tenth"
    hints = [
        "There are two decisions per person: in the sample or not, and which side. How many independent draws is that?",
        "The side is the team's, SPLIT, unchanged. The sample needs a fingerprint of its own.",
        "CONCAT('some salt', CAST(person AS STRING)) under FARM_FINGERPRINT gives an independent bucket. Keep one.",
    ]
    wrong = {
        "the same bucket": """
sql = f'''
SELECT person, IF({SPLIT} >= 8, 'TEST', 'TRAIN') AS part FROM (SELECT DISTINCT person FROM study) WHERE {SPLIT} = 0
'''
""",
        "RAND() for the sample": """
sql = f'''
SELECT person, IF({SPLIT} >= 8, 'TEST', 'TRAIN') AS part FROM (SELECT DISTINCT person FROM study) WHERE RAND() < 0.1
'''
""",
        "the first ones": """
sql = f'''
SELECT person, IF({SPLIT} >= 8, 'TEST', 'TRAIN') AS part FROM (SELECT DISTINCT person FROM study)
ORDER BY person LIMIT 473
'''
""",
        "another split inside the sample": """
sql = '''
SELECT person,
  IF(ABS(MOD(FARM_FINGERPRINT(CONCAT('my split/', CAST(person AS STRING))), 10)) >= 8, 'TEST', 'TRAIN') AS part
FROM (SELECT DISTINCT person FROM study)
WHERE ABS(MOD(FARM_FINGERPRINT(CONCAT('a tenth/', CAST(person AS STRING))), 10)) = 0
'''
""",
        "a row per year": """
sql = f'''
SELECT person, IF({SPLIT} >= 8, 'TEST', 'TRAIN') AS part FROM study
WHERE ABS(MOD(FARM_FINGERPRINT(CONCAT('a tenth/', CAST(person AS STRING))), 10)) = 0
'''
""",
        "no ABS, smaller than one": """
sql = f'''
SELECT person, IF({SPLIT} >= 8, 'TEST', 'TRAIN') AS part FROM (SELECT DISTINCT person FROM study)
WHERE MOD(FARM_FINGERPRINT(CONCAT('a tenth/', CAST(person AS STRING))), 10) < 1
'''
""",
        "sides the wrong way round": """
sql = f'''
SELECT person, IF({SPLIT} < 8, 'TEST', 'TRAIN') AS part FROM (SELECT DISTINCT person FROM study)
WHERE ABS(MOD(FARM_FINGERPRINT(CONCAT('a tenth/', CAST(person AS STRING))), 10)) = 0
'''
""",
    }

    def check(self, sql, client, split):
        found = rows_of(client, sql)
        demand_columns(found, ["person", "part"])
        demand_parts(found, ["TRAIN", "TEST"])
        if found["person"].duplicated().any():
            raise Incorrect("A person appears more than once: the sample is one of people, not of years.")
        demand_same(found, rows_of(client, sql), ["person"], "The same query ran a second time")
        team = rows_of(
            client,
            f"SELECT person, IF({split} >= 8, 'TEST', 'TRAIN') AS part FROM (SELECT DISTINCT person FROM study)",
        )
        share = len(found) / len(team)
        if not 0.075 <= share <= 0.125:
            raise Incorrect(
                f"The sample has {share:.1%} of the people instead of about 10%. Without ABS, nearly half of all "
                "remainders are negative."
            )
        self.check_sides(found, team)
        self.check_independent(found, team)

    def check_sides(self, found, team):
        both = found.merge(team, on="person", suffixes=("", "_team"))
        if len(both) < len(found):
            raise Incorrect("Some of the people are not in study.")
        other = (both["part"] != both["part_team"]).mean()
        if other:
            raise Incorrect(
                f"{other:.0%} of the sample are on another side than in the team's split. Part of your training people "
                "are the team's test people: use SPLIT as it is."
            )

    def check_independent(self, found, team):
        mine, theirs = (found["part"] == "TEST").mean(), (team["part"] == "TEST").mean()
        if abs(mine - theirs) > 0.09:
            raise Incorrect(
                f"{mine:.0%} of the sample are on the side TEST, {theirs:.0%} of all people are: the sample was drawn "
                "with the very number that decides the side. Salt the key of the sample."
            )
        first = found["person"].max() < team["person"].quantile(0.5)
        if first:
            raise Incorrect("The sample consists of the smallest ids only, and the first digit of an id is the site.")


class PythonBucket(Exercise):
    name = "python_bucket"
    hints = [
        "INT64 and the unsigned integer are the same 64 bits. From which number on is the signed one negative?",
        "Numbers of 2**63 and more stand for themselves minus 2**64.",
        "SQL's remainder of -7 is -7, so its ABS is 7: take the absolute value before Python's %.",
    ]
    wrong = {
        "the unsigned number": """
def python_bucket(unsigned):
    return unsigned % 10
""",
        "Python's remainder of the signed number": """
def python_bucket(unsigned):
    signed = unsigned - 2**64 if unsigned >= 2**63 else unsigned
    return signed % 10
""",
        "ABS after Python's remainder": """
def python_bucket(unsigned):
    signed = unsigned - 2**64 if unsigned >= 2**63 else unsigned
    return abs(signed % 10)
""",
        "minus 2**63": """
def python_bucket(unsigned):
    signed = unsigned - 2**63 if unsigned >= 2**63 else unsigned
    return abs(signed) % 10
""",
        "through a float": """
import math

def python_bucket(unsigned):
    signed = unsigned - 2**64 if unsigned >= 2**63 else unsigned
    return int(abs(math.fmod(signed, 10)))
""",
        "a text": """
def python_bucket(unsigned):
    signed = unsigned - 2**64 if unsigned >= 2**63 else unsigned
    return str(abs(signed))[-1]
""",
    }

    def check(self, python_bucket, client):
        if not callable(python_bucket):
            raise Incorrect(f"python_bucket is a function, got {type(python_bucket).__name__}.")
        asked = rows_of(
            client,
            """
            SELECT fingerprint, ABS(MOD(fingerprint, 10)) AS bucket
            FROM (
              SELECT FARM_FINGERPRINT(CONCAT('check', CAST(n AS STRING))) AS fingerprint
              FROM UNNEST(GENERATE_ARRAY(1, 300)) AS n
              UNION ALL
              SELECT n FROM UNNEST([0, 7, -7, -10, 9223372036854775807, -9223372036854775807]) AS n)
            """,
        )
        pairs = list(zip(asked["fingerprint"].tolist(), asked["bucket"].tolist(), strict=True))
        answers = [self.run(python_bucket, signed % 2**64) for signed, _ in pairs]
        wrong = [place for place, (_, right) in enumerate(pairs) if answers[place] != right]
        if not wrong:
            return
        signed, right = pairs[wrong[0]]
        negative = all(pairs[place][0] < 0 for place in wrong)
        raise Incorrect(
            f"{len(wrong)} of {len(pairs)} buckets differ from BigQuery's, "
            + ("all of them of fingerprints that INT64 reads as negative. " if negative else "of positive ones, too. ")
            + f"{signed % 2**64} is {signed} in BigQuery and has bucket {right}; yours is {answers[wrong[0]]!r}."
        )

    def run(self, function, unsigned):
        try:
            found = function(unsigned)
        except Exception as error:
            raise Incorrect(f"python_bucket({unsigned}) raises {type(error).__name__}: {error}.") from None
        if isinstance(found, bool) or not isinstance(found, int | np.integer):
            raise Incorrect(f"python_bucket({unsigned}) is an integer from 0 to 9, got {found!r}.")
        return int(found)
