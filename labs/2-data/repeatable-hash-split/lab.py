# ---
# jupyter:
#   jupytext: {formats: "ipynb,py:percent"}
#   kernelspec: {name: labs-core, display_name: Labs (core), language: python}
# ---

# %% [markdown]
# # Repeatable splits: a hash decides once, RAND() decides every night
#
# From 1974 to 1982 the RAND Corporation gave thousands of Americans health insurance by lottery and recorded what
# each of them spent, year by year. An insurer has these years in BigQuery and wants to predict the spending of
# people **who are about to enrol**, to know how much to set aside. Two models stand for election: a linear
# regression and deep boosted trees. Every night a job splits the table with `RAND() < 0.8`, trains both, and mails
# the scores.
#
# The trees win by a wide margin, and the board is to sign tomorrow. But an analyst is uneasy: the scores change
# every night, and nobody has touched anything. Which numbers can be believed?
#
# **You will** measure what two `RAND()` queries do to a test set, split with `FARM_FINGERPRINT` so that no row ever
# changes sides, choose the key that makes the test honest, keep samples and splits independent with a salt, compute
# the same side outside BigQuery, and tell a gain from luck.

# %% tags=["parameters"]
TARGET = "local"       # "vertex": the same SQL runs on Google BigQuery
SEED = 20260601
HASH = True            # False: RAND() in the place of the hash, and nothing repeats
BY_PERSON = True       # False: the honest split hashes the row, not the person
NIGHTS = 8             # nights on which the unchanged job runs

# %%
from labkit import lesson

lab = lesson.open("repeatable-hash-split", target=TARGET, seed=SEED)

import os
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery
from scipy import stats
from sklearn.model_selection import train_test_split

# %load_ext bigquery_magics
client = lab.target.bigquery()
rng = np.random.default_rng(SEED)


def ask(sql):
    """The rows of a statement as a DataFrame; waits for a statement that has none."""
    return client.query(sql).to_dataframe()


# %% [markdown]
# ## The data: one row per person and year
# Most people stayed three years, some five. What was measured at enrolment (income, health, site, the share that
# they pay themselves) **stays the same in all rows of a person**. Only the year, the age and sometimes the size of
# the family move. The label is the logarithm of one plus the dollars spent in that year.
#
# A fifth of the people we lock away: they play the people who enrol **tomorrow**. The job does not know them, and
# at the end they tell us who was right.

# %%
years = lab.data("health-insurance-years").rename(columns={
    "zper": "person", "coins": "coinsurance", "xage": "age", "educdec": "education", "num": "family_size",
    "mhi": "mental_health", "disea": "diseases", "physlm": "limited", "ghindx": "general_health"})
years = years.astype({"site": str}).sort_values(["person", "year"], ignore_index=True)
years["log_spend"] = np.log1p(years.pop("meddol"))

everybody = years["person"].unique()
tomorrow = rng.permutation(everybody)[:len(everybody) // 5]
is_tomorrow = years["person"].isin(tomorrow)
overwrite = bigquery.LoadJobConfig(write_disposition="WRITE_TRUNCATE")
for table, rows in {"study": years[~is_tomorrow], "newcomers": years[is_tomorrow]}.items():
    client.load_table_from_dataframe(rows, f"{lab.target.dataset}.{table}", job_config=overwrite).result()

# %%
# %%bigquery pairs
# SELECT a.person, a.log_spend AS one_year, b.log_spend AS the_next
# FROM study AS a
# JOIN study AS b ON a.person = b.person AND b.year = a.year + 1
# WHERE a.year = 1

# %%
per_person = ask("SELECT years, COUNT(*) AS people FROM (SELECT COUNT(*) AS years FROM study GROUP BY person) GROUP BY years")

fig, axes = plt.subplots(1, 2, figsize=(7.5, 2.9))
axes[0].bar(per_person["years"], per_person["people"])
axes[0].set(title="Nearly everybody has several rows", xlabel="rows of one person, years", ylabel="people")
shown = pairs.sample(1200, random_state=SEED % 2**32)
axes[1].plot(shown["one_year"], shown["the_next"], ".", ms=3, alpha=0.35)
alike = pairs["one_year"].corr(pairs["the_next"])
axes[1].set(title=f"…and they resemble each other (r = {alike:.2f})", xlabel="first year, log(1 + dollars)",
            ylabel="second year, log(1 + dollars)")
plt.show()

# %% [markdown]
# ## Predict first
# The nightly job runs two queries: `CREATE TABLE … WHERE RAND() < 0.8` for training, then
# `CREATE TABLE … WHERE RAND() >= 0.8` for the test.

# %%
lab.predict(
    "overlap",
    "How many of the test rows are training rows, too?",
    options=["none: the conditions exclude each other", "about one in six", "four out of five"],
)
lab.predict(
    "winner",
    "The deep trees win the nightly job by a wide margin. Who wins on the people who enrol tomorrow?",
    options=["the trees, by the same margin", "the trees, by a smaller margin", "the linear model"],
)

# %% [markdown]
# ## Two calls of RAND() are two lotteries

# %%
client.query("CREATE OR REPLACE TABLE rand_train AS SELECT * FROM study WHERE RAND() < 0.8").result()
client.query("CREATE OR REPLACE TABLE rand_test AS SELECT * FROM study WHERE RAND() >= 0.8").result()

# %%
# %%bigquery sides
# SELECT train.person IS NOT NULL AS in_train, test.person IS NOT NULL AS in_test, COUNT(*) AS number
# FROM study
# LEFT JOIN rand_train AS train USING (person, year)
# LEFT JOIN rand_test AS test USING (person, year)
# GROUP BY in_train, in_test

# %%
sides["share"] = sides["number"] / sides["number"].sum()
share = sides.set_index(["in_train", "in_test"])["share"]
known = share[True, True] / (share[True, True] + share[False, True])
print(sides.sort_values(["in_train", "in_test"]).round(3).to_string(index=False))
print(f"\nof the test rows, {known:.1%} are training rows")
lab.revisit("overlap", "four out of five")
lab.claim("share of all rows that are in both tables", share[True, True], at_least=0.14, at_most=0.18)
lab.claim("share of all rows that are in neither", share[False, False], at_least=0.14, at_most=0.18)
lab.claim("share of the test rows that were trained on", known, at_least=0.75, at_most=0.85)

# %% [markdown]
# The second query draws anew for every row. Being drawn for the test (0.2) says nothing about being drawn for
# training (0.8), so 0.2 x 0.8 = 0.16 of all rows are in both and as many in neither. Put the other way: a test row is
# a training row with probability **0.8**. The two conditions exclude each other only *within one draw*.
#
# One draw, stored in a column (`CREATE TABLE … AS SELECT *, RAND() AS u`), mends the overlap. It does not mend
# tomorrow: when the table is built again, 2 x 0.8 x 0.2 = 32% of the rows change sides. BigQuery's `RAND()` takes no
# seed. And we shall see that a seed would not help.
#
# ## A hash has no memory and needs none
# `FARM_FINGERPRINT` maps a text to 64 bits, always the same ones: FarmHash's Fingerprint64, which is frozen by its
# authors. The side of a row becomes a **function of its key** instead of an event.

# %% tags=["nbval-check-output"]
facts = ask("""
SELECT text, FARM_FINGERPRINT(text) AS fingerprint, ABS(MOD(FARM_FINGERPRINT(text), 10)) AS bucket
FROM UNNEST(['hello', 'hello ', 'Hello', '125024', '125025', '125024.0']) AS text
""")
print(facts.to_string(index=False))
lab.claim("FARM_FINGERPRINT('hello') minus its documented value", facts["fingerprint"][0] + 5436999610281751320, at_least=0, at_most=0)

# %% [markdown]
# Read the table well. Neighbouring keys land anywhere. So does a key with a blank, with another case, or one that
# was a float on its way: `125024.0`. The hash sees **bytes**, not meaning: decide on one spelling of the key.
#
# `MOD` keeps the sign of its left side, and half of all fingerprints are negative: hence `ABS`. From here on,
# `bucket(key)` writes the SQL. The salt in front says *which* split this is; we shall need it.

# %%
SALT = f"split-{SEED}-"
PERSON = "CAST(person AS STRING)"
ROW = "CONCAT(CAST(person AS STRING), '/', CAST(year AS STRING))"


def bucket(key, salt=SALT):
    """SQL for a number from 0 to 9 that depends on the key and on nothing else."""
    if not HASH:
        return "CAST(FLOOR(10 * RAND()) AS INT64)"
    return f"ABS(MOD(FARM_FINGERPRINT(CONCAT('{salt}', {key})), 10))"


SPLIT = bucket(PERSON if BY_PERSON else ROW)      # 0 to 7: training, 8 and 9: test
print(SPLIT)

# %% [markdown]
# ## Four nights in the life of a table
# The first year's rows are split. Then something happens: the job **runs again**; the rows come **in another
# order** (after a reload, or because nobody promised one); the second year is **appended**; the incomes are
# **corrected** by 2% in all rows. How many of the first year's rows are on the other side afterwards? Four rules,
# among them the one that most Python code uses: shuffle with a **fixed seed** (`train_test_split(random_state=…)`).

# %%
client.query("CREATE OR REPLACE TABLE first_year AS SELECT * FROM study WHERE year = 1").result()
client.query("CREATE OR REPLACE TABLE reordered AS SELECT * FROM first_year ORDER BY general_health, person").result()
client.query("CREATE OR REPLACE TABLE appended AS SELECT * FROM study WHERE year <= 2").result()
client.query("CREATE OR REPLACE TABLE corrected AS SELECT * REPLACE (income * 1.02 AS income) FROM first_year").result()

RULES = {
    "RAND() >= 0.8": "RAND() >= 0.8",
    "hash of the whole row": "ABS(MOD(FARM_FINGERPRINT(TO_JSON_STRING(t)), 10)) >= 8",
    "hash of the person": f"{SPLIT} >= 8",
}
EVENTS = {"run again": "first_year", "other order": "reordered", "appended": "appended", "corrected": "corrected"}


def test_rows_in_sql(table):
    """Per person, whether the first year's row is in the test: a BOOL column per rule."""
    columns = ", ".join(f"{rule} AS rule_{number}" for number, rule in enumerate(RULES.values()))
    found = ask(f"SELECT person, {columns} FROM {table} AS t WHERE year = 1").set_index("person")
    return found.set_axis(list(RULES), axis=1).astype(bool).sort_index()


def test_rows_of_seed(rows):
    """The same for a shuffle with a fixed seed."""
    test = train_test_split(rows, test_size=0.2, random_state=SEED % 2**32)[1]
    return first["person"].isin(test.loc[test["year"] == 1, "person"])


first = years[~is_tomorrow & (years["year"] == 1)]
rows_after = {
    "run again": first,
    "other order": first.sort_values(["general_health", "person"]),
    "appended": years[~is_tomorrow & (years["year"] <= 2)],
    "corrected": first.assign(income=first["income"] * 1.02),
}
in_sql, of_seed = test_rows_in_sql("first_year"), test_rows_of_seed(first)
changes = pd.DataFrame({event: (test_rows_in_sql(table) != in_sql).mean() for event, table in EVENTS.items()}).T
changes.insert(1, "seed and shuffle", {event: (test_rows_of_seed(rows) != of_seed).mean() for event, rows in rows_after.items()})

fig, ax = plt.subplots(figsize=(7, 2.7))
image = ax.imshow(changes.T, cmap="Oranges", vmin=0, vmax=0.4, aspect="auto")
for (row, column), value in np.ndenumerate(changes.T.to_numpy()):
    ax.text(column, row, f"{value:.0%}", ha="center", va="center")
ax.grid(False)
ax.set(xticks=range(4), xticklabels=changes.index, yticks=range(4), yticklabels=changes.columns, xlabel="what happened",
       ylabel="rule", title="Rows on the other side afterwards: one rule survives everything")
fig.colorbar(image, label="share of rows")
plt.show()

lab.claim("RAND(): rows that change sides when the job runs again", changes["RAND() >= 0.8"]["run again"], at_least=0.27)
lab.claim("fixed seed: the same after rows were appended", changes["seed and shuffle"]["appended"], at_least=0.25)
lab.claim("hash of the whole row: after a correction", changes["hash of the whole row"]["corrected"], at_least=0.25)
lab.claim("hash of the person: whatever happens", changes["hash of the person"].max(), at_most=0)

# %% [markdown]
# A seed repeats the **sequence** of draws, and draw number 17 goes to whatever row stands 17th. One more row, another
# order, a query that ran on other machines: the draws meet other rows. So a seed repeats a split only of a frozen
# table. The hash of the whole row (`TO_JSON_STRING(t)`, the way out when there is no key) survives all but an
# update. The hash of a **stable key** has nothing that can change.
#
# Why it matters beyond tidiness: once rows have wandered, yesterday's model has seen today's test rows. Every comparison
# of a new model with the one in production, every warm start, every *"tuned since March"* is then an exam with known
# questions.
#
# The exam's angle: *repeatable*, *same rows each time*, *as data grow* point to `MOD(ABS(FARM_FINGERPRINT(key)), n)`.
# (Both `ABS(MOD(…))` and `MOD(ABS(…))` are met in the wild; see the traps below for the difference.)
#
# ## Exercise: train, evaluation, test
# Two parts are not enough when you tune: **training** fits the weights, **evaluation** (validation) chooses among
# models, **test** is opened once, for the number that you report. Whatever chooses is used up as a judge.
#
# Set `sql` to a query on `study` that returns every row once, with the columns `person`, `year` and `part`: `'TRAIN'`
# for about 80%, `'EVAL'` and `'TEST'` for about 10% each. (BigQuery ML's tuning expects these three words with
# `data_split_method = 'CUSTOM'`.) All rows of a person belong into the same part, today and after any of the four
# events.

# %% tags=["exercise"]
### BEGIN SOLUTION
sql = """
SELECT person, year,
  CASE
    WHEN bucket < 8 THEN 'TRAIN'
    WHEN bucket = 8 THEN 'EVAL'
    ELSE 'TEST'
  END AS part
FROM (
  SELECT person, year, ABS(MOD(FARM_FINGERPRINT(CONCAT('three parts/', CAST(person AS STRING))), 10)) AS bucket
  FROM study)
"""
### END SOLUTION

# %%
sql = lab.check("three_parts", sql, client)

# %%
parts = ask(sql).groupby("part").agg(rows=("person", "size"), people=("person", "nunique"))
parts["share of rows"] = parts["rows"] / parts["rows"].sum()
print(parts.round(3).to_string())

# %% [markdown]
# ## Whom will the model meet?
# The hash makes a split *repeatable*. It does not make it *honest*. That is decided by the **key**. Three splits now,
# two models each: the two `RAND()` queries, the hash of the **row** (person and year) and the hash of the **person**. For each we ask what the
# split promises, and then what the same model does for the people of tomorrow.

# %%
LINEAR = "model_type = 'linear_reg'"
TREES = "model_type = 'boosted_tree_regressor', max_tree_depth = 12, max_iterations = 12, early_stop = FALSE"


def promise_and_truth(options, source, test=None):
    """R² on the split's own test rows and on the people of tomorrow."""
    split = "'NO_SPLIT'" if test else "'CUSTOM', data_split_col = 'held_out'"
    client.query(f"""
    CREATE OR REPLACE MODEL spending
    OPTIONS ({options}, input_label_cols = ['log_spend'], data_split_method = {split}) AS
    {source}
    """).result()
    found = ask(f"""
    SELECT 'promise' AS place, r2_score FROM ML.EVALUATE(MODEL spending{f", TABLE {test}" if test else ""})
    UNION ALL
    SELECT 'truth', r2_score FROM ML.EVALUATE(MODEL spending, TABLE newcomers)
    """)
    return found.set_index("place")["r2_score"]


def held_out_by(rule):
    return f"SELECT * EXCEPT (person), {rule} AS held_out FROM study"


SPLITS = {
    "two RAND() queries": {"source": "SELECT * EXCEPT (person) FROM rand_train", "test": "rand_test"},
    "hash of the row": {"source": held_out_by(f"{bucket(ROW)} >= 8")},
    "hash of the person": {"source": held_out_by(f"{SPLIT} >= 8")},
}
scores = pd.DataFrame({(split, model): promise_and_truth(options, **rows) for split, rows in SPLITS.items()
                       for model, options in [("linear", LINEAR), ("trees", TREES)]}).T

# %%
fig, ax = plt.subplots(figsize=(7.5, 3.1))
for place, (split, some) in enumerate(scores.groupby(level=0, sort=False)):
    for shift, (model, colour) in zip([-0.2, 0.2], [("linear", "C0"), ("trees", "C1")], strict=True):
        ax.bar(place + shift, some["promise"][split, model], 0.36, color=colour, alpha=0.75, label=model if place == 0 else None)
        ax.plot([place + shift - 0.17, place + shift + 0.17], [some["truth"][split, model]] * 2, "k", lw=2.5,
                label="on the people of tomorrow" if place == 0 and shift < 0 else None)
ax.set(title="Bars: what the split promises. Lines: what comes true", ylabel="R², share of variance",
       xticks=range(3), xticklabels=list(SPLITS))
ax.legend(fontsize="small")
plt.show()
print(scores.round(3).to_string())

promise, truth = scores["promise"].unstack(), scores["truth"].unstack()
lead = promise["trees"] - promise["linear"]
lab.revisit("winner", "the linear model")
lab.claim("two RAND() queries: R² that the trees promise beyond what comes true",
          promise["trees"]["two RAND() queries"] - truth["trees"]["two RAND() queries"], at_least=0.25)
lab.claim("by row: lead of the trees over the linear model, R²", lead["hash of the row"], at_least=0.03)
lab.claim("by person: lead of the linear model over the trees, R²", -lead["hash of the person"], at_least=0.01)
lab.claim("tomorrow: lead of the linear model over the trees, R²",
          truth["linear"]["hash of the person"] - truth["trees"]["hash of the person"], at_least=0.01)
lab.claim("by person: the trees' promise minus the truth, R²",
          promise["trees"]["hash of the person"] - truth["trees"]["hash of the person"], at_least=-0.12, at_most=0.12)

# %% [markdown]
# **Repeatable and wrong**: the hash of the row gives the same verdict every night, and it is the opposite of the truth.
# The columns of enrolment are a fingerprint of the person. A deep tree finds "income 13,748.76, site 1, mental health
# 95" and has learnt what *this person* spends; in the test the same person appears with another year. The linear
# model has too few weights to remember anyone, so its promise hardly depends on the split. The more a model can
# memorise, the more a leaking split favours it: the leak does not add the same to both, it **elects the wrong one**.

# %%
# %%bigquery shared
# SELECT AVG(IF(seen.person IS NULL, 0, 1)) AS known_people
# FROM rand_test AS test
# LEFT JOIN (SELECT DISTINCT person FROM rand_train) AS seen USING (person)

# %%
crossing = ask(f"""
SELECT split, COUNTIF(in_test AND trained) / COUNTIF(in_test) AS known_people
FROM (
  SELECT split, in_test, LOGICAL_OR(NOT in_test) OVER (PARTITION BY split, person) AS trained
  FROM (
    SELECT 'hash of the row' AS split, person, {bucket(ROW)} >= 8 AS in_test FROM study
    UNION ALL
    SELECT 'hash of the person', person, {SPLIT} >= 8 FROM study))
GROUP BY split
""").set_index("split")["known_people"]
crossing["two RAND() queries"] = shared["known_people"][0]
print("test rows of people whom training knows\n" + crossing.map("{:.1%}".format).to_string())
lab.claim("by row: test rows of people whom training knows", crossing["hash of the row"], at_least=0.9)
lab.claim("by person: the same", crossing["hash of the person"], at_most=0)

# %% [markdown]
# **Hash the unit that will be new in production.** New people: the person. New days: the date, so that all flights of one
# snowstorm are on one side. New clinics: the clinic. Near-duplicates (the same photo cropped, the same advert posted
# twice): an id of the group. And when the question is *next year, same people*, no hash will do: split by time
# (`data_split_method = 'SEQ'`, see the lab on leakage and time splits).
#
# ## The price of a coarse key
# The wider the unit, the fewer of them. 80/20 is a promise about *keys*, not about rows. There are six sites. We try
# two hundred salts for sites and thirty for people.

# %%
client.query(f"""
CREATE OR REPLACE TABLE salted AS
SELECT salt, person, rows_of_person, log_spend,
  ABS(MOD(FARM_FINGERPRINT(CONCAT('{SEED}/', CAST(salt AS STRING), '/', CAST(person AS STRING))), 10)) AS bucket
FROM (SELECT person, COUNT(*) AS rows_of_person, AVG(log_spend) AS log_spend FROM study GROUP BY person),
  UNNEST(GENERATE_ARRAY(1, 20)) AS salt
""").result()
fine = ask("""
SELECT salt, SUM(IF(bucket >= 8, rows_of_person, 0)) / SUM(rows_of_person) AS test_share,
  AVG(IF(bucket >= 8, log_spend, NULL)) - AVG(IF(bucket < 8, log_spend, NULL)) AS difference
FROM salted GROUP BY salt ORDER BY salt
""")
coarse = ask(f"""
SELECT salt, SUM(IF(ABS(MOD(FARM_FINGERPRINT(CONCAT('{SEED}/', CAST(salt AS STRING), '/', site)), 10)) >= 8, number, 0))
  / SUM(number) AS test_share
FROM (SELECT site, COUNT(*) AS number FROM study GROUP BY site), UNNEST(GENERATE_ARRAY(1, 200)) AS salt
GROUP BY salt
""")

fig, ax = plt.subplots(figsize=(7, 2.6))
bins = np.arange(-0.01, 0.9, 0.02)
for found, name in [(coarse, "key: the site"), (fine, "key: the person")]:
    ax.hist(found["test_share"], bins, weights=np.full(len(found), 1 / len(found)), alpha=0.7, label=name)
ax.axvline(0.2, color="k", ls=":")
ax.set(title="Six keys make a lottery of 80/20", xlabel="share of the rows that land in the test", ylabel="share of the salts")
ax.legend()
plt.show()

off = (coarse["test_share"] - 0.2).abs() > 0.05
print(f"by site: {off.mean():.0%} of the salts miss 15-25%, {(coarse['test_share'] == 0).mean():.0%} give no test at all")
lab.claim("by site: salts that miss 15-25% of the rows", off.mean(), at_least=0.5)
lab.claim("by site: salts without any test row", (coarse["test_share"] == 0).mean(), at_least=0.12)
lab.claim("by person: largest distance from 20%", (fine["test_share"] - 0.2).abs().max(), at_most=0.04)

# %% [markdown]
# With few groups do not hash: **list them**. Name the held-out sites in a table, or rotate them (each site held out
# once). The same with months (twelve keys), carriers, model years.
#
# ## Is a hash random enough?
# A doubt that comes up in every review. A split has to be *independent of the data*, and a good hash of a meaningless key
# is. Two checks: are the buckets even (chi-square), and is the label as well balanced between training and test as
# with a real lottery? For the second, the **spread over many salts** counts, not one lucky draw.

# %%
lottery = ask("""
SELECT draw, AVG(IF(u >= 0.8, log_spend, NULL)) - AVG(IF(u < 0.8, log_spend, NULL)) AS difference
FROM (
  SELECT draw, log_spend, RAND() AS u
  FROM (SELECT person, AVG(log_spend) AS log_spend FROM study GROUP BY person), UNNEST(GENERATE_ARRAY(1, 100)) AS draw)
GROUP BY draw
""")
counts = ask("SELECT bucket, COUNT(*) AS people FROM salted WHERE salt = 1 GROUP BY bucket ORDER BY bucket")
p_value = stats.chisquare(counts["people"]).pvalue

fig, axes = plt.subplots(1, 2, figsize=(7.5, 2.7))
axes[0].bar(counts["bucket"], counts["people"])
axes[0].axhline(counts["people"].mean(), color="k", ls=":")
axes[0].set(title=f"Even buckets (chi-square: p = {p_value:.2f})", xlabel="bucket", ylabel="people")
bins = np.linspace(-0.25, 0.25, 21)
for found, name in [(lottery, "RAND()"), (fine, "hash")]:
    axes[1].hist(found["difference"], bins, density=True, alpha=0.6, label=name)
axes[1].set(title="Label: test minus training", xlabel="difference of means, log(1 + dollars)", ylabel="density")
axes[1].legend()
plt.show()

lab.claim("p-value of even buckets", p_value, at_least=1e-4)
lab.claim("spread of the label's difference, hash over lottery", fine["difference"].std() / lottery["difference"].std(),
          at_least=0.5, at_most=1.8)

# %% [markdown]
# The hash is as good as the lottery, and **as bad**: a fixed split keeps whatever luck its one draw had. You have
# made the luck constant, not removed it. That is the point, as we shall see; but look at the balance once before you fix a salt for
# years, and do not try salts until the score is nice.
#
# ## The same hash twice
# Development on all rows is slow. A colleague takes a tenth of the people, by hash of course, then applies the team's
# 80/20 split, by hash of course. And marketing assigns the two arms of its A/B experiment by hash as well.

# %%
twice = ask(f"""
SELECT sampling, COUNTIF(split < 8) AS train, COUNTIF(split >= 8) AS test
FROM (
  SELECT 'the same hash' AS sampling, {SPLIT} AS split, {SPLIT} AS sample FROM (SELECT DISTINCT person, 1 AS year FROM study)
  UNION ALL
  SELECT 'salted', {SPLIT}, {bucket(PERSON, "sample/")} FROM (SELECT DISTINCT person, 1 AS year FROM study))
WHERE sample = 0
GROUP BY sampling
""").set_index("sampling")
arms = ask(f"""
SELECT split >= 8 AS in_test, COUNTIF(arm < 5) AS arm_a, COUNTIF(arm >= 5) AS arm_b
FROM (SELECT {SPLIT} AS split, {SPLIT} AS arm FROM (SELECT DISTINCT person, 1 AS year FROM study))
GROUP BY in_test ORDER BY in_test
""")
print(twice.to_string(), "\n")
print(arms.to_string(index=False))
lab.claim("people left for the test, sampled by the same hash", twice["test"]["the same hash"], at_most=0)
salted_share = twice["test"]["salted"] / twice.loc["salted"].sum()
lab.claim("share of the test, sampled by a salted hash", salted_share, at_least=0.10, at_most=0.30)

# %% [markdown]
# The sample is bucket 0. The test is buckets 8 and 9. **The test is empty**, and a pipeline that skips an empty
# evaluation tells nobody. With the A/B experiment it is worse, because nothing is empty: the whole test has seen
# arm B, training mostly arm A, and the model is judged under a treatment that it hardly knew.
#
# One fingerprint is one draw. Whoever uses it twice gets the same draw twice. A **salt** (`CONCAT('sample/', key)`) makes an
# independent one. Keep the salts in a list with the names of their uses.
#
# ## Exercise: a tenth for development
# Set `sql` to a query that returns a tenth of the people of `study`, one row each, with the columns `person` and `part`
# (`'TRAIN'` or `'TEST'`). It must be repeatable. And `part` must be **the side that the person has in the team's
# split** (`SPLIT`, test from bucket 8): otherwise you would develop on people on whom the final model is judged.

# %% tags=["exercise"]
# Text; f"… {SPLIT} …" puts in the team's bucket.
### BEGIN SOLUTION
sql = f"""
SELECT person, IF({SPLIT} >= 8, 'TEST', 'TRAIN') AS part
FROM (SELECT DISTINCT person FROM study)
WHERE ABS(MOD(FARM_FINGERPRINT(CONCAT('a tenth/', CAST(person AS STRING))), 10)) = 0
"""
### END SOLUTION

# %%
sql = lab.check("tenth", sql, client, SPLIT)

# %%
ask(sql)["part"].value_counts()

# %% [markdown]
# ## Four traps in one line of SQL
# No id in the table? People glue columns together. **One NULL makes the whole `CONCAT` NULL**, its fingerprint NULL,
# and `NULL < 8` is not true. Nor is `NULL >= 8`.

# %%
# %%bigquery vanished
# SELECT COUNTIF(bucket < 8) AS train, COUNTIF(bucket >= 8) AS test, COUNTIF(bucket IS NULL) AS in_neither
# FROM (
#   SELECT ABS(MOD(FARM_FINGERPRINT(CONCAT(site, '/', CAST(age AS STRING), '/', CAST(general_health AS STRING))), 10)) AS bucket
#   FROM study)

# %%
spelling = ask(f"""
SELECT AVG(IF((one >= 8) != (other >= 8), 1, 0)) AS changed
FROM (SELECT {bucket(PERSON)} AS one, {bucket("CONCAT(CAST(person AS STRING), '.0')")} AS other FROM first_year)
""")["changed"][0]
no_abs = ask("""
SELECT AVG(IF(MOD(FARM_FINGERPRINT(CAST(person AS STRING)), 10) < 8, 1, 0)) AS train FROM first_year
""")["train"][0]
try:
    overflow = ask("SELECT ABS(-9223372036854775807 - 1) AS bucket").iloc[0, 0]
except BadRequest as error:
    overflow = error.message.splitlines()[0].split(";")[0]

lost = vanished["in_neither"][0] / vanished.iloc[0].sum()
print(vanished.to_string(index=False))
print(f"\na NULL in the key:          {lost:.1%} of the rows are in neither part")
print(f"'125024' against '125024.0': {spelling:.1%} of the people change sides")
print(f"MOD without ABS, < 8:        {no_abs:.1%} land in training instead of 80%")
print(f"ABS of the smallest INT64:   {overflow}")
lab.claim("share of the rows that a NULL in the key loses", lost, at_least=0.2)
lab.claim("people who change sides when the key is spelt as a float", spelling, at_least=0.25)
lab.claim("share of training without ABS", no_abs, at_least=0.87)

# %% [markdown]
# - **NULL**: a quarter of these people have no index of general health. Write `IFNULL(CAST(x AS STRING), '')` for each
#   column, with a separator between them (`'1' || '23'` is `'12' || '3'`), and let a test count rows before and after.
#   (Given to BigQuery ML as a `CUSTOM` split column, a `NULL` counts as *evaluation*: other rows, other surprise.)
# - **Spelling**: pandas turns an integer column with one gap into floats, and the ids into `125024.0`.
# - **Sign**: without `ABS` all negative remainders are "smaller than 8".
# - **Overflow**: the smallest `INT64` has no absolute value. One key in 2^64 is no reason for sleepless nights, but
#   `ABS(MOD(…))` costs nothing more than `MOD(ABS(…))`, gives the same number otherwise, and cannot fail.
#
# ## The same side outside BigQuery
# A serving job in Python must know whether a person is in the test (to leave them out of retraining, for
# instance). Python's own `hash()` of a text is **salted anew in every process**. We start two.

# %%
people = ask("SELECT DISTINCT person, FARM_FINGERPRINT(CAST(person AS STRING)) AS fingerprint FROM study ORDER BY person")
SCRIPT = "import sys; print(*[int(hash(key) % 10 >= 8) for key in sys.stdin.read().split()])"


def sides_of_python():
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONHASHSEED"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], input="\n".join(people["person"].astype(str)), env=environment,
                          capture_output=True, text=True, check=True)
    return np.array(done.stdout.split(), int)


moved = (sides_of_python() != sides_of_python()).mean()
print(f"hash() in two processes: {moved:.1%} of the people change sides")
lab.claim("Python's hash(): people who change sides between two processes", moved, at_least=0.25)

# %% [markdown]
# So take the same algorithm. TensorFlow has it: `tf.strings.to_hash_bucket_fast` is FarmHash's Fingerprint64, modulo the number
# of buckets. One trap remains: TensorFlow, like most libraries, reads the 64 bits as an **unsigned** number, BigQuery
# as a signed one.

# %%
import tensorflow as tf

keys = tf.constant(people["person"].astype(str).tolist())
MANY = 2**62         # enough buckets to compare nearly all bits
tensorflow = tf.strings.to_hash_bucket_fast(keys, MANY).numpy()
same_hash = np.array([value % 2**64 % MANY for value in people["fingerprint"].tolist()]) == tensorflow

naive = tf.strings.to_hash_bucket_fast(keys, 10).numpy()
bucket_in_sql = np.array([abs(value) % 10 for value in people["fingerprint"].tolist()])
print(f"same fingerprint:                  {same_hash.mean():.1%} of the people")
print(f"same bucket with the naive modulo: {(naive == bucket_in_sql).mean():.1%} of the people")
print(f"same side with the naive modulo:   {((naive >= 8) == (bucket_in_sql >= 8)).mean():.1%} of the people")
lab.claim("people whose fingerprint differs between TensorFlow and BigQuery", (~same_hash).sum(), at_most=0)
lab.claim("share that lands on another side nevertheless", ((naive >= 8) != (bucket_in_sql >= 8)).mean(), at_least=0.07, at_most=0.13)

# %% [markdown]
# Identical bits in another engine, and still one person in ten on the wrong side. Half of the fingerprints are negative
# in BigQuery. 2^64 leaves a remainder of 6, so among those the unsigned bucket *b* is BigQuery's *6 - b* (modulo 10): 9
# becomes 7 and 7 becomes 9. Both sides keep their 20%, so no count betrays it, and neither does a unit test with one
# positive key.
#
# ## Exercise: the bucket in Python
# The service's hash library returns the fingerprint as an unsigned integer, 0 to 2^64 - 1. Write `python_bucket`: the
# same number that `ABS(MOD(FARM_FINGERPRINT(key), 10))` has in BigQuery. Mind that for `-7` SQL's `MOD(-7, 10)` is -7, and
# Python's `-7 % 10` is 3.

# %% tags=["exercise"]
def python_bucket(unsigned):
    """BigQuery's bucket, 0 to 9, of a fingerprint that is given as an int from 0 to 2**64 - 1."""
    ### BEGIN SOLUTION
    signed = unsigned - 2**64 if unsigned >= 2**63 else unsigned
    return abs(signed) % 10
    ### END SOLUTION

# %%
python_bucket = lab.check("python_bucket", python_bucket, client)

# %%
mine = np.array([python_bucket(value % 2**64) for value in people["fingerprint"].tolist()])
lab.claim("people with another bucket in Python than in SQL", (mine != bucket_in_sql).sum(), at_most=0)

# %% [markdown]
# ## Gain or luck?
# Back to the nightly mail. One model, one table, nothing changed, and a new lottery every night. Then someone adds
# the column `income`. Does it help? We look at the first year only, one row per person, so that no leak is involved. On the
# left each night and each model has its own lottery. On the right both models of a pair share one hash split, and several
# salts show how much the *choice of the split* matters.

# %%
def r2_of(columns, rule):
    """R² of a linear model on the rows that the rule holds out."""
    client.query(f"""
    CREATE OR REPLACE MODEL nightly
    OPTIONS ({LINEAR}, input_label_cols = ['log_spend'], data_split_method = 'CUSTOM', data_split_col = 'held_out') AS
    SELECT {columns}, {rule} AS held_out FROM first_year
    """).result()
    return ask("SELECT r2_score FROM ML.EVALUATE(MODEL nightly)")["r2_score"][0]


WITHOUT, WITH = "* EXCEPT (person, year, income)", "* EXCEPT (person, year)"
nights = pd.DataFrame({name: [r2_of(columns, "RAND() >= 0.8") for _ in range(NIGHTS)]
                       for name, columns in [("without income", WITHOUT), ("with income", WITH)]})
salts = pd.DataFrame({name: [r2_of(columns, f"{bucket(PERSON, f'{SALT}{number}/')} >= 8") for number in range(6)]
                      for name, columns in [("without income", WITHOUT), ("with income", WITH)]})
again = [r2_of(WITH, f"{SPLIT} >= 8") for _ in range(2)]

fig, axes = plt.subplots(1, 2, figsize=(7.5, 2.9), sharey=True)
for name, marker in [("without income", "o"), ("with income", "s")]:
    axes[0].plot(range(1, NIGHTS + 1), nights[name], marker, label=name)
    axes[1].plot(range(1, 7), salts[name], marker, label=name)
axes[1].vlines(range(1, 7), salts["without income"], salts["with income"], color="0.5")
axes[0].set(title="RAND(): every dot has its own test", xlabel="night", ylabel="R² on the test rows")
axes[1].set(title="Hash: each pair shares one test", xlabel="salt")
axes[1].legend(fontsize="small")
plt.show()

gains = salts["with income"] - salts["without income"]
unpaired = nights["with income"] - nights["without income"]
swing = np.ptp(nights["without income"])
print(f"one model, {NIGHTS} nights: R² swings by {swing:.3f}")
print(f"gain from income, own lotteries: {unpaired.mean():+.3f}, standard deviation {unpaired.std():.3f}, {(unpaired < 0).sum()} of {NIGHTS} negative")
print(f"gain from income, shared split:  {gains.mean():+.3f}, standard deviation {gains.std():.3f}, {(gains < 0).sum()} of {len(gains)} negative")
lab.claim("swing of the unchanged model over the gain from income", swing / gains.mean(), at_least=1.2)
lab.claim("standard deviation of the gain, shared split over own lotteries", gains.std() / unpaired.std(), at_most=0.7)
lab.claim("difference between two nights on one hash split, R²", abs(again[0] - again[1]), at_most=1e-9)

# %% [markdown]
# Who happens to be in the test moves R² far more than this column does, real as its gain is. On a shared test set
# that luck hits both models alike and **cancels in the difference**. So the constant luck of a fixed split
# is a feature. It makes comparisons sharp. It does not make the level of R² certain: that is what the spread *over
# salts* shows, and that spread belongs into the report.
#
# Hence how large a test should be (60/40? 80/20? 98/1/1?). The percentages are folklore; the **number of independent
# units** in the test counts. From the spread of the errors of the linear model:

# %%
client.query(f"""
CREATE OR REPLACE MODEL spending
OPTIONS ({LINEAR}, input_label_cols = ['log_spend'], data_split_method = 'CUSTOM', data_split_col = 'held_out') AS
{held_out_by(f"{SPLIT} >= 8")}
""").result()
errors = ask(f"""
SELECT person, AVG(ABS(predicted_log_spend - log_spend)) AS error
FROM ML.PREDICT(MODEL spending, (SELECT * FROM study WHERE {SPLIT} >= 8))
GROUP BY person
""")["error"]
table = pd.DataFrame({"people in the test": [100, 400, 1_000, 10_000, 100_000]})
table["error known to, +-"] = 1.96 * errors.std() / np.sqrt(table["people in the test"])
table["in % of the error"] = 100 * table["error known to, +-"] / errors.mean()
print(f"mean absolute error {errors.mean():.2f} log(1 + dollars)\n")
print(table.round(3).to_string(index=False))

# %% [markdown]
# With a few thousand people a fifth or more has to be held out. With a hundred million rows 1% is plenty, and each
# further percent is only taken from training. People are counted here, not rows: three years of one person are
# hardly more than one independent error.
#
# ## BigQuery ML's own splits
# | `data_split_method` | held out | repeatable? | keeps groups together? |
# |---|---|---|---|
# | `AUTO_SPLIT` (default) | nothing below 500 rows, then 20%, at most 10,000 rows | yes, while the data stay the same | no |
# | `RANDOM` | `data_split_eval_fraction` | yes, while the data stay the same | no |
# | `SEQ` | the last rows by `data_split_col` | yes | by time only |
# | `CUSTOM` | where a BOOL column is true or NULL | as your rule | as your rule |
# | `NO_SPLIT` | nothing | - | - |
#
# Only `CUSTOM` knows what a person is. Let us see what the default promises for the trees:

# %%
client.query(f"""
CREATE OR REPLACE MODEL spending
OPTIONS ({TREES}, input_label_cols = ['log_spend'], data_split_method = 'AUTO_SPLIT') AS
SELECT * EXCEPT (person) FROM study
""").result()
automatic = ask("SELECT r2_score FROM ML.EVALUATE(MODEL spending)")["r2_score"][0]
by_person = promise["trees"]["hash of the person"]
print(f"AUTO_SPLIT promises {automatic:.3f}, CUSTOM by person {by_person:.3f}, "
      f"the truth is {truth['trees']['hash of the person']:.3f}")
lab.claim("AUTO_SPLIT: what the trees promise beyond CUSTOM by person, R²", automatic - by_person, at_least=0.06)

# %% [markdown]
# ## On Google Cloud
# `TARGET="vertex"` sends the same statements to Google; not one changes, and the hash sends **the same people to the same
# side** there.
#
# - **Roles.** BigQuery User on the project, BigQuery Data Editor on the dataset.
# - **Cost.** Queries are priced by the bytes of the columns that they read, `CREATE MODEL` by the bytes that it processes, at
#   rates of its own (see the price page); boosted trees are trained on Vertex AI behind the scenes and billed for it. A **dry run** tells the
#   bytes and runs nothing. Note below that `WHERE bucket = 0` reads as much as the whole table: a hash filter **saves no
#   bytes**. To pay for a tenth, write the sample (or the bucket as a column that the table is clustered or
#   range-partitioned by) once. `TABLESAMPLE SYSTEM (10 PERCENT)` does read less, but takes storage blocks, and other ones each time.
# - **Cached results.** A query with `RAND()` is never served from the cache. One with a hash is.
# - **Quota.** The number of `CREATE MODEL` jobs per project and day is limited; the loop over nights makes some thirty.
# - **Delete afterwards** the dataset: `client.delete_dataset(lab.target.dataset, delete_contents=True)`.

# %%
dry_run = bigquery.QueryJobConfig(dry_run=True, use_query_cache=False)
for name, text in {
    "all rows": "SELECT person, log_spend FROM study",
    "a tenth, filtered by hash": f"SELECT person, log_spend FROM study WHERE {bucket(PERSON, 'sample/')} = 0",
}.items():
    plan = client.query(text, job_config=dry_run)
    print(f"{name:26} {plan.total_bytes_processed:9,} bytes")

# %% [markdown]
# **Where this machine differs.** `FARM_FINGERPRINT`, `MOD` and `CUSTOM` give the same rows as on Google. `AUTO_SPLIT`
# and `RANDOM` hash each row here, too, but the service's hash is not public, so they hold out other rows. The trees are
# XGBoost with the documented defaults, not the service's build: expect other digits, and the same order.
# One more lottery that this machine hides: BigQuery may compute a `WITH` query anew for each place that names it, so
# `WITH drawn AS (SELECT *, RAND() AS u …)` used twice can be two draws there. Here it is one.
#
# ## Exam lens
# *Repeatable, reproducible, same rows each run*: `MOD(ABS(FARM_FINGERPRINT(key)), 10) < 8`, never `RAND()`, and not a seed.
# *Rows of one customer, day or patient in several rows*: hash that id. *The test score is great, production is not*:
# ask who is on both sides. *A sample and a split*: two salts. *A time question*: no hash, split by time.
# *Which share for the test?* Count units, not percent.

# %%
lab.quiz()

# %% [markdown]
# **Take away.** `RAND()` makes the side of a row an event; a hash of a stable key makes it a property, which survives
# reruns, growth and corrections. Repeatable is not yet honest: the key decides, and it has to be the unit that production
# will meet anew. One hash is one draw: salt each use, spell the key in one way, count the NULLs, and compare models on
# the same held-out units.

# %%
lab.finish()
