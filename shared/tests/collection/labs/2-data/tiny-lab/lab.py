# ---
# jupyter:
#   jupytext: {formats: "ipynb,py:percent"}
#   kernelspec: {name: labs-core, display_name: Labs (core), language: python}
# ---

# %% [markdown]
# # A tiny lab for the tests
#
# A scenario.
#
# **You will** see a slope.

# %% tags=["parameters"]
TARGET = "local"  # where the cloud part runs
SEED = 1
EFFECT = True  # False: no slope
SCALE: float = 1  # a float with an int for its default
WAIT = 0  # seconds that one cell sleeps
FAIL = False  # True: a cell raises

# %%
from labkit import lesson

lab = lesson.open("tiny-lab", target=TARGET, seed=SEED)

import time

# %%
data = lab.data("planted", seed=SEED, slope=2.0 if EFFECT else 0.0)

# %% [markdown]
# ## Predict first

# %%
lab.predict("slope", "How steep is it?", options=["steep", "flat"])

# %%
time.sleep(WAIT)
if FAIL:
    raise ValueError("asked to fail")

# %% tags=["nbval-check-output"]
print("rows", len(data))

# %%
slope = SCALE * (data.x * data.y).sum() / (data.x**2).sum()
lab.claim("slope", slope, at_least=1.5)
lab.revisit("slope", "steep")

# %% [markdown]
# ## Exercise: the mean

# %% tags=["exercise"]
# The mean of y.
### BEGIN SOLUTION
mean = data.y.mean()
### END SOLUTION

# %%
mean = lab.check("mean", mean, data)

# %% [markdown]
# ## Exercise: a function and a number


# %% tags=["exercise"]
def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION


### BEGIN SOLUTION
four = double(2)
### END SOLUTION

# %%
double, four = lab.check("double", double, four)

# %%
assert double(mean) == 2 * mean and four == 4

# %% [markdown]
# ## On Google Cloud

# %%
from google.cloud import bigquery

query = bigquery.QueryJob("tiny", "SELECT 1", lab.target.bigquery(), bigquery.QueryJobConfig(labels=lab.target.labels))
lab.target.show(query)

# %% [markdown]
# ## Exam lens

# %%
lab.quiz()

# %% [markdown]
# **Take away.** It is tiny.

# %%
lab.finish()
