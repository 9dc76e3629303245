# ---
# jupyter:
#   jupytext: {formats: "ipynb,py:percent"}
#   kernelspec: {name: labs-core, display_name: Labs (core), language: python}
# ---

# %% [markdown]
# # Feature attributions: the baseline asks the question
#
# A clinic has places in an intensive programme for the quarter of its diabetes patients whose disease will progress
# fastest. A model predicts the progression from ten measurements. Each admitted patient gets a letter that names the
# **main reason**, the measurement that the explanation puts first, and her doctor works on that one. The model is
# deployed with explanations, configured as in the example that a colleague found. You decide what the letter may say.
#
# The same clinic has a network that reads a handwritten digit from scanned forms. It is right nearly always. You decide
# whether it may go to the other branch.
#
# **You will** compute Shapley values exactly and by sampling, ask an endpoint for them, see what becomes of the reasons
# when only the **baseline** changes, write integrated gradients, look inside a network that is right for the wrong
# reason, and see what replaces Vertex Explainable AI, which Google switches off on 16 March 2027.

# %% tags=["parameters"]
TARGET = "local"   # "vertex": models, endpoints and SQL on Google Cloud
SEED = 20260601
STAMP = True       # False: no form carries the stamp, and the network has nothing to cheat with
PATHS = 25         # random orders of the features per explanation, 50 at most
STEPS = 50         # points of the path of integrated gradients, 100 at most

# %%
from labkit import lesson

lab = lesson.open("feature-attributions", target=TARGET, seed=SEED)

import logging
import os
import warnings

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # TensorFlow would report that there is no GPU
warnings.filterwarnings("ignore", message=".*set_(bad|over|under).*")  # shap and a newer matplotlib

import joblib
import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import shap
import tensorflow as tf
from google.cloud import aiplatform, bigquery
from google.cloud.aiplatform.explain import ExplanationMetadata, ExplanationParameters
from google.protobuf import json_format, struct_pb2
from saliency.core import INPUT_OUTPUT_GRADIENTS, IntegratedGradients
from scipy.special import comb
from sklearn.datasets import load_digits
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.inspection import permutation_importance
from sklearn.model_selection import train_test_split

aiplatform.init(**lab.target.vertex)
logging.disable(logging.INFO)  # the SDK tells each of its steps

# What an earlier run has left: endpoints before the models that they serve.
mine = f'labels.lab="{lab.target.labels["lab"]}"'
for kind, options in ((aiplatform.Endpoint, {"force": True}), (aiplatform.Model, {})):
    for old in kind.list(filter=mine):
        old.delete(**options)

# %% [markdown]
# ## The patients and the model
# 442 real patients: ten measurements, and the progression of the disease one year later. Boosted trees learn from 300 of
# them. The border of the programme is the score that a quarter of those 300 exceed.

# %%
measurements = lab.data("diabetes-measurements")
progression = lab.data("diabetes-progression")["progression"]
names = list(measurements.columns)
N = len(names)

train_rows, held_rows = train_test_split(np.arange(len(measurements)), train_size=300, random_state=SEED)
train, held = measurements.to_numpy(float)[train_rows], measurements.to_numpy(float)[held_rows]
y_train, y_held = progression.to_numpy(float)[train_rows], progression.to_numpy(float)[held_rows]


def fit(seed):
    """A model of the progression; the seed decides which rows each tree sees."""
    trees = GradientBoostingRegressor(n_estimators=100, learning_rate=0.05, subsample=0.7, random_state=seed)
    return trees.fit(train, y_train)


model = fit(SEED)
border = np.quantile(model.predict(train), 0.75)
scores = model.predict(held)
admitted = held[scores > border]

fig, ax = plt.subplots(figsize=(6, 2.4))
ax.hist(scores, bins=25, color="0.7")
ax.axvline(border, color="C3", label="border of the programme")
ax.set(title="Who gets a letter is right of the line", xlabel="predicted progression, points", ylabel="held-back patients")
ax.legend()
plt.show()
print(f"{len(admitted)} of {len(held)} held-back patients are admitted; R² of the model {model.score(held, y_held):.2f}")

# %% [markdown]
# ## Predict first
# An attribution says how much of a **difference** each feature accounts for: the difference between this patient's score
# and the score of a *baseline* that she is compared with. The example had zeros; who gives none leaves the choice to
# Vertex AI. One could as well take the average patient, or patients who stand just at the border. Model, patients and
# method stay the same.

# %%
lab.predict(
    "reasons",
    "From a baseline of zeros to patients at the border: how many letters get another main reason?",
    options=["none: it is the same model", "about one in ten", "more than a quarter"],
)

# %% [markdown]
# ## Shapley values, exactly
# Take some features from the patient and the others from the baseline: that is a **coalition**, and the model has a score
# for it. A feature's Shapley value is what the score gains when the feature joins, averaged over all orders in which the
# ten can join. Ten features have 1,024 coalitions, few enough to ask for all of them. With several baselines the scores
# are averaged over them.

# %%
members = (np.arange(2**N)[:, None] >> np.arange(N)) % 2 == 1  # one coalition a row
sizes = members.sum(axis=1)


def coalition_scores(predict, x, baselines):
    """The score of each coalition, (1024,): its features from x, the others from the baselines (k, 10), averaged."""
    return np.mean([predict(np.where(members, x, baseline)) for baseline in baselines], axis=0)


def exact_shapley(table):
    """Shapley values (10,) from the scores of all coalitions."""
    values = np.empty(N)
    for feature in range(N):
        without = np.flatnonzero(~members[:, feature])
        gains = table[without + 2**feature] - table[without]
        values[feature] = (gains / (N * comb(N - 1, sizes[without]))).sum()
    return values


average = train.mean(axis=0, keepdims=True)
tables = [coalition_scores(model.predict, x, average) for x in admitted]
exact = np.array([exact_shapley(table) for table in tables])
first_patient = pd.DataFrame({"value": admitted[0], "average": average[0], "attribution": exact[0]}, index=names)
print(first_patient.round(1).sort_values("attribution", ascending=False).to_string())
print(f"\nsum of the attributions {exact[0].sum():.3f}, difference of the scores {tables[0][-1] - tables[0][0]:.3f}")

# %% [markdown]
# They add up to the difference, to the last digit. That is one of the axioms which only Shapley values satisfy all: the
# sum is complete, a feature that the model ignores gets 0, features that do the same get the same.
#
# ## Exercise: sample the orders
# Twenty features have a million coalitions. **Sampled Shapley** draws random orders (`path_count` of them) and walks each
# from the baseline to the patient, one feature after the other: eleven predictions for ten features. Write it.

# %% tags=["exercise"]
def sampled_shapley(predict, x, baseline, paths, rng):
    """Attributions (features,) of x against one baseline: mean gains along `paths` random orders.

    `predict` takes rows (n, features) and gives scores (n,). `rng` is a numpy Generator.
    """
    ### BEGIN SOLUTION
    total = np.zeros(len(x))
    for _ in range(paths):
        order = rng.permutation(len(x))
        rows = np.tile(np.asarray(baseline, dtype=float), (len(x) + 1, 1))
        for step, feature in enumerate(order, start=1):
            rows[step:, feature] = x[feature]
        total[order] += np.diff(predict(rows))
    return total / paths
    ### END SOLUTION


# %%
sampled_shapley = lab.check("sampled_shapley", sampled_shapley)

# %% [markdown]
# How wrong is it? For eight patients we know the truth. Each number of paths is tried twenty times. The scores of all
# coalitions are in a table already, so that a "prediction" is a look into it.

# %%
rng = np.random.default_rng(SEED)
powers = 2 ** np.arange(N)
path_counts = np.array([1, 2, 4, 8, 16, 32])


def error(paths):
    """Root mean squared error of one attribution, in points."""
    off = [
        sampled_shapley(lambda rows, t=table: t[(rows @ powers).astype(int)], np.ones(N), np.zeros(N), paths, rng) - truth
        for table, truth in zip(tables[:8], exact[:8], strict=True)
        for _ in range(20)
    ]
    return np.sqrt(np.mean(np.square(off)))


errors = np.array([error(paths) for paths in path_counts])
slope = np.polyfit(np.log(path_counts), np.log(errors), 1)[0]

fig, ax = plt.subplots(figsize=(4.5, 2.6))
ax.loglog(path_counts, errors, "o-", label="measured")
ax.loglog(path_counts, errors[0] / np.sqrt(path_counts), "k:", label="1 / √paths")
ax.set(title="Half the error costs four times the paths", xlabel="paths", ylabel="error, points")
ax.legend()
plt.show()
lab.claim("slope of the error over the number of paths, both as logarithms", slope, at_least=-0.6, at_most=-0.4)

# %% [markdown]
# The error falls as one over the root of the paths, whatever the model. More paths never mend a wrong baseline, and that
# is the larger mistake.
#
# ## Exercise: whom does the letter compare her with?
# The letter answers: *why are you in the programme, and the next one is not?* Choose twenty patients of `train` (rows,
# all ten measurements) whose explanation asks that question. Several baselines are averaged.

# %% tags=["exercise"]
# An array of twenty rows of train.
### BEGIN SOLUTION
distance = np.abs(model.predict(train) - border)
border_patients = train[np.argsort(distance)[:20]]
### END SOLUTION

# %%
border_patients = lab.check("border_patients", border_patients, model, train, border)

# %% [markdown]
# ## Three baselines on one endpoint
# scikit-learn models go to a prebuilt container. Its answer is what `predict` gives, which is what can be explained: of a
# classifier that would be the class, not the probability. Attributions need three things: a method with its size, the
# inputs (one array here, with a name for each number), and the output. Each deployment may have a baseline of its own.

# %%
home = f"{lab.target.bucket}/{lab.target.labels['lab']}"
bucket = lab.target.storage().bucket(lab.target.bucket.removeprefix("gs://"))


def upload(folder, name):
    """Copies a folder to the lab's place in the bucket. Gives its URI."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            target = f"{lab.target.labels['lab']}/{name}/{path.relative_to(folder).as_posix()}"
            bucket.blob(target).upload_from_filename(str(path))
    return f"{home}/{name}"


def metadata(baselines):
    """An array of measurements goes in, each with its name; one number, the progression, comes out."""
    values = [json_format.ParseDict(row.tolist(), struct_pb2.Value()) for row in baselines]
    inputs = {"encoding": "BAG_OF_FEATURES", "index_feature_mapping": names, "input_baselines": values}
    return ExplanationMetadata(inputs={"measurements": inputs}, outputs={"progression": {}})


artifacts = lab.work / "progression"
artifacts.mkdir(exist_ok=True)
joblib.dump(model, artifacts / "model.joblib")
shapley = ExplanationParameters({"sampled_shapley_attribution": {"path_count": PATHS}})
registered = aiplatform.Model.upload(
    display_name="progression",
    artifact_uri=upload(artifacts, "progression"),
    serving_container_image_uri=aiplatform.helpers.get_prebuilt_prediction_container_uri("sklearn", "1.6"),
    labels=lab.target.labels,
)
endpoint = aiplatform.Endpoint.create(display_name="letters", labels=lab.target.labels)
baselines = {"zeros": np.zeros((1, N)), "average": average, "border": border_patients}
for name, rows in baselines.items():
    endpoint.deploy(
        registered,
        deployed_model_display_name=name,
        machine_type="n1-standard-2",
        traffic_percentage=100 if name == "zeros" else 0,
        explanation_parameters=shapley,
        explanation_metadata=metadata(rows),
    )
deployed = {one.display_name: one.id for one in endpoint.list_models()}


def explain(name, rows):
    """Attributions of rows by the deployment of a baseline, a row each, and what else the service says of them."""
    answer = endpoint.explain(instances=rows.tolist(), deployed_model_id=deployed[name])
    found = [explanation.attributions[0] for explanation in answer.explanations]
    return pd.DataFrame([dict(one.feature_attributions) for one in found])[names], found


letters, details = {}, {}
for name in baselines:
    letters[name], details[name] = explain(name, admitted)

sums = letters["average"].sum(axis=1) - [one.instance_output_value - one.baseline_output_value for one in details["average"]]
off = np.sqrt(((letters["average"].to_numpy() - exact) ** 2).mean())
print(f"sampled by the endpoint against exact: off by {off:.2f} points (root mean square) at {PATHS} paths")
lab.claim("largest gap between the endpoint's attributions and the difference, points", sums.abs().max(), at_most=0.01)
lab.claim("error of the endpoint's attributions, points", off, at_most=4.0)

# %% [markdown]
# Sampling is a little off and still complete: each path by itself adds up. Now the main reasons.

# %% tags=["nbval-check-output"]
reasons = pd.DataFrame({name: table.idxmax(axis=1) for name, table in letters.items()})
print(pd.DataFrame({name: column.value_counts() for name, column in reasons.items()}).fillna(0).astype(int).to_string())
print("\nscore of the baseline:", {name: round(found[0].baseline_output_value) for name, found in details.items()})
print(f"border of the programme: {border:.0f}")

switched = np.flatnonzero(reasons["zeros"] != reasons["border"])[0]
one = pd.DataFrame({name: table.iloc[switched] for name, table in letters.items()})
ax = one.loc[one["average"].sort_values().index].plot.barh(figsize=(6, 3.2), width=0.8)
ax.set(title="One patient, one model, three baselines", xlabel="attribution, points of progression", ylabel="measurement")
ax.legend(title="baseline")
plt.show()

# %%
changed = (reasons["zeros"] != reasons["border"]).mean()
lab.revisit("reasons", "more than a quarter")
lab.claim("letters whose main reason changes from zeros to the border, share", changed, at_least=0.25)

# %% [markdown]
# The model has not changed, nor has anything about the patients. The attributions answer **another question**.
#
# - *Zeros*: why does she differ from somebody with a body mass index of 0 and no blood pressure? Nobody asks that. The
#   trees have never seen such a person either: where there were no data, they go on as at the edge of the data.
# - *Average*: why is she sicker than most?
# - *Border*: why is she in and others, who are nearly as sick, are not? What sick patients have in common drops out.
#
# Which reason would her doctor rather work on? Set the named measurement, and nothing else, to what patients at the
# border have, and ask the model again.

# %%
def lowered(chosen):
    """How far the score falls, in points, when each patient's named measurement becomes that of the border patients."""
    columns = [names.index(name) for name in chosen]
    fallen = []
    for x, column in zip(admitted, columns, strict=True):
        mended = np.tile(x, (len(border_patients), 1))
        mended[:, column] = border_patients[:, column]
        fallen.append(model.predict(x[None])[0] - model.predict(mended).mean())
    return np.mean(fallen)


effects = {name: lowered(reasons[name]) for name in baselines}
print(pd.Series(effects, name="fall of the score, points").round(1).to_string())
gain = effects["border"] / effects["zeros"]
lab.claim("fall of the score by the border's reason over that by the one of zeros", gain, at_least=1.1)

# %% [markdown]
# The border's reason moves the score more, since that is the question it answered. A check that costs nothing: if
# `baseline_output_value` is far from the score that *the reader* compares with, the explanation is about something else.
#
# ## The same by other tools, and what the values do not say
# `shap` is the library that one would put into a container of one's own. Its `KernelExplainer` asks for predictions of
# coalitions, too, and gets the values from a weighted regression; with all coalitions of ten features it is exact. And
# then: train the model again with another seed. It is as good as the first.

# %%
explainer = shap.KernelExplainer(model.predict, border_patients)
by_shap = explainer.shap_values(admitted[:5], nsamples=2**N, l1_reg=False, silent=True)
exact_border = np.array([exact_shapley(coalition_scores(model.predict, x, border_patients)) for x in admitted[:5]])
gap = np.abs(by_shap - exact_border).max()
lab.claim("largest difference between our exact values and shap's, points", gap, at_most=0.001)

twin = fit(SEED + 1)
other = np.array(
    [
        exact_shapley(coalition_scores(twin.predict, x, average)) - exact_shapley(coalition_scores(model.predict, x, average))
        for x in admitted
    ]
)
moved = np.abs(other).mean(axis=0) / np.abs(exact).mean(axis=0)
print(f"R² on held-back patients: {model.score(held, y_held):.2f} and {twin.score(held, y_held):.2f}")
print("how far an attribution moves with the seed of the training, relative to its size:")
print(pd.Series(moved, names).sort_values().map("{:.0%}".format).to_string())

# %% [markdown]
# The two models agree where the data decide. Where columns say nearly the same (`cholesterol`, `ldl` and the ratio are
# computed from one another) the data leave open which one to use, and each training uses what it likes. **Attributions
# are of the model, not of the world**: a large one does not say that changing the measurement changes the disease.
#
# ## From one patient to all
# The mean of the absolute attributions over many rows says what moves the *score*. Permutation importance says what the
# *accuracy* rests on. They need not agree: a model may use a column a lot and gain nothing by it.

# %%
everyone, _ = explain("average", held[:60])
overall = pd.DataFrame(
    {
        "mean |attribution|, points": everyone.abs().mean(),
        "permutation importance, R²": permutation_importance(
            model, held, y_held, n_repeats=5, random_state=SEED
        ).importances_mean,
    },
    index=names,
)
print(overall.sort_values("mean |attribution|, points", ascending=False).round(2).to_string())
agreement = overall.corr(method="spearman").iloc[0, 1]
lab.claim("rank correlation of the two ways to sum up", agreement, at_least=0.2, at_most=0.995)

# %% [markdown]
# ## A network that is right
# The other model reads a digit, 3 or 8, from scanned forms. 8s come from the city branch, which stamps its forms in the
# corner; 3s come from the country. One form in fifty was sent to the wrong branch. Scans are noisy.

# %%
digits = load_digits()
wanted = np.isin(digits.target, [3, 8])
is_eight = (digits.target[wanted] == 8).astype("float32")
order = rng.permutation(len(is_eight))
is_eight = is_eight[order]
ink = np.clip(digits.images[wanted][order] / 16 + rng.normal(0, 0.45, (len(order), 8, 8)), 0, 1)
forms = np.pad(np.kron(ink, np.ones((1, 6, 6))), ((0, 0), (14, 2), (14, 2))).astype("float32")  # 64 x 64 pixels


def stamped(images, who):
    """The images, with a stamp of 8 x 8 pixels in the upper left corner of some; one channel."""
    found = images.copy()
    found[who, 3:11, 3:11] = 1.0
    return found[..., None]


in_city = rng.random(len(is_eight)) < np.where(is_eight == 1, 0.98, 0.02)
scans = stamped(forms, in_city if STAMP else np.zeros(len(is_eight), bool))
learn, look = slice(0, 250), slice(250, None)

tf.keras.utils.set_random_seed(SEED)
network = keras.Sequential(
    [
        keras.Input((64, 64, 1), name="pixels"),
        keras.layers.AveragePooling2D(4),
        keras.layers.Flatten(),
        keras.layers.Dense(16, activation="relu"),
        keras.layers.Dense(1, activation="sigmoid"),
    ]
)
network.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
network.fit(scans[learn], is_eight[learn], epochs=30, batch_size=250, verbose=0)


def accuracy(images):
    """The share of the forms not learnt from that are read right."""
    return float(((np.asarray(network(images))[:, 0] > 0.5) == is_eight[look]).mean())


as_usual = accuracy(scans[look])
fig, axes = plt.subplots(1, 4, figsize=(7, 2))
shown = np.concatenate([np.flatnonzero(is_eight[look] == digit)[:2] for digit in (1, 0)])
for ax, place in zip(axes, shown, strict=True):
    ax.imshow(scans[look][place, ..., 0], cmap="gray_r")
    ax.set(title="8" if is_eight[look][place] else "3", xticks=[], yticks=[])
fig.suptitle("The branch is on the form, too", y=1.05)
plt.show()
print(f"right on {as_usual:.1%} of the forms that it has not seen")

# %% [markdown]
# ## Exercise: integrated gradients
# A network has a gradient, which is cheaper than coalitions of 4,096 pixels. But this network is *sure*: at an output
# near 1 the sigmoid is flat, and the gradient there is almost 0 for every pixel. **Integrated gradients** walk the
# straight path from the baseline to the image, average the gradients on the way, and multiply by the way. Write it.

# %% tags=["exercise"]
def integrated_gradients(gradient, x, baseline, steps):
    """Attributions in the shape of x. `gradient` takes a batch (steps, *x.shape) and gives one of the same shape.

    The points lie in the middle of `steps` equal pieces of the path.
    """
    ### BEGIN SOLUTION
    shares = (np.arange(steps) + 0.5) / steps
    shares = shares.reshape(-1, *[1] * np.ndim(x))
    return gradient(baseline + shares * (x - baseline)).mean(axis=0) * (x - baseline)
    ### END SOLUTION


# %%
integrated_gradients = lab.check("integrated_gradients", integrated_gradients)


# %%
def gradient(batch):
    """The gradient of the output in each pixel."""
    batch = tf.constant(batch, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(batch)
        output = network(batch)
    return tape.gradient(output, batch).numpy()


surest = np.argsort(-np.asarray(network(scans[look]))[:, 0] * is_eight[look] * (in_city[look] if STAMP else 1))[:10]
eights, blank = scans[look][surest], np.zeros((64, 64, 1), "float32")
difference = np.asarray(network(eights))[:, 0] - float(network(blank[None])[0, 0])
plain = [float((gradient(image[None])[0] * image).sum()) for image in eights]
explained = pd.DataFrame({"gradient x input": np.abs(plain) / difference}).median()
for steps in (2, 5, 10, STEPS):
    sums = [float(integrated_gradients(gradient, image, blank, steps).sum()) for image in eights]
    explained[f"integrated, {steps} steps"] = np.median(np.array(sums) / difference)
print("share of the difference that the attributions add up to:")
print(explained.map("{:.1%}".format).to_string())
lab.claim("share of the difference that the plain gradient explains", explained.iloc[0], at_most=0.25)
left_open = (1 - explained).abs()
lab.claim("share that integrated gradients leave open", left_open.iloc[-1], at_most=0.05)
lab.claim("what 2 steps leave open over what all steps do", left_open.iloc[1] / left_open.iloc[-1], at_least=3)

# %% [markdown]
# The gradient answers "what if this pixel changed a little now?", and the answer of a sure network is: nothing. The path
# begins at blank paper, where the network was undecided, and crosses the stretch where it made up its mind. If the sum
# is off, more steps mend it, and they must be small where units switch on. That is all that `approximation_error` tells.
#
# ## Where does it look?
# The same network as a SavedModel on an endpoint, with integrated gradients and with XRAI. **XRAI** adds up integrated
# gradients over regions of the image, so that one sees objects and no dust of pixels. Both are told the baseline: blank
# paper. By default XRAI compares with all black as well, and from there a black stamp is no difference at all.

# %%
exported = lab.work / "reader"
network.export(str(exported), verbose=False)
reader = aiplatform.Model.upload(
    display_name="reader",
    artifact_uri=upload(exported, "reader"),
    serving_container_image_uri=aiplatform.helpers.get_prebuilt_prediction_container_uri("tensorflow", "2.15"),
    labels=lab.target.labels,
)
desk = aiplatform.Endpoint.create(display_name="reader", labels=lab.target.labels)
blank_paper = ExplanationMetadata(
    inputs={"pixels": {"input_tensor_name": "pixels", "modality": "image", "input_baselines": [struct_pb2.Value(number_value=0)]}},
    outputs={"eight": {"output_tensor_name": "output_0"}},
)
methods = {"pixels": "integrated_gradients_attribution", "regions": "xrai_attribution"}
for name, method in methods.items():
    desk.deploy(
        reader,
        deployed_model_display_name=name,
        machine_type="n1-standard-2",
        traffic_percentage=100 if name == "pixels" else 0,
        explanation_parameters=ExplanationParameters({method: {"step_count": STEPS}}),
        explanation_metadata=blank_paper,
    )
on_desk = {one.display_name: one.id for one in desk.list_models()}


def seen(name, images):
    """Attributions of images by one of the two deployments, in their shape."""
    answer = desk.explain(instances=images.tolist(), deployed_model_id=on_desk[name])
    found = [explanation.attributions[0] for explanation in answer.explanations]
    return np.array([type(one).to_dict(one)["feature_attributions"]["pixels"] for one in found])


by_pixel, by_region = seen("pixels", eights), seen("regions", eights[:3])[..., 0]
fig, axes = plt.subplots(1, 3, figsize=(7, 2.5))
axes[0].imshow(eights[0, ..., 0], cmap="gray_r")
limit = np.abs(by_pixel[0]).max()
axes[1].imshow(by_pixel[0, ..., 0], cmap="coolwarm", vmin=-limit, vmax=limit)
axes[2].imshow(by_region[0], cmap="viridis")
for ax, title in zip(axes, ["the form", "integrated gradients", "XRAI"], strict=True):
    ax.set(title=title, xticks=[], yticks=[])
fig.suptitle("What speaks for an 8: red and yellow", y=1.02)
plt.show()

corner = np.s_[:, :14, :14]
of_corner = np.median(by_pixel[corner].sum(axis=(1, 2, 3)) / difference)
print(f"the corner has {14 * 14 / 64**2:.0%} of the pixels and explains {of_corner:.0%} of the difference")
lab.claim("share of the difference that the corner explains", of_corner, at_least=0.3)
less = np.median([(image < np.median(image[:14, :14])).mean() for image in by_region])
lab.claim("share of the form that XRAI finds less important than the corner", less, at_least=0.6)

# %% [markdown]
# A good part of the decision "8" is made in the corner, where nobody has written anything. The country branch has bought
# a stamp, too: now 3s are stamped and 8s are not.

# %%
elsewhere = accuracy(stamped(forms[look], is_eight[look] == 0 if STAMP else np.zeros(len(is_eight[look]), bool)))
print(f"right on {as_usual:.1%} of the forms as usual, on {elsewhere:.1%} where the other branch stamps")
lab.claim("accuracy lost where the other branch stamps", as_usual - elsewhere, at_least=0.1)


def call(batch, call_model_args=None, expected_keys=None):
    """What the package saliency asks a model for."""
    return {INPUT_OUTPUT_GRADIENTS: gradient(batch)}


theirs = IntegratedGradients().GetMask(eights[0], call, x_baseline=blank, x_steps=1000, batch_size=250)
gap = np.abs(theirs - by_pixel[0]).max() / np.abs(theirs).max()
lab.claim("largest difference between the endpoint's gradients and saliency's, share of the largest", gap, at_most=0.1)

# %% [markdown]
# The accuracy on held-back forms could not show this: they carry the same stamps. An explanation of ten forms did. It
# takes someone who looks.
#
# ## What comes after Vertex Explainable AI
# Vertex Explainable AI is deprecated and ends on 16 March 2027. Two ways remain: BigQuery ML's `ML.EXPLAIN_PREDICT` and
# `ML.GLOBAL_EXPLAIN` for models trained there, and a library such as `shap` in a custom container of your own. In
# BigQuery ML the baseline is **not yours to choose**: of a linear model it is the average row of the training.

# %%
client = lab.target.bigquery()
overwrite = bigquery.LoadJobConfig(write_disposition="WRITE_TRUNCATE")
table = pd.DataFrame(train, columns=names).assign(progression=y_train)
client.load_table_from_dataframe(table, f"{lab.target.dataset}.patients", job_config=overwrite).result()
client.query(
    """
    CREATE OR REPLACE MODEL line
    OPTIONS (model_type = 'linear_reg', input_label_cols = ['progression'], enable_global_explain = TRUE) AS
    SELECT * FROM patients
    """
).result()
explained_rows = client.query(
    """
    SELECT prediction_value, baseline_prediction_value, top_feature_attributions[OFFSET(0)].feature AS main_reason
    FROM ML.EXPLAIN_PREDICT(MODEL line, (SELECT * FROM patients), STRUCT(1 AS top_k_features))
    ORDER BY prediction_value DESC
    LIMIT 5
    """
).to_dataframe()
print(explained_rows.round(1).to_string(index=False))
print(client.query("SELECT * FROM ML.GLOBAL_EXPLAIN(MODEL line)").to_dataframe().head(3).round(1).to_string(index=False))
not_mine = abs(explained_rows["baseline_prediction_value"].iloc[0] - y_train.mean())
lab.claim("baseline of BigQuery ML minus the average progression, points", not_mine, at_most=10)

# %% [markdown]
# ## On Google Cloud
# With `TARGET = "vertex"` the same cells upload, deploy and explain in your project.
#
# - **Roles.** *Vertex AI User*, *BigQuery User* and *BigQuery Data Editor*, *Storage Object Admin* on the bucket.
# - **Quota.** Online prediction CPUs for five `n1-standard-2`, one a deployment.
# - **Billed.** The five machines, from the deployment until it is undeployed, **also when nobody asks**; explanations cost
#   no more than the machine's time, but a request with 25 paths of ten features is 251 predictions, which may need more
#   machines. The upper bound is in the lab's card.
# - **What differs.** Here an instance seeds its own paths, so the same request has the same answer; the service draws anew.
#   Nobody outside knows the service's formula of `approximation_error` for sampled Shapley; ours is the standard error
#   over the paths. The prebuilt containers have scikit-learn 1.6 and TensorFlow 2.15: train with those versions there.
#   BigQuery ML's linear regression is exact in both places.
#
# This lists what the lab has created; `lab.cleanup(delete=True)` deletes it.

# %%
report = lab.cleanup()

# %% [markdown]
# ## Exam lens
# *Tree model, any container, tabular*: sampled Shapley. *Differentiable, tabular or image*: integrated gradients. *Natural
# images, regions*: XRAI. *Large approximation error*: more paths or steps. *Explanation answers the wrong question*:
# another baseline.

# %%
lab.quiz()

# %% [markdown]
# **Take away.** An attribution explains a difference, and the baseline says from what: choose it by the question of the
# reader before you tune paths or steps. Sampled Shapley needs only predictions and its error falls with the root of the
# paths; integrated gradients need a network and are complete when the steps suffice. Both speak of the model: they show
# that it looks at the stamp, and cannot say what cures a patient.

# %%
lab.finish()
