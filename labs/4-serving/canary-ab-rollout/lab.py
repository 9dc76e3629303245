# ---
# jupyter:
#   jupytext: {formats: "ipynb,py:percent"}
#   kernelspec: {name: labs-core, display_name: Labs (core), language: python}
# ---

# %% [markdown]
# # Canary, 50/50, all: how often a rollout promotes nothing
#
# A water utility's customers photograph the hand-written digits on their meter cards. A model reads each digit, and the
# customer confirms or corrects it. So the truth arrives with every request: **was the digit read right?**
#
# New models go out carefully: a canary with 10% of the traffic, then 50/50, then all. The team watches a dashboard and
# promotes "as soon as the difference is significant, p < 0.05". Last quarter it promoted nine models. Somebody then
# compared the first and the last of them on the same cards, and found no difference at all.
#
# **You will** find out how often this rule promotes a model that is no better, replace it by a test that may be looked
# at after every request, see a second mistake that no test protects from, and run two real rollouts on an endpoint: one
# model that deserves the traffic, and one that has to be stopped before many customers have met it.

# %% tags=["parameters"]
TARGET = "local"     # "vertex": endpoint, models and the table are on Google Cloud
SEED = 20260601
PEEK = True          # the team looks after every batch. False: once, at the end, and the effect of this lab is gone
ROLLOUTS = 4000      # simulated rollouts

# %%
from labkit import lesson

lab = lesson.open("canary-ab-rollout", target=TARGET, seed=SEED)

import logging
from concurrent.futures import ThreadPoolExecutor

import joblib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from google.cloud import aiplatform, bigquery
from scipy.stats import norm
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

for name in logging.root.manager.loggerDict:
    if name.startswith("google.cloud.aiplatform"):
        logging.getLogger(name).setLevel(logging.WARNING)  # several lines for each resource

aiplatform.init(**lab.target.vertex)
OURS = f'labels.lab="{lab.target.labels["lab"]}"'
# What an earlier run has left would answer, too.
for old in aiplatform.Endpoint.list(filter=OURS):
    old.delete(force=True)
for old in aiplatform.Model.list(filter=OURS):
    old.delete()

# %% [markdown]
# ## The cards and three models
# 1,797 hand-written digits of 8 × 8 pixels, real ones. The model in service, `current`, was trained on the 80 cards of
# a pilot. `better` saw 797 cards. `broken` was trained by a job that read one of many files, 30 cards; on those it is
# perfect, and that was the number in its report. The other 1,000 cards are tomorrow's customers.

# %% tags=["nbval-check-output"]
rng = np.random.default_rng(SEED)
images, digits = load_digits(return_X_y=True)
images = images / 16
order = rng.permutation(len(images))
seen, tomorrow = order[:797], order[797:]

models = {
    "current": LogisticRegression(max_iter=500).fit(images[seen[:80]], digits[seen[:80]]),
    "better": SVC().fit(images[seen], digits[seen]),
    "broken": LogisticRegression(max_iter=500).fit(images[seen[:30]], digits[seen[:30]]),
}
# 1 where a model reads tomorrow's card right: what a customer would tell us.
right = {name: model.predict(images[tomorrow]) == digits[tomorrow] for name, model in models.items()}
rate = {name: outcome.mean() for name, outcome in right.items()}
print("read right, of tomorrow's cards:", ", ".join(f"{name} {value:.1%}" for name, value in rate.items()))

# %%
fig, axes = plt.subplots(1, 10, figsize=(7, 1.1))
for ax, card in zip(axes, tomorrow, strict=False):
    ax.imshow(images[card].reshape(8, 8), cmap="gray_r")
    ax.set(xticks=[], yticks=[], xlabel=f"it is {digits[card]}")
fig.suptitle("Ten of tomorrow's cards: some are hard to read")
plt.show()

# %% [markdown]
# ## Predict first
# The cautious way to try out the rollout itself is an **A/A test**: the candidate is the current model once more, the
# same file under another name. Nothing can be better about it. The rule is a one-sided test at 5%, looked at after
# every batch of the 50/50 stage; the first p below 0.05 promotes.

# %%
lab.predict(
    "false_promotions",
    "How many of these rollouts promote the copy as better?",
    options=["about 5%", "about 10%", "more than 20%"],
)

# %% [markdown]
# ## The plan, and many rollouts at once
# 4,000 customers: 600 in the canary, where one in ten gets the candidate, then 3,400 at 50/50. Each customer is a
# card drawn from tomorrow's thousand, with replacement, and an arm drawn by the traffic split. So the number read right
# in a batch is binomial with the model's real rate, and thousands of rollouts are one array.

# %%
CUSTOMERS, CANARY, BATCH = 4000, 600, 20
LOOKS = CUSTOMERS // BATCH
STAGE = (np.arange(LOOKS) * BATCH >= CANARY).astype(int)       # of each batch: 0 the canary, 1 the 50/50 stage
SHARE = np.array([0.1, 0.5])[STAGE]                            # of the candidate


def simulate(control_rate, candidate_rate, easier_later=0.0, seed=SEED):
    """Customers and cards read right, each an array (2 arms, ROLLOUTS, LOOKS): the control first."""
    draw = np.random.default_rng(seed)
    candidates = draw.binomial(BATCH, SHARE, (ROLLOUTS, LOOKS))
    customers = np.stack([BATCH - candidates, candidates])
    rates = np.stack([control_rate + easier_later * STAGE, candidate_rate + easier_later * STAGE])
    return customers, draw.binomial(customers, rates[:, None, :])


def compare(customers, wins, stage=STAGE):
    """The candidate's lead after each look and its variance, from customers of the same stage only."""
    score = information = 0
    for part in (0, 1):
        number, won = np.cumsum(customers * (stage == part), axis=-1), np.cumsum(wins * (stage == part), axis=-1)
        pooled = (won.sum(axis=0) + 1) / (number.sum(axis=0) + 2)
        weight = number[0] * number[1] / np.maximum(number.sum(axis=0), 1) / (pooled * (1 - pooled))
        score = score + weight * (won[1] / np.maximum(number[1], 1) - won[0] / np.maximum(number[0], 1))
        information = information + weight
    information = np.maximum(information, 1e-9)
    return score / information, 1 / information


LIMIT = norm.ppf(0.95)  # one-sided, 5%
equal = simulate(rate["current"], rate["current"])
lead, variance = compare(*equal)
z = lead / np.sqrt(variance)

fig, ax = plt.subplots(figsize=(6.5, 2.8))
looked_at = BATCH * (np.arange(LOOKS) + 1)
ax.plot(looked_at, z[:25].T, color="0.8", lw=0.7)
winners = np.flatnonzero((z[:, STAGE == 1] > LIMIT).any(axis=1) & (z[:, -1] < LIMIT))[:3]
ax.plot(looked_at, z[winners].T, lw=1.4)
ax.axhline(LIMIT, color="k", ls=":", label="p = 0.05")
ax.axvline(CANARY, color="0.5", lw=0.8)
ax.set(title="Two equal models: many paths cross the line once, and come back", xlabel="customers so far",
       ylabel="z, candidate against current")
ax.legend()
plt.show()

# %% [markdown]
# ## Exercise: what the dashboard does
# `z` has a row for every rollout of the two equal models and a column for every look; `STAGE` says of each column
# whether it is the canary (0) or 50/50 (1). Set `promoted` to an array with one truth value per rollout: does a team
# promote that looks after every batch of the 50/50 stage and acts on the first `z > LIMIT`?

# %% tags=["exercise"]
### BEGIN SOLUTION
promoted = (z[:, STAGE == 1] > LIMIT).any(axis=1)
### END SOLUTION

# %%
promoted = lab.check("peeking", promoted, z, STAGE, LIMIT)

# %% tags=["nbval-check-output"]
once = (z[:, -1] > LIMIT).mean()
peeking = promoted.mean() if PEEK else once
print(f"an equal model is promoted: {peeking:.0%} of rollouts when the team acts on the first p < 0.05, {once:.0%} at the end")
lab.claim("equal models promoted by the first p < 0.05, share of rollouts", peeking, at_least=0.2)
lab.claim("equal models promoted by one test at the end, share of rollouts", once, at_most=0.07)

# %%
lab.revisit("false_promotions", "more than 20%" if peeking > 0.2 else "about 5%")

# %% [markdown]
# **The mechanism.** A test at 5% gives an equal model *one* chance in twenty. A team that looks after every batch and stops
# at the first success gives it one chance per look, each a little different from the last. The p-value has not lied: it was made
# for one look at a number of customers fixed in advance, the **fixed horizon**.
#
# It is not harmless, either. The rule promotes models that are *worse*, as long as they are not much worse:

# %%
worse_lead, worse_variance = compare(*simulate(rate["current"], rate["current"] - 0.01))
worse_z = (worse_lead / np.sqrt(worse_variance))[:, STAGE == 1]
worse_promoted = (worse_z > LIMIT).any(axis=1).mean()
print(f"a model that reads one card in a hundred less is promoted as better in {worse_promoted:.0%} of rollouts")
lab.claim("models one point worse that peeking promotes, share of rollouts", worse_promoted, at_least=0.05)

# %% [markdown]
# ## A test that may be looked at
# Waiting for the last customer is no answer for a rollout: a broken model would be served to the end. What is needed is
# a statistic that stays below its limit **at all looks together** with probability 95%.
#
# The mixture sequential probability ratio test (mSPRT: Robbins 1970; for online experiments Johari, Pekelis and Walsh,
# *Always Valid Inference*, 2015) asks at each look how much better the data fit "the candidate leads by some amount"
# than "it leads by nothing". The amounts are spread like the positive half of a normal distribution with standard
# deviation $\tau$. For a lead $d$ with variance $V$ the integral has a closed form:
#
# $$\Lambda = 2\,\sqrt{\frac{V}{V+\tau^2}}\;\exp\!\left(\frac{\tau^2 d^2}{2V(V+\tau^2)}\right)\;
# \Phi\!\left(\frac{d\,\tau}{\sqrt{V(V+\tau^2)}}\right)$$
#
# If the models are equal, $\Lambda$ is a fair game that starts at 1. By Ville's inequality it *ever* reaches 20 with
# probability at most 1/20, however often one looks. So: **promote when $\Lambda(d) \ge 20$, roll back when
# $\Lambda(-d) \ge 20$, and look whenever you like.** A peek costs nothing because its price was paid in advance: the
# limit is higher than 1.64 standard errors.
#
# ## Exercise: the ratio
# Write $\Lambda$ for arrays of leads and variances. $\Phi$ is `norm.cdf`.

# %% tags=["exercise"]
def ratio(lead, variance, tau=0.05):
    """How much better a positive lead of about tau explains the data than none: Lambda, shape of `lead`."""
    ### BEGIN SOLUTION
    total = variance + tau**2
    growth = np.exp(tau**2 * lead**2 / (2 * variance * total))
    return 2 * np.sqrt(variance / total) * growth * norm.cdf(lead * tau / np.sqrt(variance * total))
    ### END SOLUTION

# %%
ratio = lab.check("ratio", ratio)

# %% tags=["nbval-check-output"]
ENOUGH = 20  # 1 / 5%


def outcomes(customers, wins, contrast=compare):
    """For each rollout: 1 promoted, -1 rolled back, 0 undecided; the look of the decision; customers of the candidate."""
    lead, variance = contrast(customers, wins)
    better = (ratio(lead, variance) >= ENOUGH) & (STAGE == 1)  # nothing goes to all before it has been at 50/50
    worse = ratio(-lead, variance) >= ENOUGH
    first_better = np.where(better.any(axis=1), better.argmax(axis=1), LOOKS)
    first_worse = np.where(worse.any(axis=1), worse.argmax(axis=1), LOOKS)
    decided = np.minimum(first_better, first_worse)
    look = np.minimum(decided, LOOKS - 1)
    exposed = np.cumsum(customers[1], axis=1)[np.arange(len(look)), look]
    return np.where(decided == LOOKS, 0, np.where(first_better < first_worse, 1, -1)), look, exposed


runs = {
    "equal": equal,
    "better": simulate(rate["current"], rate["better"]),
    "broken": simulate(rate["current"], rate["broken"]),
}
decisions = {name: outcomes(*arrays) for name, arrays in runs.items()}
summary = pd.DataFrame({
    name: {
        "promoted": (decision == 1).mean(),
        "rolled back": (decision == -1).mean(),
        "customers until then": BATCH * (look + 1).mean(),
        "of them with the candidate": exposed.mean(),
    }
    for name, (decision, look, exposed) in decisions.items()
}).T
shown = {column: "{:.2f}".format if summary[column].max() <= 1 else "{:.0f}".format for column in summary}
print(summary.to_string(formatters=shown))

# %%
waiting = runs["broken"][0][1].sum(axis=1).mean()  # customers of the candidate at the end of the plan
spared = summary["of them with the candidate"]["broken"] / waiting
lab.claim("equal models promoted by the sequential test, share", summary["promoted"]["equal"], at_most=0.05)
lab.claim("equal models rolled back by the sequential test, share", summary["rolled back"]["equal"], at_most=0.05)
lab.claim("better models promoted by the sequential test, share", summary["promoted"]["better"], at_least=0.95)
lab.claim("broken models rolled back by the sequential test, share", summary["rolled back"]["broken"], at_least=0.95)
lab.claim("customers who meet the broken model, against waiting for the end", spared, at_most=0.25)

fig, ax = plt.subplots(figsize=(6.5, 2.4))
ax.hist(decisions["broken"][2], bins=40, color="C3")
ax.axvline(waiting, color="k", ls=":", label="fixed horizon")
ax.set(title="The sequential test ends a broken rollout in its canary", xlabel="customers who got the broken model",
       ylabel="rollouts")
ax.legend()
plt.show()

# %% [markdown]
# One test, both promises: an equal model is hardly ever promoted, and a broken one is gone after a few dozen customers
# where the fixed horizon serves it to well over a thousand. The price is power for small differences: what is one point
# better needs more customers than a fixed horizon planned for exactly that.
#
# ## What no test protects from
# Holidays begin with the 50/50 stage, and people write more neatly: **both** models read more cards right than in the
# canary. The models are still equal. A colleague simplifies the comparison: all customers of the candidate against all
# customers of the current model, since "random is random".

# %% tags=["nbval-check-output"]
def compare_totals(customers, wins):
    """The same from the totals of the two arms, whatever the stage."""
    return compare(customers, wins, stage=np.zeros(LOOKS, dtype=int))


neater = simulate(rate["current"], rate["current"], easier_later=0.08)
totals = (outcomes(*neater, contrast=compare_totals)[0] == 1).mean()
within = (outcomes(*neater)[0] == 1).mean()
print(f"equal models promoted: {totals:.0%} from totals, {within:.0%} within stages")

# %%
lab.claim("equal models promoted from totals when cards get easier, share", totals, at_least=0.3)
lab.claim("equal models promoted within stages when cards get easier, share", within, at_most=0.05)

# %% [markdown]
# The candidate got nearly all its customers in the easy weeks, the current model a good part of its own in the hard ones. The
# totals compare weeks, not models (Simpson's paradox). **A traffic split is an experiment only while it stays the same**:
# in each stage the arms share the hour, the region and the kind of customer, and chance alone decides. So compare within
# the stage and add up, as `compare` does. For the same reason "before against after the switch" is no evidence, nor is
# "the candidate in Europe, the current model in the US".
#
# ## The real thing: an endpoint with two models
# Three model resources, an endpoint, the current model with all the traffic. A prebuilt container serves scikit-learn from
# the bucket.

# %%
bucket = lab.target.storage().bucket(lab.target.bucket.removeprefix("gs://"))
IMAGE = aiplatform.helpers.get_prebuilt_prediction_container_uri("sklearn", "1.5")
MACHINE = "n1-standard-2"


def upload(name):
    """Registers one of the three models."""
    path = lab.work / "model.joblib"
    joblib.dump(models[name], path)
    bucket.blob(f"canary-ab-rollout/{name}/model.joblib").upload_from_filename(path)
    return aiplatform.Model.upload(
        display_name=f"digits-{name}",
        artifact_uri=f"{lab.target.bucket}/canary-ab-rollout/{name}",
        serving_container_image_uri=IMAGE,
        labels=lab.target.labels,
    )


registered = {name: upload(name) for name in models}
endpoint = aiplatform.Endpoint.create(display_name="meter-cards", labels=lab.target.labels)
endpoint.deploy(registered["current"], deployed_model_display_name="current", machine_type=MACHINE)
print("traffic:", list(endpoint.traffic_split.values()))

# %% [markdown]
# The canary. `traffic_percentage=10` takes the tenth from what is deployed already.

# %%
def deploy_canary(name):
    """Deploys a candidate with a tenth of the traffic; the ids of the current model and the candidate."""
    endpoint.deploy(
        registered[name], deployed_model_display_name=name, machine_type=MACHINE, traffic_percentage=10
    )
    ids = {deployed.display_name: deployed.id for deployed in endpoint.list_models()}
    return ids["current"], ids[name]


control, candidate = deploy_canary("better")
split = endpoint.traffic_split
print(f"current {split[control]}%, better {split[candidate]}%")

# %% [markdown]
# ## Exercise: the split of the second stage
# `control` and `candidate` are the ids of the two deployed models. Set `even` to what
# `endpoint.update(traffic_split=even)` needs for the 50/50 stage.

# %% tags=["exercise"]
### BEGIN SOLUTION
even = {control: 50, candidate: 50}
### END SOLUTION

# %%
even = lab.check("even_split", even, control, candidate)

# %% [markdown]
# Now the rollout. Each customer is one `predict` call; `deployed_model_id` in the answer says which model it was, and the
# customer says whether the digit was right. After each batch the test is asked, and its answer is carried out at once.

# %%
def serve(card):
    """One customer: the arm that answered, and whether it read the card right."""
    answer = endpoint.predict(instances=[images[card].tolist()])
    return answer.deployed_model_id, bool(answer.predictions[0] == digits[card])


def roll_out(name, control, candidate, stages):
    """Serves customers until the test decides: 1 promote, -1 roll back, 0 the plan is over. And the log of all."""
    decision, rows = 0, []
    counts = np.zeros((2, 2, LOOKS), dtype=int)  # customers and cards read right, per arm and look
    with ThreadPoolExecutor(4) as pool:
        for look in range(LOOKS):
            if look and STAGE[look] != STAGE[look - 1]:
                endpoint.update(traffic_split=stages[STAGE[look]])
            cards = rng.choice(tomorrow, BATCH)
            for card, (arm, was_right) in zip(cards, pool.map(serve, cards), strict=True):
                side = int(arm == candidate)
                counts[:, side, look] += [1, was_right]
                rows.append((name, int(STAGE[look]), "candidate" if side else "current", int(digits[card]), was_right))
            lead, variance = compare(counts[0, :, : look + 1], counts[1, :, : look + 1], STAGE[: look + 1])
            if STAGE[look] == 1 and ratio(lead[-1], variance[-1]) >= ENOUGH:
                decision = 1
            elif ratio(-lead[-1], variance[-1]) >= ENOUGH:
                decision = -1
            if decision:
                break
    return decision, pd.DataFrame(rows, columns=["rollout", "stage", "arm", "digit", "was_right"])


decision, good_log = roll_out("better", control, candidate, {1: even})
winner, loser = (candidate, control) if decision == 1 else (control, candidate)
endpoint.update(traffic_split={winner: 100})
endpoint.undeploy(loser)
print(f"decision {decision} after {len(good_log)} customers, {(good_log.arm == 'candidate').sum()} of them with the candidate")
lab.claim("the real rollout of the better model, 1 is promoted", decision, at_least=1)

# %% [markdown]
# All traffic first, then undeploy: Vertex AI refuses to undeploy a model that still has traffic, and for good reason. Until
# that moment the way back is one call, `endpoint.update(traffic_split={control: 100})`, and takes effect for the next request.
#
# ## The one that must not get through
# The same machinery, with the broken model against the one that has just been promoted. Nobody watches.

# %%
endpoint.deploy(
    registered["broken"], deployed_model_display_name="broken", machine_type=MACHINE, traffic_percentage=10
)
(broken,) = [deployed.id for deployed in endpoint.list_models() if deployed.id != winner]
decision, bad_log = roll_out("broken", winner, broken, {1: {winner: 50, broken: 50}})
if decision == 1:
    winner, broken = broken, winner
endpoint.update(traffic_split={winner: 100})
endpoint.undeploy(broken)
met = (bad_log.arm == "candidate").sum()
plan = int((BATCH * SHARE).sum())
print(f"decision {decision} after {len(bad_log)} customers; {met} met the broken model, {plan} would have by the end of the plan")
lab.claim("the real rollout of the broken model, -1 is rolled back", decision, at_most=-1)
lab.claim("customers who really met the broken model, against the plan", met / plan, at_most=0.25)
lab.claim("share of the traffic that the better model has at the end", endpoint.traffic_split[winner], at_least=100)

# %% [markdown]
# ## What to keep of a rollout: the interactions
# A line per customer, with rollout, stage, arm, segment and outcome, in a table. Later questions ("and who writes sevens
# with a bar?") need no second experiment. Here the segment is the digit, of the customers of the first canary.

# %%
client = lab.target.bigquery()
log = pd.concat([good_log, bad_log], ignore_index=True)
overwrite = bigquery.LoadJobConfig(write_disposition="WRITE_TRUNCATE")
client.load_table_from_dataframe(log, f"{lab.target.dataset}.interactions", job_config=overwrite).result()
by_digit = client.query("""
    SELECT digit, COUNT(*) AS customers,
      ROUND(AVG(IF(arm = 'current', IF(was_right, 1, 0), NULL)), 2) AS current_right,
      ROUND(AVG(IF(arm = 'candidate', IF(was_right, 1, 0), NULL)), 2) AS candidate_right
    FROM interactions WHERE rollout = 'better' AND stage = 0
    GROUP BY digit ORDER BY digit
""").to_dataframe()
print(by_digit.to_string(index=False))

# %% [markdown]
# Some digits improve more than others, and some may look worse. Before anybody builds a rule on one line of this table:
# how many lines of an A/A test would be "significant"?

# %% tags=["nbval-check-output"]
draw = np.random.default_rng(SEED)
per_segment = CUSTOMERS // 20  # ten digits, two arms
wins = draw.binomial(per_segment, rate["current"], (2, ROLLOUTS, 10))
pooled = wins.sum(axis=0) / (2 * per_segment)
segment_z = (wins[1] - wins[0]) / per_segment / np.sqrt(pooled * (1 - pooled) * 2 / per_segment)
chance = (np.abs(segment_z) > norm.ppf(0.975)).any(axis=1).mean()
print(f"A/A rollouts in which at least one of ten digits differs with p < 0.05: {chance:.0%}")
lab.claim("A/A rollouts with a significant segment, share", chance, at_least=0.25)

# %% [markdown]
# It is peeking again, across segments instead of across time. A segment that stands out is a hypothesis for the next
# rollout, not a finding of this one; or divide the 5% by the number of segments (Bonferroni).
#
# ## On Google Cloud
# The cells above are the real SDK's. `TARGET="vertex"` sends them to Vertex AI (since April 2026: Agent Platform, with the same
# API): model upload, endpoint, deployments, traffic splits, predictions, and the table in BigQuery.
#
# **Before.** Roles *Vertex AI User*, *Storage Object Admin* on the bucket, *BigQuery User* and *BigQuery Data Editor* on the
# dataset. Quota: two `n1-standard-2` for online prediction at a time. A prebuilt image reads what its own scikit-learn can read:
# train with the image's version, or serve from a container of your own.
#
# **Cost.** Each deployed model is a machine of its own from deployment to undeployment, also with 0% of the traffic and without
# a single request. A deployment takes several minutes, which are billed, too. The card names the upper bound for three hours.
#
# **What differs.** Here a deployment takes a moment, one process answers for every replica, and there is no autoscaling. On both
# sides the split is drawn anew for *every request*: a customer who comes twice may meet both models. Where that matters, as in
# a conversation, split by customer in front of the endpoint, with two endpoints. The draw follows no seed, so the last
# two rollouts differ from run to run. Latency belongs on the dashboard, too: a canary that is right and slow must also go back.
#
# **Afterwards.** This lists what the lab has made; `lab.cleanup(delete=True)` deletes it, and the machines stop costing.

# %%
report = lab.cleanup()

# %% [markdown]
# ## Exam lens

# %%
lab.quiz()

# %% [markdown]
# **Take away.** A p-value that is looked at until it is small promotes whatever it is given; a sequential test may be looked at
# after every request and stops a broken model in its canary. Compare models only where they shared the traffic at the same time: within a
# stage, never across a change of the split. Change traffic first, undeploy last, and keep a line per customer.

# %%
lab.finish()
