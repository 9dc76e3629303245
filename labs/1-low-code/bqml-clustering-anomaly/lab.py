# ---
# jupyter:
#   jupytext: {formats: "ipynb,py:percent"}
#   kernelspec: {name: labs-core, display_name: Labs (core), language: python}
# ---

# %% [markdown]
# # Segments and anomalies in SQL: the fault that is normal in every column
#
# Two teams ask the same analyst for structure without labels. A field station has measured 300 penguins and wants to
# know which kinds there are. An operator of compressors has weeks of sensor readings and wants an alarm when a machine
# falls ill. All data are in BigQuery, and both jobs look like `model_type = 'kmeans'`: clusters are segments, and what
# is far from every cluster is an anomaly.
#
# The second half of that sentence costs the operator money. Every machine has limits on every sensor already, and
# three kinds of fault pass them for days, because **each value is one that a healthy machine shows too. Only the
# combination is impossible.** Which model sees it, and how many alarms will there be on a quiet day?
#
# **You will** build segments with KMEANS and find out what its quality index cannot tell; cut clean history out of
# dirty history; compare limits, k-means, PCA and an autoencoder at the same contamination; set the contamination so
# that the crew can live with it; and see what happens when the history is not clean.

# %% tags=["parameters"]
TARGET = "local"      # "vertex": the same SQL runs on Google BigQuery
SEED = 20260601
IN_RANGE = True       # False: faults leave the range of their column, limits see them, and the effect is gone
CONTAMINATION = 0.02  # share of the training rows that may be flagged
EPOCHS = 20           # passes of the autoencoder over its training rows

# %%
from labkit import lesson

lab = lesson.open("bqml-clustering-anomaly", target=TARGET, seed=SEED)

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from google.cloud import bigquery
from IPython import get_ipython
from sklearn.metrics import adjusted_rand_score, average_precision_score, silhouette_score

client = lab.target.bigquery()
# %load_ext bigquery_magics


def sql(text):
    """The rows of a GoogleSQL statement."""
    return client.query(text).to_dataframe()


def load(frame, table):
    """Writes a frame to a table of the lab's dataset; what was there is replaced."""
    settings = bigquery.LoadJobConfig(write_disposition="WRITE_TRUNCATE")
    client.load_table_from_dataframe(frame, f"{lab.target.dataset}.{table}", job_config=settings).result()


# %% [markdown]
# ## The data
# **Birds.** 300 real penguins, drawn by the seed from those that were measured completely: four measurements in three
# units, and `bird_id`, the number of the ring. Their species is known, but it stays in Python: the models never see
# it, we judge by it.

# %%
MEASURES = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]
penguins = lab.data("palmer-penguins").dropna(subset=MEASURES).sample(300, random_state=SEED).reset_index(drop=True)
penguins.insert(0, "bird_id", 4000 + 7 * np.arange(len(penguins)))
species = penguins.set_index("bird_id")["species"]
load(penguins[["bird_id", *MEASURES]], "birds")
print(penguins[MEASURES].describe().loc[["min", "max", "std"]].round(1).to_string())

# %% [markdown]
# **Compressors.** Ten machines, one reading of seven sensors an hour. Three tables of readings:
#
# - `history`: three weeks of which nobody noted what was healthy. There is only `tickets`, the workshop's log.
# - `fresh`: two later weeks, with faults. Here the detectors have to work.
# - `overhauled`: two weeks after all machines were overhauled. Not one fault.
#
# The readings are generated, so there is a table `truth` with every reading's fault (NULL: healthy). No model is
# trained on it. What a machine does has three causes, speed, pressure and weather; the other sensors follow from them.
# A fault breaks one relation: a *leak* loses flow, a *fouled cooler* heats the oil, a *bearing* adds vibration.

# %%
SENSORS = ["speed_pct", "pressure_bar", "ambient_c", "power_kw", "flow_m3h", "oil_c", "vibration_mm_s"]
COLUMNS = ", ".join(SENSORS)
periods = {
    "history": {"start": "2026-01-05", "days": 21, "episodes": 9},
    "fresh": {"start": "2026-02-09", "days": 14, "episodes": 6},
    "overhauled": {"start": "2026-03-09", "days": 14, "episodes": 0},
}
readings = {
    name: lab.data("compressor-readings", seed=SEED, in_range=IN_RANGE, **period) for name, period in periods.items()
}
for name, frame in readings.items():
    load(frame.drop(columns="fault"), name)
truth = pd.concat(readings.values())[["reading_id", "fault"]]
load(truth, "truth")
load(lab.data("compressor-readings", seed=SEED, in_range=IN_RANGE, table="tickets", **periods["history"]), "tickets")
READINGS_PER_DAY = len(readings["fresh"]) // periods["fresh"]["days"]

print(f"{READINGS_PER_DAY} readings a day; history has {len(readings['history'])}, fresh {len(readings['fresh'])}")
print("fresh:", readings["fresh"]["fault"].fillna("healthy").value_counts().to_dict())

# %%
COLOURS = {"leak": "C1", "fouled cooler": "C2", "bearing": "C3"}
fresh = readings["fresh"]
healthy_shown = fresh[fresh["fault"].isna()].head(400)
fig, axes = plt.subplots(1, 3, figsize=(7.6, 2.4))
for ax, kind, (x, y) in zip(axes, COLOURS, [("speed_pct", "flow_m3h"), ("power_kw", "oil_c"),
                                           ("speed_pct", "vibration_mm_s")], strict=True):
    ax.scatter(healthy_shown[x], healthy_shown[y], s=5, color="0.7", lw=0, antialiased=False, label="healthy")
    ill = fresh[fresh["fault"] == kind]
    ax.scatter(ill[x], ill[y], s=12, color=COLOURS[kind], marker="^", lw=0, antialiased=False, label=kind)
    ax.set(xlabel=x.replace("_pct", ", %").replace("_kw", ", kW"),
           ylabel=y.replace("_m3h", ", m³/h").replace("_mm_s", ", mm/s").replace("_c", ", °C"))
    ax.legend(fontsize="x-small", loc="upper left")
axes[1].set_title("Within the range of both axes, and yet off the healthy band")
plt.show()

# %% [markdown]
# Cover the vertical axis with a hand, then the horizontal one: on either axis alone the triangles vanish among the
# grey. (The cooler's band is wide in this picture, since the oil also follows the weather. In all seven columns
# together it is narrow.)
#
# ## Predict first
# All detectors get clean history and may flag the same share of it, `CONTAMINATION`. Then they see `fresh`.

# %%
lab.predict(
    "k_means_recall",
    "K-means with 8 clusters flags what is far from every centroid. Which share of the faulty readings does it find?",
    options=["nearly all", "about half", "less than a quarter"],
)
lab.predict(
    "quiet_weeks",
    "With contamination 0.1, which share of the two weeks without a single fault will the best detector flag?",
    options=["none: it is the best detector", "about 1%", "about 10%"],
)

# %% [markdown]
# ## Segments: a beautiful index, the wrong birds
# A colleague was faster. She asked for three clusters, looked at the Davies-Bouldin index (mean over the clusters of
# how wide two of them are, divided by how far they are apart: **lower is better**), found it excellent, and named the
# segments. She had set `standardize_features = FALSE`, "to keep the original units". `ML.EVALUATE` gives the index,
# `ML.PREDICT` the nearest centroid. Beside it, the same statement with BigQuery's default.

# %%
def segment(model, options, rows="birds"):
    """Trains KMEANS on the four measurements of the rows of a table or query."""
    text = f"""
    CREATE OR REPLACE MODEL {model}
    OPTIONS (model_type = 'kmeans', {options}) AS
    SELECT {", ".join(MEASURES)} FROM {rows}
    """
    client.query(text).result()


def segments_of(model):
    """The cluster of each bird, by bird_id."""
    return sql(f"SELECT bird_id, CENTROID_ID FROM ML.PREDICT(MODEL {model}, TABLE birds)").set_index("bird_id")["CENTROID_ID"]


START = "num_clusters = 3, kmeans_init_method = 'KMEANS++', min_rel_progress = 0.0001, max_iterations = 50"
segment("by_unit", f"{START}, standardize_features = FALSE")
segment("by_spread", f"{START}, standardize_features = TRUE")

values = penguins.set_index("bird_id")[MEASURES]
standardised = (values - values.mean()) / values.std()
rows = {}
for model, space in [("by_unit", values), ("by_spread", standardised)]:
    found = segments_of(model).loc[values.index]
    index = sql(f"SELECT davies_bouldin_index FROM ML.EVALUATE(MODEL {model})")["davies_bouldin_index"][0]
    rows[model] = {"Davies-Bouldin": index, "silhouette": silhouette_score(space, found),
                   "agreement with species": adjusted_rand_score(species, found)}
quality = pd.DataFrame(rows).T

# %% tags=["nbval-check-output"]
print(quality.round(2).to_string())

# %% [markdown]
# Both indices prefer the colleague's model: lower Davies-Bouldin, higher silhouette. The last column is the adjusted
# Rand index, the agreement with the species corrected for chance: 1 is perfect, 0 is what shuffled labels give.

# %%
fig, axes = plt.subplots(1, 3, figsize=(7.6, 2.3), sharey=True)
panels = [("units as they are", segments_of("by_unit")), ("standardised", segments_of("by_spread")), ("the three species", species)]
for ax, (title, groups) in zip(axes, panels, strict=True):
    # By flipper length, so that like groups have like colours in all panels.
    members = sorted((group for _, group in values.groupby(groups)), key=lambda group: group["flipper_length_mm"].mean())
    for number, group in enumerate(members):
        ax.scatter(group["bill_length_mm"], group["body_mass_g"], s=10, color=f"C{number}", marker="o^s"[number], lw=0,
                   antialiased=False)
    ax.set(title=title, xlabel="bill length, mm")
axes[0].set_ylabel("body mass, g")
plt.show()

lab.claim("agreement with species, units as they are", quality.loc["by_unit", "agreement with species"], at_most=0.45)
flattery = quality.loc["by_unit", "Davies-Bouldin"] / quality.loc["by_spread", "Davies-Bouldin"]
lab.claim("Davies-Bouldin of the worse segments over that of the better ones", flattery, at_most=0.8)

# %% [markdown]
# **The mechanism.** Distance adds up squared differences. Two birds differ by 800 in grams and by 5 in millimetres,
# so the mass is the distance, and three clusters are three horizontal slices: light, middle, heavy. One column cut into
# slices is compact and well separated, which is all that Davies-Bouldin and silhouette measure, *in the units in which
# the model sees the birds*. **An index compares models over the same columns in the same scale. It cannot tell whether
# the scale is right.** Had the station stored tonnes instead of grams, the mass would have had no say at all.
#
# So data preparation for clustering is a decision about distance: which columns take part, and what a difference of
# one is worth in each. Identifiers, dates and free text out; skewed amounts as logarithms; numbers standardised, which
# BigQuery does unless it is told not to; categories one-hot, and each of them then pulls as well.
#
# ## K-means stops at the first valley
# Lloyd's iterations only ever improve the start they were given. The option `kmeans_init_method` is RANDOM unless set.
# Six trainings, the same statement, another order of the rows. (The local engine draws the same row *numbers* each time,
# so we shuffle the rows. BigQuery draws anew with each CREATE MODEL.)

# %%
runs = []
for restart in range(6):
    shuffled = f"birds ORDER BY FARM_FINGERPRINT(CONCAT(CAST(bird_id AS STRING), '-{restart}'))"
    segment(f"restart_{restart}", "num_clusters = 3, kmeans_init_method = 'RANDOM', min_rel_progress = 0.0001, "
            "max_iterations = 50", shuffled)
    loss = sql(f"SELECT mean_squared_distance FROM ML.EVALUATE(MODEL restart_{restart})")["mean_squared_distance"][0]
    agreement = adjusted_rand_score(species, segments_of(f"restart_{restart}").loc[species.index])
    runs.append({"mean squared distance": loss, "agreement with species": agreement})
restarts = pd.DataFrame(runs).rename_axis("restart")
print(restarts.round(3).to_string())
best_restart = restarts["mean squared distance"].idxmin()
lab.claim("agreement with species of the restart with the lowest loss", restarts["agreement with species"][best_restart],
          at_least=0.6)

# %% [markdown]
# Where a row of this table has a higher loss than the others, k-means has settled in a valley that is not the deepest:
# typically it has cut the largest species in two and thrown the two others together. Nothing is reported, the statement
# succeeds. **Repeat and keep the lowest `mean_squared_distance`** (same columns, same number of clusters: here the
# comparison is fair), or start with `KMEANS++`, which draws first centroids that are far apart. And look at rows whose
# losses are almost equal: they may still hand whole groups of birds to different clusters. Where that happens, the data
# do not settle the border, and no loss will.
#
# ## How many clusters?
# `num_clusters` can be tuned like any other option: one CREATE MODEL, one trial for each number, judged by
# Davies-Bouldin.

# %%
tuning = f"""
CREATE OR REPLACE MODEL tuned_segments
OPTIONS (
  model_type = 'kmeans',
  num_clusters = HPARAM_CANDIDATES([2, 3, 4, 5, 6, 7]),
  kmeans_init_method = 'KMEANS++',
  num_trials = 6,
  hparam_tuning_algorithm = 'GRID_SEARCH',
  hparam_tuning_objectives = ['davies_bouldin_index']
) AS
SELECT {", ".join(MEASURES)} FROM birds
"""
client.query(tuning).result()
trials = sql("""
SELECT trial.hyperparameters.num_clusters AS num_clusters, quality.davies_bouldin_index, quality.mean_squared_distance
FROM ML.TRIAL_INFO(MODEL tuned_segments) AS trial
JOIN ML.EVALUATE(MODEL tuned_segments) AS quality USING (trial_id)
ORDER BY num_clusters
""")

fig, axes = plt.subplots(1, 2, figsize=(7.2, 2.4))
axes[0].plot(trials["num_clusters"], trials["davies_bouldin_index"], marker="o")
axes[0].set(title="The index prefers two clusters", xlabel="number of clusters", ylabel="Davies-Bouldin (lower is better)")
axes[1].plot(trials["num_clusters"], trials["mean_squared_distance"], marker="o", color="C1")
axes[1].set(title="The loss always falls", xlabel="number of clusters", ylabel="mean squared distance,\nstandard deviations²")
plt.show()
preferred = trials.loc[trials["davies_bouldin_index"].idxmin(), "num_clusters"]
lab.claim("number of clusters that Davies-Bouldin prefers", preferred, at_most=2)

# %% [markdown]
# Two, where biology says three. The index is not wrong: one species is far from the other two, and two compact groups
# far apart is what it asks for. It answers *which number gives the most compact groups*, not *how many kinds are
# there*. A marketing team that can run four campaigns needs four segments. Use the index to rule numbers out, and then
# read the centroids.
#
# ## Exercise: segments that are fit to be read
# Write the statement: a model `segments` with three clusters over the table `birds`, in which every measurement has
# the same say and nothing that is not a measurement takes part. The table has the columns `bird_id`,
# `bill_length_mm`, `bill_depth_mm`, `flipper_length_mm` and `body_mass_g`.

# %% tags=["exercise"]
# segments_sql = """ CREATE OR REPLACE MODEL segments … """
### BEGIN SOLUTION
segments_sql = """
CREATE OR REPLACE MODEL segments
OPTIONS (
  model_type = 'kmeans',
  num_clusters = 3,
  kmeans_init_method = 'KMEANS++',
  min_rel_progress = 0.0001,
  max_iterations = 50
) AS
SELECT * EXCEPT (bird_id) FROM birds
"""
### END SOLUTION

# %%
segments_sql = lab.check("segments", segments_sql, client, lab.target.dataset)

# %% [markdown]
# `ML.CENTROIDS` has a row for each feature of each centroid, in the units of the table. Pivoted, it is what one shows
# to the people who asked. The magic `%%bigquery centroids` sends the rest of its cell as SQL and puts the result into the
# DataFrame `centroids`.

# %%
finished = client.query(segments_sql).result()

# %%
# %%bigquery centroids
# SELECT *
# FROM (SELECT centroid_id, feature, ROUND(numerical_value, 1) AS typical FROM ML.CENTROIDS(MODEL segments))
# PIVOT (ANY_VALUE(typical) FOR feature IN ('bill_length_mm', 'bill_depth_mm', 'flipper_length_mm', 'body_mass_g'))
# ORDER BY body_mass_g

# %%
nearest = sql("""
SELECT
  bird_id,
  CENTROID_ID AS centroid_id,
  NEAREST_CENTROIDS_DISTANCE[OFFSET(0)].DISTANCE AS own,
  NEAREST_CENTROIDS_DISTANCE[OFFSET(1)].DISTANCE AS next_best
FROM ML.PREDICT(MODEL segments, TABLE birds)
""").set_index("bird_id")
nearest["species"] = species.loc[nearest.index].to_numpy()
by_species = pd.crosstab(nearest["centroid_id"], nearest["species"])
print(centroids.set_index("centroid_id").to_string())
print("\nbirds by cluster and species:")
print(by_species.to_string())

torn = nearest["own"] > 0.8 * nearest["next_best"]
odd = nearest["species"] != nearest["centroid_id"].map(by_species.idxmax(axis=1))
print(f"\nbirds almost as near to another centroid: {torn.sum()}; of another species than most of their cluster: "
      f"{odd[torn].mean():.0%} of these, {odd[~torn].mean():.0%} of the rest")

# %% [markdown]
# One cluster is heavy with long flippers and shallow bills, one light with short bills, one light with long bills: a
# description that a ranger can use, found without a label. `NEAREST_CENTROIDS_DISTANCE` has the distances of up to
# five centroids. **K-means always answers**: a bird half-way between two centroids gets a segment like any other. The
# ratio of the two smallest distances says who should not get the letter that was written for the segment.
#
# ## Exercise: clean history
# Now the compressors. A detector that has no labels learns *what is usual* from its training rows, so those should be
# healthy. `history` is not, and `truth` is out of bounds. What there is:
#
# - `history`: `reading_id`, `machine`, `read_at` and the seven sensors;
# - `tickets`: `machine`, `opened_at`, `closed_at`. A fault begins **at most 12 hours before** its ticket is opened and is
#   gone when the ticket is closed.
#
# Write the query that gives `reading_id` and the seven sensors of every reading that no ticket casts doubt on, and of
# no other.

# %% tags=["exercise"]
# clean_sql = """ SELECT reading_id, speed_pct, … FROM history … """
### BEGIN SOLUTION
clean_sql = f"""
SELECT reading_id, {COLUMNS}
FROM history AS h
WHERE NOT EXISTS (
  SELECT 1
  FROM tickets AS t
  WHERE t.machine = h.machine
    AND h.read_at >= TIMESTAMP_SUB(t.opened_at, INTERVAL 12 HOUR)
    AND h.read_at <= t.closed_at
)
"""
### END SOLUTION

# %%
clean_sql = lab.check("clean_history", clean_sql, client)

# %% tags=["nbval-check-output"]
client.query(f"CREATE OR REPLACE TABLE clean_history AS {clean_sql}").result()
cleaning = sql("""
SELECT 'history' AS readings, COUNT(*) AS n, COUNT(fault) AS faulty FROM history JOIN truth USING (reading_id)
UNION ALL
SELECT 'clean_history', COUNT(*), COUNT(fault) FROM clean_history JOIN truth USING (reading_id)
ORDER BY n DESC
""")
print(cleaning.to_string(index=False))
dirt = cleaning["faulty"][0] / cleaning["n"][0]
print(f"\nshare of faulty readings in history: {dirt:.1%}")

# %% [markdown]
# The log cost a few healthy hours and took out every faulty one. Remember the share of dirt, it will come back.
#
# ## Four detectors, one contamination
# The first one needs no model. **Limits**: two quantiles for each sensor, set so that about a share `CONTAMINATION` of
# clean history would be flagged, like the others. In one statement, with the columns turned into rows:

# %%
buckets = round(2 * len(SENSORS) / CONTAMINATION)
limits_sql = f"""
WITH limits AS (
  SELECT
    sensor,
    APPROX_QUANTILES(value, {buckets})[OFFSET(1)] AS low,
    APPROX_QUANTILES(value, {buckets})[OFFSET({buckets - 1})] AS high
  FROM clean_history UNPIVOT (value FOR sensor IN ({COLUMNS}))
  GROUP BY sensor
)
SELECT reading_id, LOGICAL_OR(value < low OR value > high) AS is_anomaly
FROM fresh UNPIVOT (value FOR sensor IN ({COLUMNS}))
JOIN limits USING (sensor)
GROUP BY reading_id
"""


def score(flags):
    """Readings and flagged readings of each fault, for a query with reading_id and is_anomaly."""
    return sql(f"""
    SELECT IFNULL(fault, 'healthy') AS fault, COUNT(*) AS readings, COUNTIF(is_anomaly) AS flagged
    FROM ({flags}) JOIN truth USING (reading_id)
    GROUP BY fault
    """).set_index("fault")


def summary(counts):
    """Recall by fault and in all, and precision."""
    faults = counts.drop("healthy")
    recall = faults["flagged"] / faults["readings"]
    return {**recall.reindex(COLOURS).to_dict(), "recall": faults["flagged"].sum() / faults["readings"].sum(),
            "precision": faults["flagged"].sum() / max(1, counts["flagged"].sum())}


scores = {"limits": summary(score(limits_sql))}

# %% [markdown]
# The other three are models over `clean_history`, asked with one and the same function, `ML.DETECT_ANOMALIES`:
#
# | model | what is far away | column of the answer |
# |---|---|---|
# | KMEANS | the distance to the nearest centroid, divided by the radius of its cluster | `normalized_distance` |
# | PCA | what is left of a row after it was rebuilt from a few principal components | `mean_squared_error` |
# | AUTOENCODER | the same, rebuilt by a network through a narrow middle layer | `mean_squared_error` |
#
# `contamination` turns this number into `is_anomaly`: a row is flagged when it is beyond the quantile of the **training
# rows** that leaves that share of them outside.

# %%
def detector(model, options, rows="clean_history"):
    """Trains a model on the seven sensors of a table."""
    text = f"CREATE OR REPLACE MODEL {model} OPTIONS ({options}) AS SELECT {COLUMNS} FROM {rows}"
    client.query(text).result()


def flagged(model, contamination=CONTAMINATION, table="fresh"):
    """The query for what a model flags in a table."""
    return (f"SELECT reading_id, is_anomaly FROM ML.DETECT_ANOMALIES(MODEL {model}, "
            f"STRUCT({contamination} AS contamination), TABLE {table})")


AUTOENCODER = f"""model_type = 'autoencoder', hidden_units = [32, 16, 3, 16, 32], activation_fn = 'elu',
    learn_rate = 0.006, batch_size = 96, max_iterations = {EPOCHS}, early_stop = FALSE"""
detector("distances", "model_type = 'kmeans', num_clusters = 8, kmeans_init_method = 'KMEANS++'")
detector("components", "model_type = 'pca', pca_explained_variance_ratio = 0.95")
detector("rebuilt", AUTOENCODER)
for name, model in {"k-means": "distances", "PCA": "components", "autoencoder": "rebuilt"}.items():
    scores[name] = summary(score(flagged(model)))
table = pd.DataFrame(scores).T

# %% tags=["nbval-check-output"]
print(table[["recall", "precision"]].round(1).to_string())

# %%
fig, ax = plt.subplots(figsize=(7, 2.7))
for number, (kind, colour) in enumerate(COLOURS.items()):
    ax.bar(np.arange(len(table)) + 0.27 * (number - 1), table[kind], width=0.25, color=colour, label=kind)
ax.axhline(CONTAMINATION, color="k", lw=0.8, ls=":")
ax.set(title=f"Recall by fault, all at contamination {CONTAMINATION:g} (dotted: flagging blindly)",
       ylabel="share of faulty readings flagged", ylim=(0, 1.05))
ax.set_xticks(range(len(table)), table.index)
ax.legend(fontsize="small", loc="upper left")
plt.show()

lab.revisit("k_means_recall", "less than a quarter")
lab.claim("recall of limits on single columns", table.loc["limits", "recall"], at_most=0.1)
lab.claim("recall of k-means distance", table.loc["k-means", "recall"], at_most=0.25)
lab.claim("recall of the autoencoder", table.loc["autoencoder", "recall"], at_least=0.85)
lab.claim("recall of PCA for bearings", table.loc["PCA", "bearing"], at_most=0.3)
lab.claim("recall of the autoencoder for bearings", table.loc["autoencoder", "bearing"], at_least=0.85)

# %% [markdown]
# Same rows, same allowance of false alarms, and the recall goes from next to nothing to nearly everything. Look at
# each detector's idea of *usual*:
#
# - **Limits** know seven ranges. Together they are a box, and the box is mostly empty: no healthy machine is in most of
#   its corners. A fault moves the machine off its band into an empty part of the box.
# - **K-means** knows eight places. Between them a healthy machine varies by more than a fault shifts it, so the fault
#   is not *far*; it is just *off*.
# - **PCA** knows a flat surface through the data: linear relations. It sees leak and cooler, which break a relation
#   that is nearly straight. Vibration has a resonance, it rises and falls with the speed. To PCA it is a column that
#   nothing explains, so any value is allowed.
# - **The autoencoder** knows a bent surface. Three numbers in the middle have to be enough to rebuild seven sensors. It
#   has learnt that high vibration goes with one speed only.
#
# ## The bottleneck is the detector
# Why does it work, and can the others be helped? Give PCA from one to six components, and k-means from 4 to 100
# clusters, the largest number that BigQuery takes.

# %%
print(sql("""
SELECT principal_component_id + 1 AS components, ROUND(cumulative_explained_variance_ratio, 3) AS explained_variance
FROM ML.PRINCIPAL_COMPONENT_INFO(MODEL components)
ORDER BY 1
""").to_string(index=False))

by_components, by_clusters = {}, {}
for count in range(1, 7):
    detector("components_tried", f"model_type = 'pca', num_principal_components = {count}")
    by_components[count] = summary(score(flagged("components_tried")))
for count in (4, 8, 20, 100):
    detector("clusters_tried", f"model_type = 'kmeans', num_clusters = {count}, kmeans_init_method = 'KMEANS++'")
    by_clusters[count] = summary(score(flagged("clusters_tried")))

fig, axes = plt.subplots(1, 2, figsize=(7.2, 2.4), sharey=True)
for ax, found in zip(axes, [by_components, by_clusters], strict=True):
    frame = pd.DataFrame(found).T
    for kind, colour in COLOURS.items():
        ax.plot(frame.index, frame[kind], marker="o", ms=4, color=colour, label=kind)
axes[0].set(title="PCA: too few, right, too many", xlabel="principal components of 7", ylabel="recall", ylim=(-0.03, 1.05))
axes[1].set(title="k-means: many small balls along the band", xlabel="number of clusters", xscale="log")
axes[1].set_xticks([4, 8, 20, 100], ["4", "8", "20", "100"])
axes[1].minorticks_off()
axes[0].legend(fontsize="small", loc="upper left")
plt.show()
blind, seeing = by_components[2]["leak"], by_components[4]["leak"]
lab.claim("PCA's recall for leaks, 4 components minus 2", seeing - blind, at_least=0.5)

# %% [markdown]
# With too few components healthy rows are rebuilt as badly as faulty ones. With all of them everything is rebuilt,
# faults included, and nothing stands out. In between the model can afford only what healthy rows have in common. The
# same holds for the autoencoder: **a middle layer as wide as the input learns to copy**, and a copy machine sees no
# faults. `ML.PRINCIPAL_COMPONENT_INFO` shows where the variance ends, a good start for either width. It does not show
# what a fault needs: what faults break is often in the last percent of the variance.
#
# K-means gets better with every doubling, because a hundred small balls can follow a band. It needs far more clusters
# than anyone would call segments, and there is a ceiling. Segments and detection are two jobs.
#
# ## The contamination is not a finding
# `is_anomaly` sounds as if the model had decided something. `ML.RECONSTRUCTION_LOSS` gives the number behind it, row by
# row. Take the two weeks without a fault, and several contaminations.

# %%
losses = {
    name: sql(f"""
    SELECT reading_id, mean_squared_error, IFNULL(fault, 'healthy') AS fault
    FROM ML.RECONSTRUCTION_LOSS(MODEL rebuilt, TABLE {name}) JOIN truth USING (reading_id)
    """)
    for name in ("clean_history", "fresh", "overhauled")
}
chosen = [0.005, 0.02, 0.05, 0.1, 0.2]
quiet = pd.Series({c: score(flagged("rebuilt", c, "overhauled"))["flagged"].sum() for c in chosen}) / len(readings["overhauled"])

fig, axes = plt.subplots(1, 2, figsize=(7.8, 2.5), width_ratios=[1.5, 1])
bins = np.logspace(-3.5, 1, 60)
axes[0].hist(losses["fresh"].query("fault == 'healthy'")["mean_squared_error"], bins, color="0.7", label="healthy")
axes[0].hist(losses["fresh"].query("fault != 'healthy'")["mean_squared_error"], bins, color="C1", alpha=0.8, label="faulty")
for contamination in (0.2, 0.02, 0.005):
    cutoff = losses["clean_history"]["mean_squared_error"].quantile(1 - contamination)
    axes[0].axvline(cutoff, color="k", lw=0.9, ls=":")
    axes[0].text(cutoff, axes[0].get_ylim()[1], f" {contamination:g}", rotation=90, fontsize="x-small", va="top")
axes[0].set(xscale="log", title="fresh: the contamination only places the cutoff", xlabel="reconstruction loss (log scale)",
            ylabel="readings")
axes[0].legend(fontsize="small")
axes[1].plot(chosen, quiet, marker="o")
axes[1].plot([0, 0.2], [0, 0.2], color="k", lw=0.7, ls=":")
axes[1].set(title="overhauled: no fault, many alarms", xlabel="contamination", ylabel="share flagged")
plt.show()

lab.revisit("quiet_weeks", "about 10%")
lab.claim("share flagged at contamination 0.1 where nothing is wrong", quiet[0.1], at_least=0.06, at_most=0.15)

# %% [markdown]
# The line follows the diagonal. **The number of flagged rows is decided by you, not found by the model.** The
# documentation calls `contamination` the share of anomalies in the training data. With clean training data that share
# is zero, and the option becomes something more useful: the *rate of false alarms* that you accept. Report "0.1 of our
# readings are anomalies" from such a column, and you report your own parameter.
#
# ## Exercise: how many alarms can the crew take?
# The crew can look at **two** false alarms a day, over all machines. `READINGS_PER_DAY` readings come in. Set
# `contamination` for the autoencoder that was trained on clean history.

# %% tags=["exercise"]
### BEGIN SOLUTION
contamination = 2 / READINGS_PER_DAY
### END SOLUTION

# %%
contamination = lab.check("alarm_budget", contamination, READINGS_PER_DAY)

# %%
quiet_weeks, working_weeks = (score(flagged("rebuilt", contamination, name)) for name in ("overhauled", "fresh"))
healthy_readings = quiet_weeks.loc["healthy"] + working_weeks.loc["healthy"]
false_alarms = READINGS_PER_DAY * healthy_readings["flagged"] / healthy_readings["readings"]
at_work = summary(working_weeks)
print(f"contamination {contamination:.4f}: {false_alarms:.1f} false alarms a day, over all healthy readings of four weeks")
print(f"in fresh: recall {at_work['recall']:.2f}, precision {at_work['precision']:.2f}")
lab.claim("false alarms a day", false_alarms, at_least=0.5, at_most=4.5)
lab.claim("recall at the crew's contamination", at_work["recall"], at_least=0.7)

# %% [markdown]
# The cutoff is a quantile of rows that the network was trained on, so expect somewhat more alarms on new ones; a
# network that has memorised its rows exceeds it by far. **Check the rate on healthy rows held out**, as here. And mind
# that precision is not a property of the detector alone: in `fresh` about one reading in sixteen is faulty. Where faults
# are ten times rarer, the same false alarms stand against a tenth of the hits.
#
# ## The trap: history as it is
# Skip the tickets and train the same network on all of `history`. Same options, same contamination.

# %%
detector("rebuilt_dirty", AUTOENCODER, "history")
dirty_losses = sql("""
SELECT mean_squared_error, fault FROM ML.RECONSTRUCTION_LOSS(MODEL rebuilt_dirty, TABLE fresh) JOIN truth USING (reading_id)
""")
dirty_training = sql("""
SELECT mean_squared_error, fault FROM ML.RECONSTRUCTION_LOSS(MODEL rebuilt_dirty, TABLE history) JOIN truth USING (reading_id)
""")
comparison = {}
for share in sorted({CONTAMINATION, 0.05, 0.1}):
    for label, model in [("clean", "rebuilt"), ("dirty", "rebuilt_dirty")]:
        result = summary(score(flagged(model, share)))
        comparison[share, label] = {"recall": result["recall"], "precision": result["precision"]}
comparison = pd.DataFrame(comparison).T.rename_axis(["contamination", "trained on"])
ranking = {
    "clean": average_precision_score(losses["fresh"]["fault"] != "healthy", losses["fresh"]["mean_squared_error"]),
    "dirty": average_precision_score(dirty_losses["fault"].notna(), dirty_losses["mean_squared_error"]),
}
print(comparison.round(2).to_string())
print("\naverage precision of the loss, without any cutoff:", {name: round(value, 2) for name, value in ranking.items()})

# %%
fig, ax = plt.subplots(figsize=(7, 2.5))
is_faulty = dirty_training["fault"].notna()
ax.hist(dirty_training["mean_squared_error"][~is_faulty], bins, color="0.7", label="healthy")
ax.hist(dirty_training["mean_squared_error"][is_faulty], bins, color="C1", alpha=0.8, label="faulty, in the training rows")
cutoff = dirty_training["mean_squared_error"].quantile(1 - CONTAMINATION)
ax.axvline(cutoff, color="k", ls=":")
ax.text(cutoff, ax.get_ylim()[1] * 0.98, f" contamination {CONTAMINATION:g}", fontsize="small", va="top")
ax.set(xscale="log", title=f"history: {dirt:.1%} of the rows are faulty, so the cutoff lies among the faults",
       xlabel="reconstruction loss of the training rows (log scale)", ylabel="readings")
ax.legend(fontsize="small", loc="upper left")
plt.show()

kept = comparison.loc[(CONTAMINATION, "dirty"), "recall"] / comparison.loc[(CONTAMINATION, "clean"), "recall"]
lab.claim("recall that is left when history is not cleaned, share", kept, at_most=0.8)

# %% [markdown]
# The textbook says that anomalies in the training rows *teach* the network to rebuild them. Look at the average
# precision, which uses the order of the losses and no cutoff: it is about the same. The faults here are few and spread
# over all operating points, the network did not learn them. What broke is the **cutoff**. Contamination counts from the
# top of the training losses, and the top is occupied by faults: with more dirt than contamination, the cutoff lies in
# the middle of them, and every fault below it passes. A contamination above the share of dirt mends the recall, but who
# knows that share without labels? Clean rows settle it. So when a detector finds less and less, look at two things: the
# order of the losses (has it learnt the faults?) and the place of the cutoff (who stands above it in training?).
#
# ## On Google Cloud
# Every statement above is GoogleSQL. With `TARGET="vertex"` the same statements go to Google BigQuery.
#
# - **Roles.** *BigQuery User* on the project (to run jobs) and *BigQuery Data Editor* on the dataset (tables and models).
# - **Billing.** Queries and `ML.*` functions are priced per byte processed, CREATE MODEL too, at a rate of its own. A
#   dry run says how many bytes before anything is billed. KMEANS and PCA are trained inside BigQuery; the
#   **AUTOENCODER is trained on Vertex AI**, which is billed in addition and takes minutes even for few rows. See the
#   price page; the card's bound is generous for that reason. Tuning multiplies by `num_trials`.
# - **Quota.** The default number of CREATE MODEL statements a day is enough.
# - **Afterwards** delete the models and the tables, or the dataset with its contents.

# %%
dry = bigquery.QueryJobConfig(dry_run=True, use_query_cache=False, labels=lab.target.labels)
for name in ("clean_history", "fresh"):
    job = client.query(f"SELECT {COLUMNS} FROM {name}", job_config=dry)
    print(f"{name}: {job.total_bytes_processed / 1e6:.2f} MB would be processed")

# %% [markdown]
# **Where the local engine differs.** The service's algorithms are public only in part.
#
# - KMEANS and the AUTOENCODER start from fixed random numbers here, from others at every training there. Expect other
#   centroid numbers and losses, and for RANDOM starts other valleys; the ordering of the detectors should stay.
# - `hparam_tuning_algorithm` is Vertex AI Vizier there unless set; the grid search asked for above is the same on both.
# - The order of rows has no influence on the service's start, so the loop of restarts needs no shuffling there.
# - The autoencoder is a Keras network with the same options here. The default middle layer, early stopping and details
#   of the optimizer may differ.
#
# ## Exam lens
# *Groups without labels, in SQL*: KMEANS, standardised, identifiers left out. *Anomalies without labels in rows of
# many columns*: AUTOENCODER (or PCA where relations are linear) with `ML.DETECT_ANOMALIES`; *in a time series*:
# ARIMA_PLUS with the same function and `anomaly_prob_threshold`. *With labels*: then it is classification, use a
# boosted tree. *Too many alarms*: lower the contamination, and first look at what the model was trained on.

# %%
lab.quiz()

# %% [markdown]
# **Take away.** K-means is its distance: scale and columns decide the segments, and no index over the same distance can
# tell that they are wrong. A fault that is normal in every column is invisible to limits and to distance; a model that
# has to rebuild the row through a bottleneck sees it, because it has learnt what goes with what. Contamination is an
# allowance that you set, so train on clean rows and set it as the false alarms that the crew can take.

# %%
lab.finish()
