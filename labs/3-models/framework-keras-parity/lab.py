# ---
# jupyter:
#   jupytext: {formats: "ipynb,py:percent"}
#   kernelspec: {name: labs-vizier, display_name: Labs (vizier), language: python}
# ---

# %% [markdown]
# # Same shapes, same parameters, another model
#
# A bank reads handwritten amounts. The network was trained in scikit-learn. It shall be served from Keras, and from
# BigQuery, where the cheques are. The migration has passed its test: each layer has the shape of the original, the
# number of parameters is equal to the last one, every file loads without an error. On the first evening hundreds of
# amounts are wrong.
#
# A second team wanted to train anew instead, "the same model, just in Keras, with the same settings". Its coefficients
# look like those of another model. **What does it take to say that two models are the same?**
#
# **You will** count parameters by hand, train one model in scikit-learn and in three ways in Keras until the coefficients
# are equal, move a trained network through five formats, see which faults no shape and no count shows, and write the
# test that shows them.

# %% tags=["parameters"]
TARGET = "local"     # "vertex": the SQL part runs on Google BigQuery
SEED = 20260601
SQUARE = True        # both hidden layers have 32 units; False: the second has 24, and a transposed kernel does not fit
C = 0.01             # scikit-learn's inverse strength of the penalty

# %%
from labkit import lesson

lab = lesson.open("framework-keras-parity", target=TARGET, seed=SEED)

import io
import json
import os
import subprocess
import sys
import warnings
import zipfile

import h5py
import keras
import matplotlib.pyplot as plt
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import tensorflow as tf
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

keras.utils.set_random_seed(SEED)

# %% [markdown]
# ## The data: handwritten digits
# 1,000 images of 8 x 8 pixels to train on, the others to test. A scaler brings every pixel to mean 0 and standard
# deviation 1.

# %%
rng = np.random.default_rng(SEED)
digits = lab.data("handwritten-digits").to_numpy()
order = rng.permutation(len(digits))
train, test = order[:1000], order[1000:]
pixels, labels = digits[:, :64].astype(float), digits[:, 64].astype(int)
scaler = StandardScaler().fit(pixels[train])
X_train, X_test = scaler.transform(pixels[train]), scaler.transform(pixels[test])
y_train, y_test = labels[train], labels[test]
n = len(train)

fig, axes = plt.subplots(1, 8, figsize=(6.5, 1.2))
for ax, row in zip(axes, test, strict=False):
    ax.imshow(pixels[row].reshape(8, 8), cmap="gray_r")
    ax.set(title=labels[row], xticks=[], yticks=[])
fig.suptitle("What the network must read", fontsize="medium")
plt.show()

# %% [markdown]
# ## Predict first
# The migrated network has the layers of the original, the same activations, the same number of parameters in the same
# shapes, and loads without a warning. One thing went wrong on the way: one of its three kernels was stored transposed,
# as another framework keeps it.

# %%
lab.predict(
    "unchanged",
    "How many of its answers on test images are those of the original?",
    options=["nearly all: one kernel of three", "about half", "hardly any"],
)

# %% [markdown]
# ## Exercise: count the parameters
# A layer holds weights that training changes (*trainable*), and some hold numbers that training only records (*not
# trainable*). What each holds:
#
# | layer | holds |
# |---|---|
# | dense | one weight for each pair of input and unit, one bias for each unit |
# | conv, 3 x 3 | one 3 x 3 filter for each pair of input channel and output channel, one bias for each output channel; nothing depends on the image's size |
# | embedding | one vector of `units` numbers for each of `inputs` words, no bias |
# | lstm | four gates; each has weights from the inputs, weights from its own `units` outputs of the step before, and a bias |
# | gru | three gates of this kind; Keras' default (`reset_after=True`) has **two** biases for each unit of a gate |
# | batch_norm | for each input a scale and a shift, which are trained, and a moving mean and variance, which are recorded |
# | dropout | nothing |
#
# Write `parameters(kind, inputs, units)`: the pair *(trainable, not trainable)*.

# %% tags=["exercise"]
def parameters(kind, inputs, units):
    """How many trainable and not trainable parameters a layer has."""
    ### BEGIN SOLUTION
    gate = inputs * units + units * units
    return {
        "dense": (inputs * units + units, 0),
        "conv": (9 * inputs * units + units, 0),
        "embedding": (inputs * units, 0),
        "lstm": (4 * (gate + units), 0),
        "gru": (3 * (gate + 2 * units), 0),
        "batch_norm": (2 * inputs, 2 * inputs),
        "dropout": (0, 0),
    }[kind]
    ### END SOLUTION

# %%
parameters = lab.check("parameters", parameters)

# %% [markdown]
# Keras counts, too:

# %% tags=["nbval-check-output"]
inputs, units = 6, 5
layers = {
    "dense": (keras.layers.Dense(units), (None, inputs)),
    "conv": (keras.layers.Conv2D(units, 3), (None, 28, 28, inputs)),
    "embedding": (keras.layers.Embedding(inputs, units), (None, 10)),
    "lstm": (keras.layers.LSTM(units), (None, 10, inputs)),
    "gru": (keras.layers.GRU(units), (None, 10, inputs)),
    "batch_norm": (keras.layers.BatchNormalization(), (None, inputs)),
    "dropout": (keras.layers.Dropout(0.5), (None, inputs)),
}


def count(variables):
    return sum(int(np.prod(variable.shape)) for variable in variables)


rows = {}
for kind, (layer, shape) in layers.items():
    layer.build(shape)
    # A dropout layer keeps the state of its random generator: no parameter of the model.
    fixed = [variable for variable in layer.non_trainable_variables if "seed" not in variable.path]
    rows[kind] = [count(layer.trainable_variables), count(fixed), *parameters(kind, inputs, units)]
counted = pd.DataFrame(rows, index=["trainable", "not trainable", "by hand", "by hand, not trainable"]).T
print(counted.to_string())

# %%
wrong = (counted.iloc[:, :2].to_numpy() != counted.iloc[:, 2:].to_numpy()).sum()
lab.claim("counts by hand that differ from Keras'", wrong, at_most=0)

# %% [markdown]
# A count finds a forgotten layer or a forgotten bias. Keep in mind what it is: a sum. We shall see what it cannot find.
#
# ## The same model, trained anew
# The simplest network of all: ten classes, one dense layer with softmax, a squared penalty on the weights. It has **one** minimum, so
# whoever trains to the end must find the same coefficients. scikit-learn calls it `LogisticRegression` and minimises
#
# $$C\sum_{i}\ell_i + \tfrac{1}{2}\sum w^2,\qquad\text{Keras}\qquad \frac{1}{n}\sum_{i}\ell_i + l_2\sum w^2$$
#
# with $\ell_i$ the cross-entropy of example $i$. `C` multiplies the *data*, `L2(l2)` multiplies the *penalty*, one sums
# over the examples, the other takes the mean, and one has a half.
#
# ## Exercise: the same strength
# Set `keras_l2` such that Keras has scikit-learn's minimum, from `C` and `n`.

# %% tags=["exercise"]
### BEGIN SOLUTION
keras_l2 = 1 / (2 * C * n)
### END SOLUTION

# %%
keras_l2 = lab.check("same_strength", keras_l2, C, n)

# %% [markdown]
# ## Exercise: one step of a training loop of your own
# `fit` does more than it shows. Write `train_step(model, optimizer, loss_fn, x, y)`: one step on the batch `x`, `y` that changes
# the model exactly as `fit` would, also a model with dropout, batch normalisation or a penalty. Keras keeps the penalties of all
# layers in the list `model.losses`.

# %% tags=["exercise"]
def train_step(model, optimizer, loss_fn, x, y):
    """Changes the model by one step of the optimizer."""
    ### BEGIN SOLUTION
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(x, training=True)) + sum(model.losses)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    ### END SOLUTION

# %%
train_step = lab.check("train_step", train_step)

# %% [markdown]
# Now train. The model is written three times: as a `Sequential` list, as a functional graph from inputs to outputs, and as a
# class with a `call`. The first two are trained by `fit`, the class by the loop of your own, once more with the step that most
# people write first, and once with `C` typed in as if it were `l2`.

# %%
STEPS = 400
full_batch = (X_train.astype("float32"), y_train)
every_row = tf.data.Dataset.from_tensors(full_batch).repeat()
cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def softmax_layer(l2):
    return keras.layers.Dense(10, kernel_initializer="zeros", kernel_regularizer=keras.regularizers.L2(l2))


class Subclassed(keras.Model):
    """Layers are attributes, and call says how they are connected."""

    def __init__(self, l2):
        super().__init__()
        self.classify = softmax_layer(l2)

    def call(self, x):
        return self.classify(x)


def new_optimizer():
    return keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)


def fitted(model):
    model.compile(new_optimizer(), cross_entropy, steps_per_execution=STEPS, jit_compile=False)
    model.fit(every_row, steps_per_epoch=STEPS, shuffle=False, verbose=0)
    return model


def looped(model, step):
    optimizer, (x, y) = new_optimizer(), map(tf.constant, full_batch)
    model(x[:1])
    optimizer.build(model.trainable_variables)

    @tf.function(jit_compile=False)
    def run():
        for _ in tf.range(STEPS):
            step(model, optimizer, cross_entropy, x, y)

    run()
    return model


def first_idea(model, optimizer, loss_fn, x, y):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(x))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))


def functional(l2):
    given = keras.Input((64,))
    return keras.Model(given, softmax_layer(l2)(given))


sklearn_model = LogisticRegression(C=C, tol=1e-8, max_iter=1000).fit(X_train, y_train)
keras_models = {
    "Sequential, fit": fitted(keras.Sequential([keras.Input((64,)), softmax_layer(keras_l2)])),
    "subclassed, own loop": looped(Subclassed(keras_l2), train_step),
    "functional, fit, l2 = C": fitted(functional(C)),
    "subclassed, first idea": looped(Subclassed(keras_l2), first_idea),
}


def compared(model):
    """Size of the coefficients over scikit-learn's, and the largest difference."""
    kernel, reference = model.get_weights()[0].T, sklearn_model.coef_
    return {"size over scikit-learn's": np.linalg.norm(kernel) / np.linalg.norm(reference),
            "largest difference": np.abs(kernel - reference).max() / np.abs(reference).max()}


coefficients = pd.DataFrame({name: compared(model) for name, model in keras_models.items()}).T
print(coefficients.to_string(float_format="{:.4f}".format))

# %%
difference, size = coefficients["largest difference"], coefficients["size over scikit-learn's"]
lab.claim("Keras, fit, against scikit-learn: largest difference, share of the largest coefficient",
          difference["Sequential, fit"], at_most=0.01)
lab.claim("own loop against fit: largest difference, share",
          abs(difference["subclassed, own loop"] - difference["Sequential, fit"]), at_most=0.001)
lab.claim("C typed in as l2: size of the coefficients over scikit-learn's", size["functional, fit, l2 = C"], at_least=1.2)
lab.claim("own loop without model.losses: size of the coefficients over scikit-learn's",
          size["subclassed, first idea"], at_least=1.5)

# %% [markdown]
# At equal strength the coefficients agree, in whatever way the model is written: Sequential, functional and subclassed are
# three notations for one thing, and `fit` is a loop. (TensorFlow 2 has kept only these; Estimators, the API before, are gone, and
# such a model is rewritten as a Keras model.)
#
# The last two lines raised nothing. `l2 = C` is a penalty of another strength. The *first idea* leaves out `model.losses`, so the
# layer still says `kernel_regularizer=L2(...)`, and **nobody has added the penalty to the loss**. `fit` does it, a loop of
# your own must. `training=True` is of the same kind: without it dropout is off and batch normalisation does not record.
#
# ## The same model, moved
# A network with hidden layers has many minima. Trained anew it is another model, with whatever settings. So its weights must
# be moved. The original is scikit-learn's `MLPClassifier`. The scaler goes along, into the model.

# %%
WIDTHS = (32, 32 if SQUARE else 24)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)  # 40 epochs are enough for this lab
    original = MLPClassifier(WIDTHS, max_iter=40, random_state=SEED % 2**32).fit(X_train, y_train)
kernels, biases = original.coefs_, original.intercepts_


def keras_network():
    """Scaler, two hidden layers, softmax: not yet trained."""
    return keras.Sequential([
        keras.Input((64,)),
        keras.layers.Normalization(mean=scaler.mean_, variance=scaler.scale_**2),
        *[keras.layers.Dense(width, activation="relu") for width in WIDTHS],
        keras.layers.Dense(10, activation="softmax"),
    ])


moved = keras_network()
moved.set_weights([array for pair in zip(kernels, biases, strict=True) for array in pair])
by_hand = sum(parameters("dense", *kernel.shape)[0] for kernel in kernels)
print("parameters: original", sum(array.size for array in [*kernels, *biases]), "| Keras", moved.count_params(),
      "| by hand", by_hand)

# %% [markdown]
# scikit-learn and Keras both keep a dense kernel as *(inputs, units)*. PyTorch's `Linear` keeps *(units, inputs)*, and ONNX
# takes either, as an attribute of the operation says.
#
# Two more formats. A `.keras` file is an archive: `config.json` says which layers there are, `model.weights.h5` has their
# numbers. It belongs to no backend. Keras chooses its backend when it is imported, so another one needs a process of its own:
# `other_backend.py` lies beside this notebook and names none. We run it with `KERAS_BACKEND=jax`. It trains the regression of
# above once more, and lets the network in the file answer for the test images.

# %%
moved.save(lab.work / "moved.keras")
rows = pixels[test].astype("float32")
np.savez(lab.work / "given.npz", x=full_batch[0], y=y_train, l2=keras_l2, steps=STEPS, rows=rows)
in_jax = [sys.executable, str(lab.folder / "other_backend.py"), "given.npz", "moved.keras", "found.npz"]
subprocess.run(in_jax, cwd=lab.work, env=os.environ | {"KERAS_BACKEND": "jax"}, check=True, capture_output=True)
found = np.load(lab.work / "found.npz")

kernel = keras_models["Sequential, fit"].get_weights()[0]
apart = np.abs(found["kernel"] - kernel).max() / np.abs(kernel).max()
print(f"backend {found['backend']}, TensorFlow imported: {found['tensorflow']}; coefficients {apart:.0e} apart")
lab.claim("Keras on JAX against Keras on TensorFlow: largest difference of a coefficient, share", apart, at_most=0.001)

# %% [markdown]
# The same coefficients from other kernels, compilers and gradients. And here is the smallest backend of all, in NumPy, which does
# not ask Keras for anything:

# %%
ACTIVATIONS = {
    "relu": lambda z: np.maximum(z, 0),
    "softmax": lambda z: np.exp(z - z.max(axis=1, keepdims=True)) / np.exp(z - z.max(axis=1, keepdims=True)).sum(
        axis=1, keepdims=True),
}


def numpy_backend(path, values):
    """What the model in a .keras file makes of these rows."""
    with zipfile.ZipFile(path) as archive:
        layers = json.loads(archive.read("config.json"))["config"]["layers"]
        stored = h5py.File(io.BytesIO(archive.read("model.weights.h5")))["layers"]
    dense = 0
    for layer in layers:
        if layer["class_name"] == "Normalization":
            values = (values - np.array(layer["config"]["mean"])) / np.sqrt(layer["config"]["variance"])
        elif layer["class_name"] == "Dense":
            kernel, bias = stored[f"dense_{dense}" if dense else "dense"]["vars"].values()
            values = ACTIVATIONS[layer["config"]["activation"]](values @ kernel[()] + bias[()])
            dense += 1
    return values


# %% [markdown]
# And an ONNX graph, which we write by hand, to see that there is no secret in it:

# %%
def onnx_graph(kernels, biases):
    """Scaler, dense layers and softmax as an ONNX model from pixels to probabilities."""
    numbers = {"mean": scaler.mean_, "scale": scaler.scale_}
    nodes = [onnx.helper.make_node("Sub", ["pixels", "mean"], ["centred"]),
             onnx.helper.make_node("Div", ["centred", "scale"], ["layer_0"])]
    for number, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        numbers |= {f"kernel_{number}": kernel, f"bias_{number}": bias}
        # transB=0: the kernel is (inputs, units). A kernel from PyTorch needs transB=1.
        operands = [f"layer_{number}", f"kernel_{number}", f"bias_{number}"]
        nodes.append(onnx.helper.make_node("Gemm", operands, [f"sum_{number}"], transB=0))
        last = number == len(kernels) - 1
        out = "probabilities" if last else f"layer_{number + 1}"
        nodes.append(onnx.helper.make_node("Softmax" if last else "Relu", [f"sum_{number}"], [out]))
    floats = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes, "digits",
        [onnx.helper.make_tensor_value_info("pixels", floats, [None, 64])],
        [onnx.helper.make_tensor_value_info("probabilities", floats, [None, 10])],
        [onnx.numpy_helper.from_array(np.asarray(value, "float32"), name) for name, value in numbers.items()])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


exported = onnx_graph(kernels, biases)
session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
expected = original.predict_proba(X_test)
answers = {
    "Keras, TensorFlow backend": moved(rows).numpy(),
    "Keras file, JAX backend": found["probabilities"],
    "Keras file, NumPy alone": numpy_backend(lab.work / "moved.keras", rows),
    "ONNX Runtime": session.run(None, {"pixels": rows})[0],
}
parity = pd.DataFrame({name: {"largest difference": np.abs(found - expected).max(),
                              "same answers": (found.argmax(axis=1) == expected.argmax(axis=1)).mean()}
                       for name, found in answers.items()}).T
print(parity.to_string(formatters={"largest difference": "{:.0e}".format, "same answers": "{:.1%}".format}))
lab.claim("moved right: largest difference of a probability, four ways", parity["largest difference"].max(),
          at_most=1e-3)

# %% [markdown]
# Not equal to the last bit: scikit-learn computes with 64 bits, the others with 32, and in other orders. Differences in the
# sixth digit are rounding. They are the yardstick for what follows.
#
# ## Three faults that raise nothing
# - *Transposed*: the second kernel comes as *(units, inputs)*. It has as many rows as columns.
# - *Columns first*: the images are flattened column by column, as a framework does whose axes are in another order.
# - *Scaler left behind*: the network gets pixels, and the scaler stays in the notebook.

# %%
def network_with(kernels):
    network = keras_network()
    network.set_weights([array for pair in zip(kernels, biases, strict=True) for array in pair])
    return network


def column_by_column(rows):
    return rows.reshape(-1, 8, 8).transpose(0, 2, 1).reshape(-1, 64)


def without_scaler(rows):
    for layer in moved.layers[1:]:
        rows = layer(rows)
    return rows


transposed_kernels = [kernels[0], kernels[1].T, kernels[2]]
faults = {
    "none": lambda: moved(rows),
    "transposed": lambda: network_with(transposed_kernels)(rows),
    "columns first": lambda: moved(column_by_column(rows)),
    "scaler left behind": lambda: without_scaler(rows),
}
report, migrated = {}, {}
for name, run in faults.items():
    try:
        migrated[name] = np.asarray(run())
    except ValueError as error:
        report[name] = {"parameters": moved.count_params(), "reported": str(error).split(".")[0][:40], "same answers": None}
        continue
    same = (migrated[name].argmax(axis=1) == expected.argmax(axis=1)).mean()
    report[name] = {"parameters": moved.count_params(), "reported": "nothing", "same answers": same}
report = pd.DataFrame(report).T
shown = report.assign(**{"same answers": report["same answers"].map("{:.0%}".format, na_action="ignore")})
print(shown.to_string())

# %%
fig, axes = plt.subplots(1, 2, figsize=(7.2, 3.4), sharey=True)
titles = {"none": "Moved right: on the line", "transposed": "One kernel transposed: a cloud"}
for ax, (name, title) in zip(axes, titles.items(), strict=True):
    if name in migrated:
        ax.scatter(expected, migrated[name], s=2, alpha=0.3, rasterized=True)
    ax.plot([0, 1], [0, 1], color="k", lw=0.6, ls=":")
    ax.set(title=title, xlabel="probability, original")
axes[0].set_ylabel("probability, migrated")
plt.show()

# %%
unreported = (report.drop(index="none")["reported"] == "nothing").sum()
lab.claim("faults that neither count, nor shape, nor error reports", unreported, at_least=3)
kept = report["same answers"]
lab.revisit("unchanged", "hardly any" if kept["transposed"] < 0.35 else
            "about half" if kept["transposed"] < 0.75 else "nearly all: one kernel of three")
lab.claim("one kernel transposed: share of the answers that are the same", kept["transposed"], at_most=0.6)
lab.claim("columns first: share of the answers that are the same", kept["columns first"], at_most=0.7)

# %% [markdown]
# A shape is a pair of numbers, and a square has equal ones. A count is a sum, and a sum does not know its order. **Neither
# looks at what the model computes.** With layers of different widths the first fault would have been an error. That is luck:
# attention layers, recurrent kernels and residual blocks are square throughout.
#
# The others do not even touch the model. They sit where it gets its inputs, and no file of weights can show them. The forgotten
# scaler is the most dangerous of the three: most answers stay, so whoever looks at ten rows sees nothing. What is done to the
# inputs belongs into the file: the ONNX graph above begins with the pixels of the camera.
#
# ## Exercise: the parity test
# So compare what comes out. Write `same(original, migrated, rows)`: `True` if both functions, called with `rows`, return the same
# probabilities but for rounding, else `False`. Rounding is up to `1e-4` here.

# %% tags=["exercise"]
def same(original, migrated, rows):
    """Whether two models are one."""
    ### BEGIN SOLUTION
    expected, found = np.asarray(original(rows)), np.asarray(migrated(rows))
    return expected.shape == found.shape and bool(np.allclose(found, expected, rtol=0, atol=1e-4))
    ### END SOLUTION

# %%
same = lab.check("parity_test", same, rows, moved.get_weights())

# %% tags=["nbval-check-output"]
def reference(rows):
    return original.predict_proba(scaler.transform(rows))


def answered(name):
    return lambda rows: migrated[name]


for name in migrated:
    print(f"{name:20}", "same model" if same(reference, answered(name), rows) else "another model")

# %% [markdown]
# ## On Google Cloud
# BigQuery ML imports ONNX, TensorFlow SavedModels, TensorFlow Lite and XGBoost from Cloud Storage, and predicts with them in SQL. The graph's
# input `pixels` becomes a column, an array of 64 numbers, its output a column of ten.

# %%
from google.cloud import bigquery

bucket = lab.target.storage().bucket(lab.target.bucket.removeprefix("gs://"))
bucket.blob("framework-keras-parity/digits.onnx").upload_from_string(exported, "application/octet-stream")

client = lab.target.bigquery()
cheques = [{"id": number, "pixels": row.tolist()} for number, row in enumerate(rows[:200])]
schema = [bigquery.SchemaField("id", "INT64"), bigquery.SchemaField("pixels", "FLOAT64", mode="REPEATED")]
overwrite = bigquery.LoadJobConfig(schema=schema, write_disposition="WRITE_TRUNCATE")
client.load_table_from_json(cheques, f"{lab.target.dataset}.cheques", job_config=overwrite).result()

client.query(f"""
CREATE OR REPLACE MODEL digits
OPTIONS (MODEL_TYPE = 'ONNX', MODEL_PATH = '{lab.target.bucket}/framework-keras-parity/digits.onnx')
""").result()
predicted = client.query("""
SELECT id, probabilities FROM ML.PREDICT(MODEL digits, TABLE cheques) ORDER BY id
""").to_dataframe()
in_bigquery = np.stack(predicted["probabilities"].to_numpy())
print(predicted.assign(answer=in_bigquery.argmax(axis=1))[["id", "answer"]].head(3).to_string(index=False))
assert same(reference, lambda rows: in_bigquery, rows[:200])
lab.claim("BigQuery against scikit-learn: largest difference of a probability",
          np.abs(in_bigquery - expected[:200]).max(), at_most=1e-3)

# %% [markdown]
# The parity test is the same, and it ends where the users are: it compares the first system with the last one, not each step
# with the next.
#
# **With `TARGET="vertex"`** the same statements run in BigQuery and the file lies in your bucket. You need *BigQuery User* and
# *BigQuery Data Editor*, and *Storage Object Admin* on the bucket. An imported model is not trained;
# `ML.PREDICT` is billed by the bytes of the table, and the card names the upper bound. Quotas: the usual ones of queries. **What
# differs:** ONNX Runtime runs the graph here as there, but the service runs a version of its own; it limits the size of an
# imported model; the last digits may differ. For online answers the same checks belong before the traffic of an endpoint is moved.
#
# **Afterwards** a model and a table of 200 rows are left. The next cell lists what `lab.cleanup(delete=True)` deletes.

# %%
lab.cleanup()

# %% [markdown]
# ## Exam lens

# %%
lab.quiz()

# %% [markdown]
# **Take away.** A model trained anew is the same only if it has one minimum and both libraries minimise the same thing: write both
# objectives down, sums and halves included, and remember what `fit` adds to the loss. A model that is moved is the same only if it
# gives the same outputs: counts and shapes are sums and pairs and cannot see an order. Put the preprocessing into the file, and
# compare probabilities end to end.

# %%
lab.finish()
