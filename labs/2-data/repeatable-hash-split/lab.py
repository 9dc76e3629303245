# ---
# jupyter:
#   jupytext: {formats: "ipynb,py:percent"}
#   kernelspec: {name: labs-core, display_name: Labs (core), language: python}
# ---

# %% [markdown]
# # TODO the title of repeatable-hash-split
#
# TODO The scenario and the decision at stake. The number: membership changes across runs.
#
# **You will** TODO.

# %% tags=["parameters"]
TARGET = "local"  # "vertex": the cloud part runs on Google Cloud
SEED = 20260601
EFFECT = True  # False: TODO what is switched off

# %%
from labkit import lesson

lab = lesson.open("repeatable-hash-split", target=TARGET, seed=SEED)

# %% [markdown]
# ## TODO The data

# %% [markdown]
# ## Predict first

# %%
lab.predict("TODO", "TODO how much?", options=["TODO", "nothing"])

# %% [markdown]
# ## TODO The experiment

# %% tags=["nbval-check-output"]
print("TODO")

# %%
lab.claim("TODO name of the number", 1.0, at_least=0.5)
lab.revisit("TODO", "nothing")

# %% [markdown]
# ## Exercise: TODO

# %% tags=["exercise"]
### BEGIN SOLUTION
first = 1
### END SOLUTION

# %%
first = lab.check("first", first)

# %% [markdown]
# ## Exercise: TODO

# %% tags=["exercise"]
### BEGIN SOLUTION
second = 2
### END SOLUTION

# %%
second = lab.check("second", second)

# %% [markdown]
# ## On Google Cloud
# TODO what the flag changes, role, quota, upper bound of cost, what to delete.

# %%
client = lab.target.bigquery()
print(client.query("SELECT 'TODO' AS todo").to_dataframe())

# %% [markdown]
# ## Exam lens

# %%
lab.quiz()

# %% [markdown]
# **Take away.** TODO.

# %%
lab.finish()
