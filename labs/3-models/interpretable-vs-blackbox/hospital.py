"""The hospital of this lab: patients, what was done for them, and what would have happened without it."""

import numpy as np
import pandas as pd

# What each column of 0 and 1 really adds to the log-odds of dying on the way home. An inhaler says who has asthma.
TRUE_EFFECT = {"asthma": 0.7, "inhaler": 0.0, "heart_failure": 0.6}
INTENSIVE_CARE = -2.5  # what intensive care adds to the log-odds of dying


def sigmoid(log_odds):
    return 1 / (1 + np.exp(-log_odds))


def draw(rng, number, asthma_first=True):
    """A table of patients. Past care follows the old policy: asthma patients go to intensive care at once.

    With asthma_first=False they are treated like everybody else, by how ill they are.
    `risk_at_home` and `died_at_home` are what nobody records: the outcome without intensive care.
    """
    asthma = rng.random(number) < 0.2
    age = np.clip(rng.normal(62 - 6 * asthma, 16, number), 18, 99)
    breaths = np.clip(rng.gamma(16, 1.35, number) + asthma, 8, 50)
    pressure = np.clip(rng.normal(125, 22, number), 60, 220)
    urea = np.clip(rng.lognormal(1.9, 0.5, number) * (0.7 + age / 180), 1, 60)
    temperature = rng.normal(38.3, 0.9, number)
    heart_failure = rng.random(number) < sigmoid((age - 78) / 8)
    inhaler = rng.random(number) < np.where(asthma, 0.9, 0.05)

    old, fast = (age - 60) / 20, np.clip((breaths - 22) / 7, -1, 3)
    low, kidney = np.clip((110 - pressure) / 25, -0.3, 2), np.clip(np.log(urea / 7), -1, 2)
    old, hot = np.clip(old, -1.2, 2), np.clip((temperature - 38.3) / 0.9, -1.5, 1.5)
    log_odds = -2.6 + 1.2 * old + 0.7 * fast + 0.9 * low + 0.9 * kidney
    log_odds += TRUE_EFFECT["heart_failure"] * heart_failure + TRUE_EFFECT["asthma"] * asthma
    # Interactions, so that a model without any has something to lose: high fever is a bad sign in the young, none in
    # the old. Age and breath still act in one direction, whatever the other columns say.
    log_odds += 0.4 * np.clip(old, 0, 2) * np.clip(fast, 0, 3) - 0.75 * old * hot

    admitted = np.clip(sigmoid(log_odds - 1), 0.02, 0.5)
    if asthma_first:
        admitted = np.where(asthma, 0.9, admitted)
    care = rng.random(number) < admitted
    died = rng.random(number) < sigmoid(log_odds + INTENSIVE_CARE * care)
    risk_at_home = sigmoid(log_odds)
    died_at_home = rng.random(number) < risk_at_home

    columns = {
        "age": age,
        "breaths": breaths,
        "pressure": pressure,
        "urea": urea,
        "temperature": temperature,
        "heart_failure": heart_failure,
        "asthma": asthma,
        "inhaler": inhaler,
        "intensive_care": care,
    }
    patients = pd.DataFrame(columns).astype(float)
    return patients.assign(died=died.astype(int), risk_at_home=risk_at_home, died_at_home=died_at_home.astype(int))
