# ---
# jupyter:
#   jupytext: {formats: "ipynb,py:percent"}
#   kernelspec: {name: labs-core, display_name: Labs (core), language: python}
# ---

# %% [markdown]
# # Version, promote and roll back models
#
# A courier service promises each customer the minutes to the door. A model makes the promise, and a job trains it anew
# every night. The app reads it from an endpoint, the planning of riders reads it from the registry. On Thursday evening
# the promises turn to nonsense: somebody has to bring the old model back, **now, with the app running**, and say on
# Friday what it was trained on.
#
# Three things decide how that evening goes, and they are decided long before it: which version "the model" means, what
# has to be true before a version is promoted, and whether the old version is still there when it is needed.
#
# **You will** register five nights of training as versions of one model, see what follows an alias and what does not,
# promote by an evaluation that is stored with the version, roll back an endpoint under load in two ways and count the
# requests that are lost, and find the training run of what is being served.

# %% tags=["parameters"]
TARGET = "local"     # "vertex": jobs, registry and endpoint are Google's
SEED = 20260601
STANDBY = True       # False: the old version is undeployed when the new one has come, and the effect of this lab is gone
RATE = 200           # requests a second while we roll back

# %%
from labkit import lesson

lab = lesson.open("model-registry-aliases", target=TARGET, seed=SEED)

import io
import logging
import sys
import time

import joblib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from google.cloud import aiplatform

sys.path.insert(0, str(lab.folder))  # steady.py lies beside the notebook

from steady import SteadyLoad

aiplatform.init(**lab.target.vertex)
logging.disable(logging.INFO)  # the SDK tells each of its steps
TRAINING_IMAGE = "us-docker.pkg.dev/vertex-ai/training/sklearn-cpu.1-6:latest"
SERVING_IMAGE = aiplatform.helpers.get_prebuilt_prediction_container_uri("sklearn", "1.6")

# What an earlier run has left: endpoints before the models that they serve.
mine = f'labels.lab="{lab.target.labels["lab"]}"'
for old in aiplatform.Endpoint.list(filter=mine):
    old.delete(force=True)
for kind in (aiplatform.Model, aiplatform.CustomTrainingJob):
    for old in kind.list(filter=mine):
        old.delete()

# %% [markdown]
# ## The data
# Two years of orders. The nights train on orders of the first year, everything is judged on the second. 500 of those
# orders are the **evaluation set** of every night; the others are the **live** orders, which come through the app.

# %%
orders = lab.data("courier-deliveries", seed=SEED).dropna()
orders["temperature_f"] = orders["temperature_c"] * 1.8 + 32  # what another weather service calls the same air
rng = np.random.default_rng(SEED)
past = orders[orders["ordered_at"] < "2025"]
evaluation_set = orders[orders["ordered_at"] >= "2025"].sample(500, random_state=rng)
live = orders[orders["ordered_at"] >= "2025"].drop(evaluation_set.index).sample(3000, random_state=rng)
INPUTS = ["distance_km", "weight_kg", "temperature_c"]  # what the app sends, in this order

by_degree = live.groupby(live["temperature_c"].round())["minutes"].agg(["mean", "size"]).query("size >= 20")
fig, ax = plt.subplots(figsize=(5.4, 2.6))
ax.plot(by_degree.index, by_degree["mean"], marker=".")
ax.set(title="Frost costs minutes, and not along a straight line", xlabel="temperature, °C",
       ylabel="minutes to the door, mean")
plt.show()

# %% [markdown]
# ## Predict first
# An endpoint was made from the version that had the alias `production`, with `endpoint.deploy(…)`. In the evening
# somebody moves `production` back to the version before, in the registry. Nothing else is done.

# %%
lab.predict(
    "alias_moved",
    "How many of the next 100 requests are answered by the version that has the alias now?",
    options=["all of them", "about half: the endpoint changes over bit by bit", "none"],
)

# %% [markdown]
# ## Three nights
# Each night a table is written to the bucket and a `CustomTrainingJob` trains on it. `model_id` makes the first one a
# new model, `parent_model` makes the others versions of it. The first is checked by people, and gets the alias
# `production`.
#
# On the third night somebody has left a filter from a test in the query: only orders of less than 25 minutes get into
# the table. The job succeeds, as jobs do.

# %%
MODEL_ID = "minutes-to-door"
columns_of = {}  # version -> what its training took from the tables
bucket = lab.target.storage().bucket(lab.target.bucket.removeprefix("gs://"))


def train(night, table, columns=INPUTS, degree=1):
    """Trains and registers the model of a night, and gives the version."""
    blob = bucket.blob(f"{lab.target.labels['lab']}/tables/night-{night}.csv")
    blob.upload_from_string(table.to_csv(index=False))
    job = aiplatform.CustomTrainingJob(
        display_name=f"minutes-night-{night}",
        script_path=str(lab.folder / "trainer" / "task.py"),
        container_uri=TRAINING_IMAGE,
        model_serving_container_image_uri=SERVING_IMAGE,
        labels=lab.target.labels,
    )
    register = {"model_id": MODEL_ID, "model_version_aliases": ["production"]} if night == 1 else {
        "parent_model": MODEL_ID
    }
    version = job.run(
        args=[f"--data=/gcs/{bucket.name}/{blob.name}", f"--columns={','.join(columns)}", f"--degree={degree}"],
        machine_type="n1-standard-4",
        base_output_dir=f"{lab.target.bucket}/{lab.target.labels['lab']}/night-{night}",
        model_display_name="minutes to the door",
        model_labels=lab.target.labels,
        model_version_description=f"night {night}",
        **register,
    )
    columns_of[version.version_id] = columns
    return version


def sample():
    return past.sample(1500, random_state=rng)


def file_of(model):
    """The model that lies in the version's artifacts."""
    name = model.uri.removeprefix(f"gs://{bucket.name}/")
    return joblib.load(io.BytesIO(bucket.blob(f"{name}/model.joblib").download_as_bytes()))


def live_error(model):
    """Mean absolute error in minutes on live orders, with the inputs as the app sends them."""
    return np.abs(file_of(model).predict(live[INPUTS].to_numpy()) - live["minutes"]).mean()


tables = {1: sample(), 2: sample(), 3: sample().query("minutes < 25")}
seen = []
for night, table in tables.items():
    train(night, table)
    model, production = aiplatform.Model(MODEL_ID), aiplatform.Model(MODEL_ID, version="production")
    seen.append({"night": night, "Model(MODEL_ID) is version": model.version_id, "its error": live_error(model),
                 "production is version": production.version_id, "error of production": live_error(production)})
seen = pd.DataFrame(seen).set_index("night")

# %% tags=["nbval-check-output"]
print(seen.round(1).to_string())

# %%
worse = seen["its error"].max() / seen["error of production"].max()
lab.claim("error of what has no version in its name over that of production, worst night", worse, at_least=1.3)

# %% [markdown]
# Nobody has promoted anything. A name without a version means the version with the alias `default`, and **each upload and
# each training takes `default` along**, unless it says `is_default_version=False`. So `aiplatform.Model(MODEL_ID)`, or a
# deployment by that name, follows whatever was trained last. `production` is an alias of our own: it stays until
# somebody moves it.
#
# ## Evaluations belong to the version
# A number in a notebook's output promotes nothing a week later. `ImportModelEvaluation` keeps metrics with the version
# they are of: the metrics by a schema of the service, and in `metadata` what the schema has no place for. We store how the
# version does **against the production of that day, on the same 500 orders**: the improvement is the mean of 500
# differences of absolute errors, and so it has a standard error.

# %%
from google.protobuf import struct_pb2

SCHEMA = "gs://google-cloud-aiplatform/schema/modelevaluation/regression_metrics_1.0.0.yaml"


def errors_of(model):
    inputs = evaluation_set[columns_of[model.version_id]].to_numpy()
    return np.abs(file_of(model).predict(inputs) - evaluation_set["minutes"])


def value(numbers):
    """A protobuf value of a dict."""
    holder = struct_pb2.Value()
    holder.struct_value.update(numbers)
    return holder


def evaluate(model, production):
    """Evaluates a version against production and stores the result with it."""
    errors = errors_of(model)
    gains = errors_of(production) - errors
    evaluation = aiplatform.gapic.ModelEvaluation(
        display_name="500 orders of the second year",
        metrics_schema_uri=SCHEMA,
        metrics=value({"meanAbsoluteError": errors.mean()}),
        metadata=value({"baseline": production.version_id, "improvement": gains.mean(),
                        "standard_error": gains.std(ddof=1) / np.sqrt(len(gains))}),
    )
    model.api_client.import_model_evaluation(parent=model.versioned_resource_name, model_evaluation=evaluation)


def stored(model):
    """The evaluation that is stored with a version, as a dict."""
    evaluation = model.list_model_evaluations()[0].gca_resource
    found = {**evaluation.metrics, **evaluation.metadata}
    return {name: found[name] for name in ("meanAbsoluteError", "baseline", "improvement", "standard_error")}


registry = aiplatform.Model(MODEL_ID).versioning_registry
for version in ("1", "2", "3"):
    evaluate(registry.get_model(version), registry.get_model("production"))
evaluations = {version: stored(registry.get_model(version)) for version in ("1", "2", "3")}
print(pd.DataFrame(evaluations).T.rename_axis("version").to_string(float_format="{:.3f}".format))

# %% [markdown]
# ## Exercise: when to promote
# Write the rule. `evaluation` is what `stored` gives; `production` is the id of the version that is in production *now*, as
# a text. Promote when the version has been compared with what is in production, and is better by more than the standard
# error of the comparison.

# %% tags=["exercise"]
def promote(evaluation, production):
    """Whether the version with this evaluation replaces the production version."""
    ### BEGIN SOLUTION
    if evaluation["baseline"] != production:
        return False
    return evaluation["improvement"] > evaluation["standard_error"]
    ### END SOLUTION


# %%
promote = lab.check("promote", promote)
for version in ("2", "3"):
    if promote(stored(registry.get_model(version)), registry.get_model("production").version_id):
        registry.add_version_aliases(["production"], version=version)
print("in production after three nights: version", registry.get_model("production").version_id)

# %% [markdown]
# ## What the standard error saves
# 300 times two nights that differ in nothing but the orders they have drawn: one is production, the other one wants to
# be. "Better" by the plain number is a coin toss. We know what 500 evaluation orders cannot know, the error on all the
# orders of the second year, and count the promotions after which the promises are **worse**.

# %%
second_year = orders[orders["ordered_at"] >= "2025"]


def design(rows):
    return np.column_stack([np.ones(len(rows)), rows[INPUTS].to_numpy()])


X_past, y_past = design(past), past["minutes"].to_numpy()
X_second, y_second = design(second_year), second_year["minutes"].to_numpy()


def night_error():
    """Absolute errors on all orders of the second year of a model that was trained on a night's draw."""
    drawn = rng.integers(0, len(y_past), 1500)
    weights = np.linalg.lstsq(X_past[drawn], y_past[drawn], rcond=None)[0]
    return np.abs(X_second @ weights - y_second)


pairs = []
for _ in range(300):
    gains = night_error() - night_error()
    drawn = rng.choice(len(gains), 500, replace=False)
    evaluation = {"baseline": "1", "improvement": gains[drawn].mean(),
                  "standard_error": gains[drawn].std(ddof=1) / np.sqrt(500)}
    pairs.append({"truth": gains.mean(), "plain number": evaluation["improvement"] > 0,
                  "standard error": promote(evaluation, "1")})
pairs = pd.DataFrame(pairs)
rules = pd.DataFrame({
    rule: {"promotions": pairs[rule].sum(), "of them for the worse": (pairs[rule] & (pairs["truth"] < 0)).sum()}
    for rule in ("plain number", "standard error")
}).T
rules["share for the worse"] = rules["of them for the worse"] / rules["promotions"]

# %% tags=["nbval-check-output"]
print(rules.rename_axis("rule").to_string(float_format="{:.2f}".format))

# %%
wrong = rules["of them for the worse"]
saved = 1 - wrong["standard error"] / wrong["plain number"]
lab.claim("wrong promotions that the standard error prevents, share", saved, at_least=0.4)

# %% [markdown]
# Each promotion is a risk of its own: a deployment, a cold cache, promises that jump. The rule pays for itself with the
# promotions that it does *not* do.
#
# ## A promotion, and who follows it
# On the fourth night somebody has a good idea: a parabola for the frost, and the temperature from a better weather
# service. The rule says yes.
#
# Meanwhile the planning of riders runs, as two jobs of 60 batches. Both get their model from the registry by the name
# `production`: one of them at its start, the other one before each batch. The promotion comes after 20 batches.

# %%
old = registry.get_model("production")
new = train(4, sample(), ["distance_km", "weight_kg", "temperature_f"], degree=2)
evaluate(new, old)
print({name: value if isinstance(value, str) else round(value, 3) for name, value in stored(new).items()})

at_start = registry.get_model("production")
batches = []
for number in range(60):
    if number == 20 and promote(stored(new), old.version_id):
        registry.add_version_aliases(["production"], version=new.version_id)
    each_time = registry.get_model("production")
    [truth] = [version.version_id for version in registry.list_versions() if "production" in version.version_aliases]
    batches.append([at_start.version_id, each_time.version_id, truth])
batches = pd.DataFrame(batches, columns=["resolved at the start", "resolved for each batch", "production"])
stale = batches.drop(columns="production").ne(batches["production"], axis=0).sum()

# %% tags=["nbval-check-output"]
print(stale.rename("batches of 60 with a model that is no longer production").to_string())

# %%
once = stale["resolved at the start"]
lab.claim("stale batches of the job that resolved the alias once", once, at_least=40, at_most=40)
lab.claim("stale batches of the job that resolves it each time", stale["resolved for each batch"], at_most=0)

# %% [markdown]
# An alias is a name that is looked up, not a channel that tells anybody. `aiplatform.Model(…)` looks it up once and holds
# a version from then on. The move itself is atomic: at no moment has `production` been missing or on two versions.
#
# The fifth night brings another retraining without an idea, which is evaluated and not promoted by anyone yet. This is
# the registry then.

# %% tags=["nbval-check-output"]
fifth = train(5, sample())
evaluate(fifth, registry.get_model("production"))
shelf = []
for version in sorted(registry.list_versions(), key=lambda version: int(version.version_id)):
    kept = stored(registry.get_model(version.version_id))
    shelf.append({"version": version.version_id, "": version.version_description,
                  "aliases": ", ".join(sorted(version.version_aliases)), "error": kept["meanAbsoluteError"],
                  "compared with": kept["baseline"], "improvement": kept["improvement"],
                  "standard error": kept["standard_error"]})
print(pd.DataFrame(shelf).set_index("version").to_string(float_format="{:.2f}".format))

# %% [markdown]
# ## Thursday evening
# The app's endpoint has the old version. The new one is deployed beside it and gets all the traffic; `STANDBY` says
# whether the old one stays, without traffic. (Not all at once but a tenth first would be better: that is the lab
# *canary-ab-rollout*.) The customers' orders come in, and the doors that they open tell the truth.

# %%
endpoint = aiplatform.Endpoint.create(display_name="minutes-to-door", labels=lab.target.labels)
rows = live[INPUTS].to_numpy().tolist()


def deploy(model):
    """Deploys a version with all the traffic; what was there before stays, without traffic."""
    model.deploy(endpoint, machine_type="n1-standard-2", traffic_percentage=100)


def deployed(version):
    """The id under which a version is deployed; None where it is not."""
    return next((found.id for found in endpoint.list_models() if found.model_version_id == version), None)


def served_error():
    """Mean absolute error in minutes of what the endpoint answers to 300 orders."""
    answers = endpoint.predict(instances=rows[:300]).predictions
    return np.abs(np.array(answers) - live["minutes"][:300]).mean()


deploy(old)
error_before = served_error()
deploy(new)
error_after = served_error()
if not STANDBY:
    endpoint.undeploy(deployed(old.version_id))
print(f"error on 300 live orders: {error_before:.1f} minutes before the promotion, {error_after:.1f} after it")
lab.claim("error in service after the promotion over that before it", error_after / error_before, at_least=3)

# %% [markdown]
# The evaluation was not wrong. It reads the table that the training reads, and there the model is better. The app sends
# other numbers in the same place. **No evaluation on the training's own tables sees that**, which is why a rollback has to
# be cheap.
#
# Somebody moves the alias back, in the registry.

# %%
registry.add_version_aliases(["production"], version=old.version_id)
answered = [endpoint.predict(instances=[row]).model_version_id for row in rows[:100]]
followed = answered.count(registry.get_model("production").version_id)
lab.revisit("alias_moved", "none" if followed == 0 else "all of them" if followed == 100 else
            "about half: the endpoint changes over bit by bit")
lab.claim("requests of 100 that are answered by the version with the alias production", followed, at_most=0)

# %% [markdown]
# An endpoint holds **versions, not aliases**: `deploy` looked `production` up once, as the first of the two jobs did.
# Moving the alias is still right, it tells the next deployment what to take. It does not roll back what is running.
#
# ## Exercise: what is it that is being served?
# Before anything is changed, note what is running. Set `run` to the resource name of the training that has made the
# version which answers the requests now. The endpoint knows which deployed model has the traffic, a deployed model knows
# its `model` and `model_version_id`, and a version knows its `gca_resource.training_pipeline`.

# %% tags=["exercise"]
### BEGIN SOLUTION
busy = max(endpoint.traffic_split, key=endpoint.traffic_split.get)
serving = next(found for found in endpoint.list_models() if found.id == busy)
run = registry.get_model(serving.model_version_id).gca_resource.training_pipeline
### END SOLUTION

# %%
run = lab.check("training_run", run, endpoint, registry)
training = aiplatform.CustomTrainingJob.get(run)
job = aiplatform.CustomJob.get(training.gca_resource.training_task_metadata["backingCustomJob"])
print(training.display_name, "was started with")
print(*job.job_spec.worker_pool_specs[0].python_package_spec.args, sep="\n")

# %% [markdown]
# There it is: the training took `temperature_f`, degrees Fahrenheit, and the app sends degrees Celsius. This is for Friday.
#
# ## Exercise: roll back
# Write what is run on such an evening. It may be called for any two versions that are deployed, in any order. No request
# may be lost, and what has failed stays where it is, so that it can be looked at.

# %% tags=["exercise"]
def roll_back(endpoint, version):
    """Gives all the traffic of an endpoint to the deployed model of this version, an id as a text."""
    ### BEGIN SOLUTION
    endpoint.update(traffic_split={
        found.id: 100 if found.model_version_id == version else 0 for found in endpoint.list_models()
    })
    ### END SOLUTION


# %%
roll_back = lab.check("roll_back", roll_back)

# %% [markdown]
# ## Two rollbacks under load
# The app sends its requests on, by the clock, and tries none of them twice. First the traffic is switched to the old
# version. Then we go back to the new one, take the old one away, and roll back as one does without a standby: undeploy
# what has failed, deploy what the alias `production` names.

# %%
def redeploy():
    """The rollback where nothing stands by."""
    endpoint.undeploy(deployed(new.version_id))
    deploy(registry.get_model("production"))


def under_load(action):
    """What comes of the requests of the app while something is done to the endpoint."""
    with SteadyLoad(endpoint, rows, RATE) as load:
        time.sleep(1)
        load.mark("begins")
        action()
        load.mark("ends")
        time.sleep(1)
    return load


switched = under_load(lambda: roll_back(endpoint, old.version_id) if STANDBY else redeploy())
if STANDBY:
    roll_back(endpoint, new.version_id)
    endpoint.undeploy(deployed(old.version_id))
    redeployed = under_load(redeploy)
else:
    redeployed = switched


def summary(load):
    requests = load.requests
    lost = requests["version"].isna()
    return {"requests": len(requests), "lost": lost.sum(), "old": (requests["version"] == old.version_id).sum(),
            "new": (requests["version"] == new.version_id).sum(),
            "seconds without an answer": round(np.ptp(requests.loc[lost, "at"]) + 1 / RATE, 2) if lost.any() else 0}


summaries = pd.DataFrame({"traffic switched": summary(switched), "undeployed, then deployed": summary(redeployed)}).T
print(summaries.to_string(float_format="{:g}".format))

fig, axes = plt.subplots(2, 1, figsize=(6.5, 3), sharex=True)
for ax, (name, load) in zip(axes, [("traffic switched", switched), ("undeployed, then deployed", redeployed)]):
    requests = load.requests
    for version, colour, place in ((old.version_id, "C0", 0), (new.version_id, "C1", 1), (None, "C3", 2)):
        sent = requests[requests["version"].isna() if version is None else requests["version"] == version]["at"]
        ax.plot(sent - load.marks["begins"], np.full(len(sent), place), "|", color=colour, ms=9)
    ax.set(yticks=[0, 1, 2], yticklabels=["old version", "new version", "lost"], ylim=(-0.6, 2.6), title=name)
axes[1].set_xlabel("seconds since the rollback began")
plt.show()

# %%
lost = summaries["lost"]
lab.claim("requests lost by the rollback that keeps the old version at hand", lost["traffic switched"], at_most=0)
lab.claim("requests lost by undeploying and deploying", lost["undeployed, then deployed"], at_least=1)
afterwards = switched.requests[switched.requests["at"] > switched.marks["ends"]]["version"]
lab.claim("requests after the switch that the failed version answers", (afterwards == new.version_id).sum(), at_most=0)

# %% [markdown]
# The switch is one field of the endpoint, and each request sees it before or after. Without a standby there is a moment
# with nothing to answer, as long as a deployment takes. Here that is the time to read a small file. On Vertex AI a machine
# is found and started, an image pulled and a health check waited for: minutes. The requests that are lost are the rate
# times that time.

# %% tags=["nbval-check-output"]
for minutes in (1, 5, 15):
    print(f"{minutes:3} min without an answer at {RATE} requests/s: {RATE * 60 * minutes:>7,} requests lost")

# %% [markdown]
# The price of the standby is a second machine for as long as one wants to be able to go back. Deploying the old version
# *before* the failed one is undeployed loses nothing either, but customers get nonsense for those minutes.
#
# ## On Google Cloud
# With `TARGET = "vertex"` the same cells train, register, deploy and roll back in your project.
#
# - **Roles.** *Vertex AI User* for you; the jobs' service agent reads and writes the bucket.
# - **Quota.** Custom training CPUs for one `n1-standard-4` at a time, online prediction CPUs for two `n1-standard-2`.
# - **Billed.** Five short jobs, and two deployed machines **from the deployment on until they are undeployed, also when
#   nobody asks them anything**. Versions, aliases and evaluations cost nothing; the artifacts are files in the bucket. The
#   lab's card has the upper bound.
# - **What differs.** The local registry is a reading of the documentation: messages, and what an upload does to an alias
#   that another version has, were not compared with the service. A job takes seconds here and minutes there. The
#   deployment takes minutes, so the last experiment loses tens of thousands of requests; lower `RATE` first. The service
#   keeps a copy of a version's artifacts, here they stay in the bucket.
#
# What was called AI Hub, a catalogue of models and notebooks for a company, has been retired; its place is taken by the
# Model Registry for models and Artifact Registry for images and packages. The service names its products *Agent
# Platform* since 2026: Agent Platform Model Registry is the same.
#
# Afterwards: undeploy, delete the endpoint, delete the model with all its versions, delete the jobs and the files. This
# lists what the lab has created; `lab.cleanup(delete=True)` deletes it.

# %%
report = lab.cleanup()

# %% [markdown]
# ## Exam lens

# %%
lab.quiz()

# %% [markdown]
# **Take away.** A version is what was trained, an alias is what people agree on: `default` goes along with each upload, so
# name your own alias in everything that counts, and move it by an evaluation that is stored with the version and beats
# production by more than its standard error. Endpoints and running jobs hold the version that they looked up once; moving
# the alias does not roll them back. Keep the old version deployed and switch the traffic: that rollback loses nothing.

# %%
lab.finish()
