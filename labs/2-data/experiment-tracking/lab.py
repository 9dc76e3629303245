# ---
# jupyter:
#   jupytext: {formats: "ipynb,py:percent"}
#   kernelspec: {name: labs-core, display_name: Labs (core), language: python}
# ---

# %% [markdown]
# # The best of 24 runs, and why nobody could repeat it
#
# A clinic predicts how far a patient's disease will progress within a year. Last week a team tried 24 settings of a
# random forest. On Friday the best run was shown to the management, with its score, and the release was promised. On
# Monday a colleague trains "the same model" for the release and gets another score, a worse one. He tries again: worse
# again. Nobody has lied. Which of the two numbers will the patients get, and can Friday's model be found again at all?
#
# Then a second call: Tuesday's export of the patients was corrupt. **Which of the models have seen it?**
#
# **You will** log runs with Vertex AI Experiments, repeat a run to the last digit from what was logged, measure how much
# of a champion's score is luck, choose a checkpoint from a TensorBoard curve, and follow lineage in both directions.

# %% tags=["parameters"]
TARGET = "local"       # "vertex" logs the same runs to Vertex AI on Google Cloud
SEED = 20260601
TRACK_INPUTS = True    # False: only hyperparameters and score are logged, and the effect of this lab is gone
RUNS = 24              # a multiple of 3: as many on each of three days

# %%
from labkit import lesson

lab = lesson.open("experiment-tracking", target=TARGET, seed=SEED)

import hashlib
import inspect
import io
import json
import logging
import pickle
from contextlib import contextmanager

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sklearn
from google.cloud import aiplatform, storage
from google.cloud.aiplatform_v1.types import Event
from IPython.utils.capture import capture_output
from sklearn.ensemble import RandomForestRegressor
from sklearn.metrics import r2_score
from sklearn.neural_network import MLPRegressor

logging.disable(logging.WARNING)  # the SDK says two lines for everything that it creates
NAME = "experiment-tracking"      # of the experiment, and before the names of all that it has
aiplatform.init(**lab.target.vertex)


def start_afresh():
    """Makes an empty experiment: the runs, curves and lineage that an earlier run of this lab has left are deleted."""
    old = aiplatform.Experiment.get(NAME)
    if old is not None:
        old.delete(delete_backing_tensorboard_runs=True)
    for board in aiplatform.Tensorboard.list(filter=f'display_name="{NAME}"'):
        board.delete()
    with capture_output():  # a button that leads to the experiment's page in the console
        aiplatform.init(experiment=NAME, experiment_tensorboard=False, **lab.target.vertex)
    for kind in (aiplatform.Execution, aiplatform.Artifact):
        for item in kind.list(filter=f'display_name="{NAME}-*"'):
            item.delete()


start_afresh()

# %% [markdown]
# ## The data: three exports under one name
# The measurements and the progression score of 442 patients are real. The clinic exports them every night to
# `patients.csv`, over the file of the night before, and every night there are some more patients. Tuesday's export has
# a fault that nobody has seen yet: sixty patients' body mass index is in another unit.
#
# We do one thing that the clinic does not: each export is also kept under the **hash of its bytes**, and recorded as an
# artifact in Vertex ML Metadata.

# %%
rng = np.random.default_rng(SEED)
measurements = lab.data("diabetes-measurements")
patients = measurements.assign(progression=lab.data("diabetes-progression")["progression"].to_numpy())
patients = patients.iloc[rng.permutation(len(patients))].reset_index(drop=True)
client = lab.target.storage()


def put(path, content):
    """Writes bytes to the lab's bucket and gives their URI."""
    uri = f"{lab.target.bucket}/{NAME}/{path}"
    storage.Blob.from_uri(uri, client=client).upload_from_string(content)
    return uri


def load(sha256):
    """The export with this hash."""
    blob = storage.Blob.from_uri(f"{lab.target.bucket}/{NAME}/exports/{sha256}.csv", client=client)
    return pd.read_csv(io.BytesIO(blob.download_as_bytes()))


def export(rows, faulty=False):
    """Exports the first rows of the table: the hash of the bytes, and the artifact that stands for them."""
    table = patients.head(rows).copy()
    if faulty:
        table.loc[:59, "bmi"] *= 10
    content = table.to_csv(index=False).encode()
    sha256 = hashlib.sha256(content).hexdigest()
    put("patients.csv", content)
    artifact = aiplatform.Artifact.create(
        schema_title="system.Dataset", display_name=f"{NAME}-patients", uri=put(f"exports/{sha256}.csv", content),
        metadata={"sha256": sha256, "rows": rows, "container_format": "Text", "payload_format": "CSV"},
    )
    return sha256, artifact


exports = {"monday": export(380), "tuesday": export(412, faulty=True), "wednesday": export(442)}

fig, ax = plt.subplots(figsize=(6, 2.4))
for day, (sha256, _) in exports.items():
    ax.hist(np.log10(load(sha256)["bmi"]), bins=np.linspace(1.2, 2.7, 61), histtype="step", label=f"{day}, {sha256[:8]}")
ax.set(title="Same name, three files: only the hash says so before the histogram does",
       xlabel="body mass index, log10 of kg/m²", ylabel="patients")
ax.legend()
plt.show()

# %% [markdown]
# ## The search: 24 runs
# One run draws the settings of a forest, a seed for the forest and a seed for the split into training and validation
# rows, reads an export, trains, and reports R² on a fifth of the patients. A run of a day does not always read that
# day's export: three of eight had still the one from the day before on their disk.
#
# Most people log what the first line of `logged` has: the settings they have searched. The other line is what this lab
# is about.

# %%
def train(table, settings, seed, split_seed):
    """A forest on four fifths of the rows, and its R² on the others."""
    order = np.random.default_rng(split_seed).permutation(len(table))
    held_out, rest = table.iloc[order[: len(table) // 5]], table.iloc[order[len(table) // 5 :]]
    model = RandomForestRegressor(n_estimators=15, random_state=seed, **settings)
    model.fit(rest.drop(columns="progression"), rest["progression"])
    return model, r2_score(held_out["progression"], model.predict(held_out.drop(columns="progression")))


def draw_settings():
    return {"max_depth": int(rng.integers(4, 9)), "min_samples_leaf": int(rng.integers(2, 9)),
            "max_features": float(rng.uniform(0.3, 0.9))}


@contextmanager
def tracked(name, **options):
    """A run of the experiment; the button that leads to its page in the console is shown for none of them."""
    with capture_output():
        run = aiplatform.start_run(name, **options)
    with run:
        yield run


@contextmanager
def step(title, inputs, **metadata):
    """An execution that has read these artifacts."""
    options = {"schema_title": "system.ContainerExecution", "display_name": f"{NAME}-{title}", "metadata": metadata}
    with aiplatform.start_execution(**options) as execution:
        execution.assign_input_artifacts(inputs)
        yield execution


def keep_model(execution, file, content):
    """Keeps a model in the bucket and records it as the output of an execution."""
    artifact = aiplatform.Artifact.create(
        schema_title="system.Model", display_name=f"{NAME}-{file}", uri=put(f"models/{file}", content),
        metadata={"framework": "scikit-learn", "framework_version": sklearn.__version__},
    )
    execution.assign_output_artifacts([artifact])
    return artifact


# %%
code_sha256 = hashlib.sha256(inspect.getsource(train).encode()).hexdigest()
days = list(exports)
started = rng.permutation(np.repeat(days, RUNS // 3))
of_day = pd.Series(started).groupby(started).cumcount()
late = of_day < 3 * RUNS // 24  # these have the export of the day before
models, trained_on = {}, {}

for number in range(RUNS):
    day = started[number]
    read = days[max(days.index(day) - late[number], 0)]
    sha256, data = exports[read]
    settings, seeds = draw_settings(), {"seed": int(rng.integers(2**31)), "split_seed": int(rng.integers(2**31))}
    logged = settings
    if TRACK_INPUTS:
        logged = settings | seeds | {"data_sha256": sha256, "code_sha256": code_sha256, "sklearn": sklearn.__version__}
    run_name = f"run-{number:02d}"
    with tracked(run_name), step(f"train-{number:02d}", [data], run=run_name) as execution:
        model, score = train(load(sha256), settings, **seeds)
        models[run_name] = keep_model(execution, f"forest-{day}-{of_day[number]}.pkl", pickle.dumps(model))
        aiplatform.log_params(logged)
        aiplatform.log_metrics({"r2": score})
    trained_on[models[run_name].resource_name] = read

frame = aiplatform.get_experiment_df(NAME, include_time_series=False).sort_values("metric.r2", ascending=False)
frame = frame.set_index("run_name")
champion = frame.iloc[0]
shown = ["param.max_depth", "param.min_samples_leaf", "param.max_features", "metric.r2"]
print(frame[shown].head(5).round(3).to_string())

# %% [markdown]
# ## Predict first
# This table is what the management saw. The first row is the champion. Take its three settings, the same export, and
# train 20 times, each time with a new seed and a new split.

# %%
lab.predict(
    "again",
    "Where is the average R² of the 20 repeats?",
    options=["close to the champion's", "halfway to the typical run's", "close to the typical run's"],
)

# %% [markdown]
# ## Exercise: repeat a run
# Complete `repeat`. It gets one row of the experiment's table, trains again and returns the score, equal to the logged
# one to nine digits. `load(sha256)` reads an export by its hash, `train(table, settings, seed, split_seed)` is above.
# The columns of a row are called `param.max_depth` and so on.

# %% tags=["exercise"]
def repeat(row):
    """Trains the run of this row again; the R² that comes out."""
    ### BEGIN SOLUTION
    settings = {"max_depth": int(row["param.max_depth"]), "min_samples_leaf": int(row["param.min_samples_leaf"]),
                "max_features": row["param.max_features"]}
    _, score = train(load(row["param.data_sha256"]), settings, int(row["param.seed"]), int(row["param.split_seed"]))
    return score
    ### END SOLUTION


# %%
hashes = [sha256 for sha256, _ in exports.values()]
repeat = lab.check("repeat_run", repeat, train, load, hashes)

# %% [markdown]
# ## What is enough?
# Eight champions, the best rows of the table. For each of them a colleague knows the settings, and more with every line
# below. What he does not know he has to choose: the newest export, a seed and a split of his own.

# %% tags=["nbval-check-output"]
champions = frame.head(8)
guess = {"param.data_sha256": hashes[-1], "param.split_seed": 1, "param.seed": 1}


def repeated(known):
    """Distance between logged and repeated R² of the champions, from the settings and what else is known."""
    distances = []
    for _, row in champions.iterrows():
        logged_inputs = {name: row[name] for name in known if name in row.index}
        distances.append(abs(repeat(row.to_dict() | guess | logged_inputs) - row["metric.r2"]))
    return np.array(distances)


inputs = list(guess)
lines = {"settings only": [], "+ hash of the data": inputs[:1], "+ seed of the split": inputs[:2],
         "+ seed of the model": inputs}
distances = {title: repeated(known) for title, known in lines.items()}
table = pd.DataFrame({
    "distance in R², median": {title: np.median(found) for title, found in distances.items()},
    "repeated to 1e-9": {title: f"{(found <= 1e-9).sum()} of {len(found)}" for title, found in distances.items()},
})
print(table.to_string(float_format="{:.3f}".format))

# %%
lab.claim("champions that their settings alone bring back, share", (distances["settings only"] <= 1e-9).mean(), at_most=0)
lab.claim("champions that all logged inputs bring back, share",
          (distances["+ seed of the model"] <= 1e-9).mean(), at_least=1)

# %% [markdown]
# **Nearly everything is as good as nothing.** With data and split the distance is smaller, and still no run comes back.
# A run is a function of code, data, settings, split, seed and library: one that is missing is a free draw. The hash
# does double duty: it says *that* the data changed, and the copy under that name brings the old data back. A path such as
# `patients.csv` does neither.
#
# `code_sha256` and `sklearn` were not needed today, because nothing has changed since. They are the first to be needed in
# half a year. In a repository the commit takes the place of the hash; in a container, the digest of the image.
#
# ## Twenty repeats of the champion

# %%
champion_data = load(exports[trained_on[models[champion.name].resource_name]][0])
champion_settings = {"max_depth": int(champion["param.max_depth"]),
                     "min_samples_leaf": int(champion["param.min_samples_leaf"]),
                     "max_features": champion["param.max_features"]}
repeats = np.array([
    train(champion_data, champion_settings, int(rng.integers(2**31)), int(rng.integers(2**31)))[1] for _ in range(20)
])
typical = frame["metric.r2"].median()

fig, ax = plt.subplots(figsize=(6, 2.2))
ax.plot(frame["metric.r2"], np.zeros(RUNS), "o", alpha=0.6, label="24 runs")
ax.plot(champion["metric.r2"], 0, "o", color="C3", label="the champion")
ax.plot(repeats, np.ones(20), "o", color="C2", alpha=0.6, label="the champion again, 20 times")
ax.axvline(repeats.mean(), ymin=0.55, color="C2")
ax.axvline(typical, ymax=0.45, color="C0")
ax.set(title="The champion's repeats scatter like all the others", xlabel="R² on held-out patients", yticks=[],
       ylim=(-1, 2))
ax.legend(ncols=3, loc="lower center", fontsize="small")
plt.show()

curse = champion["metric.r2"] - repeats.mean()
left = (repeats.mean() - typical) / (champion["metric.r2"] - typical)
print(f"champion {champion['metric.r2']:.3f}, its repeats {repeats.mean():.3f} on average, typical run {typical:.3f}")
print(f"of the gain over the typical run, {left:.0%} is left")
lab.claim("R² that the champion owes to luck", curse, at_least=0.03)
lab.claim("gain of the champion over the typical run that repeats keep, share", left, at_most=0.7)
lab.revisit("again", "close to the typical run's")

# %% [markdown]
# This is the **winner's curse**. A score is quality plus luck of the split. The settings of the 24 runs differ little in
# quality, so the maximum picks luck. The more runs, the luckier the winner: the search itself makes the promise too high.
# Nothing is wrong with the champion, but the number to promise is the mean of its repeats, or the score on patients that
# took no part in the choice.
#
# And that is why both were needed. The logged inputs bring the champion **itself** back, the model that was shown and its
# score. The repeats say what the score is worth. A tracking system that only keeps the highest number does neither.
#
# ## Curves: the last step is not the best one
# Two neural networks of the same shape are trained for 100 epochs, one with a small learning rate and one with a larger
# one. R² on held-out patients goes to TensorBoard every second epoch, with `log_time_series_metrics`. In the
# experiment's table a curve has one number: its **last** one.

# %%
board = aiplatform.Tensorboard.create(display_name=NAME, labels=lab.target.labels)
current = load(hashes[-1])
current = (current - current.mean()) / current.std()
order = rng.permutation(len(current))
held_out, rest = current.iloc[order[:242]], current.iloc[order[242:]]
features = [name for name in current.columns if name != "progression"]
EPOCHS, EVERY, KEPT = 100, 2, 4
parts = []

for title, rate in {"slow": 0.000025, "fast": 0.005}.items():
    network = MLPRegressor(hidden_layer_sizes=(100,), learning_rate_init=rate, batch_size=32, random_state=SEED)
    with tracked(f"network-{title}", tensorboard=board.resource_name) as run:
        aiplatform.log_params({"learning_rate": rate, "epochs": EPOCHS})
        for epoch in range(1, EPOCHS + 1):
            network.partial_fit(rest[features], rest["progression"])
            if epoch % EVERY == 0:
                r2 = r2_score(held_out["progression"], network.predict(held_out[features]))
                run.log_time_series_metrics({"r2": r2}, step=epoch)
        parts.append(run.get_time_series_data_frame().assign(run=title))

curves = pd.concat(parts, ignore_index=True)[["run", "step", "r2"]]
fig, ax = plt.subplots(figsize=(6, 2.6))
for title, curve in curves.groupby("run", sort=False):
    ax.plot(curve["step"], curve["r2"], ".-", label=title)
ax.set(title="Who is ahead depends on where you look", xlabel="epoch", ylabel="R² on held-out patients", ylim=(-0.25, None))
ax.legend()
plt.show()

# %%
last = curves[curves["step"] == EPOCHS].set_index("run")["r2"]
best = curves.groupby("run")["r2"].max()
print(pd.DataFrame({"last epoch": last, "best epoch": best}).round(3).to_string())
print(f"ahead at the last epoch: {last.idxmax()}; ahead at any epoch: {best.idxmax()}")
lab.claim("R² lost by choosing run and weights at the last epoch", best.max() - last.max(), at_least=0.02)
lab.claim("R² that the fast run loses from its best epoch to its last", best["fast"] - last["fast"], at_least=0.05)

# %% [markdown]
# The fast network has what all patients have in common after a few epochs, then learns the noise of its 200 training
# rows: over-training. The slow one is still on its way up. Their last values compare **how long** they were trained. A
# summary metric logged at the end hides that; the curve shows it, and a checkpoint per step lets one take it.
#
# ## Exercise: which checkpoint?
# Storage is not free: the trainer has kept a checkpoint only every `KEPT` = 4 epochs. Of those that exist, which run and
# step do you deploy? Set `run_to_deploy` and `step_to_deploy`; `curves` has the columns run, step and r2.

# %% tags=["exercise"]
# A run's name and a number of epochs.
### BEGIN SOLUTION
kept = curves[curves["step"] % KEPT == 0]
winner = kept.loc[kept["r2"].idxmax()]
run_to_deploy, step_to_deploy = winner["run"], int(winner["step"])
### END SOLUTION

# %%
run_to_deploy, step_to_deploy = lab.check("best_checkpoint", run_to_deploy, step_to_deploy, curves, KEPT)

# %% [markdown]
# This choice, too, is the best of many: its R² promises a little too much, for the same reason as before.
#
# ## Lineage: from the champion back to its data
# Each training was recorded as an *execution*, with the export as input and the model as output. Nine of the models were
# also averaged into three blends, and one evaluation has read every model. One query gives what lies within two hops
# of the champion's model.

# %%
blends = {}
for number in range(3):
    members = [models[name] for name in frame.index[number:9:3]]
    with step(f"blend-{number}", members) as execution:
        content = json.dumps([member.uri for member in members]).encode()
        blends[number] = keep_model(execution, f"blend-wednesday-{number}.json", content)
with step("evaluate", [*models.values(), *blends.values()]) as execution:
    report = aiplatform.Artifact.create(schema_title="system.Metrics", display_name=f"{NAME}-report",
                                        metadata={"best_r2": champion["metric.r2"]})
    execution.assign_output_artifacts([report])


def lineage(artifact, **options):
    """The part of the lineage graph around an artifact: artifacts, executions, events."""
    request = {"artifact": artifact.resource_name, **options}
    return artifact.api_client.query_artifact_lineage_subgraph(request=request)


model = models[champion.name]
graph = lineage(model, max_hops=2)
artifacts = {item.name: item for item in graph.artifacts}
executions = {item.name: item for item in graph.executions}
made_by = next(event.execution for event in graph.events
               if event.artifact == model.resource_name and event.type_ == Event.Type.OUTPUT)
data = [artifacts[event.artifact] for event in graph.events
        if event.execution == made_by and event.type_ == Event.Type.INPUT]
print("the champion's model:", model.uri.rsplit("/", 1)[1])
print("made by:", executions[made_by].display_name, "in", executions[made_by].metadata["run"])
print("from:", *(f"{item.metadata['rows']:.0f} rows, sha256 {item.metadata['sha256'][:8]}…" for item in data))

# %% [markdown]
# ## Lineage: from the corrupt data to every model
# Tuesday's export was corrupt. Which models must be pulled back? The files are called `forest-tuesday-…`, after the day
# on which they were trained. The lineage graph around the export knows more, in fact too much: without a limit the
# query returns **everything that is connected**, along the events and against them. The evaluation has read every
# model, so every model is connected with every export.
#
# ## Exercise: downstream only
# Complete `touched`. It gets a graph and the name of an artifact, and returns the set of names of all **models** that were
# made from it, directly or through other artifacts. An event has `artifact`, `execution` and `type_`: `INPUT` when the
# execution has read the artifact, `OUTPUT` when it has written it. A model has the `schema_title` `system.Model`.

# %% tags=["exercise"]
def touched(graph, start):
    """Names of the models that were made from the artifact `start`."""
    ### BEGIN SOLUTION
    reached, edge = set(), {start}
    while edge:
        readers = {e.execution for e in graph.events if e.artifact in edge and e.type_ == Event.Type.INPUT}
        written = {e.artifact for e in graph.events if e.execution in readers and e.type_ == Event.Type.OUTPUT}
        reached, edge = reached | edge, written - reached - edge
    return {item.name for item in graph.artifacts if item.name in reached and item.schema_title == "system.Model"}
    ### END SOLUTION


# %%
touched = lab.check("touched", touched)

# %% tags=["nbval-check-output"]
corrupt = exports["tuesday"][1]
around = lineage(corrupt)
truth = {name for name, read in trained_on.items() if read == "tuesday"}
truth |= {blends[number].resource_name for number in blends
          if truth & {models[name].resource_name for name in frame.index[number:9:3]}}
files = {item.resource_name: item.uri.rsplit("/", 1)[1] for item in [*models.values(), *blends.values()]}
answers = {
    "file names with 'tuesday'": {name for name, file in files.items() if "tuesday" in file},
    "all models in the graph": {item.name for item in around.artifacts if item.schema_title == "system.Model"},
    "downstream of the export": touched(around, corrupt.resource_name),
}
found = pd.DataFrame({
    title: {"models": len(names), "right": len(names & truth), "precision": len(names & truth) / len(names),
            "recall": len(names & truth) / len(truth)}
    for title, names in answers.items()
}).T
print(f"models that have seen the corrupt export: {len(truth)} of {len(files)}")
print(found.to_string(float_format="{:.2f}".format))

# %%
worse = found[["precision", "recall"]].min(axis=1)
lab.claim("lineage downstream: the lower of precision and recall", worse["downstream of the export"], at_least=1)
lab.claim("file names: the lower of precision and recall", worse["file names with 'tuesday'"], at_most=0.8)
lab.claim("everything connected: precision", found["precision"]["all models in the graph"], at_most=0.8)

# %% [markdown]
# A name says what its author meant, and when. It does not say what was read: the runs with yesterday's copy are named
# after the wrong day, and the blends after the day of blending. The events were recorded by the code that read and wrote,
# at the moment it did. But the graph answers the question that is asked: *connected* pulls back every model of the
# team, *downstream* those that have seen the fault.
#
# ## On Google Cloud
# Everything above was Vertex AI code. With `TARGET="vertex"` the same cells log to your project: the experiment
# `experiment-tracking` has a page in the console with the table and the curves, and the models have their lineage graph.
#
# - **IAM**: `roles/aiplatform.user` for experiments, metadata and TensorBoard, `roles/storage.objectAdmin` on the bucket.
# - **Quota**: every call that writes counts against requests per minute and region. That is why a run logs its parameters
#   with one `log_params` and not one by one, and why `get_experiment_df` is told to leave out the curves: with them it asks
#   TensorBoard for each run.
# - **Cost**: what is kept in ML Metadata, in TensorBoard and in the bucket is billed by size and time until it is
#   deleted; a lab like this is far below `max_cost_usd` of its card. Runs themselves are not billed. A machine is: on the
#   service the trainings of this notebook run wherever its kernel runs.
# - **What differs here**: the published schemas are those that the SDK names, with the documented fields; a filter knows
#   fields of metadata, not fields within fields. The query of lineage was built from the API's documentation, not compared
#   with the service: for large graphs give `max_hops`, the service returns at most 1,000 artifacts.
# - **Autologging** (`aiplatform.autolog()`) logs settings and metrics of scikit-learn, Keras and others by itself. It needs
#   the package mlflow, which is not in this environment, and it does not know your split, your data or your commit.
# - `run.log_model(model, artifact_id)` keeps a scikit-learn, XGBoost or TensorFlow model as an artifact of the run and
#   `aiplatform.get_experiment_model(artifact_id)` brings it back. We have written file and artifact ourselves, to see both.
#
# Tear down: `start_afresh()` from the first cells deletes runs, curves, executions and artifacts, which take no labels
# in the SDK; then `lab.cleanup(delete=True)` deletes the experiment by its name, a TensorBoard by its label and the
# lab's files in the bucket. Without `delete` it lists them.

# %%
left_over = lab.cleanup()

# %% [markdown]
# ## Exam lens
# Questions about experiments ask for three things: *what must be logged so that a result can be repeated*, *which service
# keeps it* (Experiments: parameters and metrics of runs; TensorBoard: curves over steps, profiles; ML Metadata: artifacts,
# executions and lineage, written by Vertex AI Pipelines by itself), and *what a lineage graph can answer* that a naming
# scheme cannot.

# %%
lab.quiz()

# %% [markdown]
# **Take away.** A run comes back only if code, data, split, seed and library are logged beside the settings: nearly all of
# them is as good as none. The best of many runs is lucky, so promise the mean of its repeats, and take a checkpoint from
# the curve instead of the last value. Lineage that the code records says which models have seen a file; names only say
# what somebody meant.

# %%
lab.finish()
