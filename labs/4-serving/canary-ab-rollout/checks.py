"""Checks, hints and wrong answers of canary-ab-rollout."""

import numpy as np
from labkit.lesson import Exercise, Incorrect
from scipy.stats import norm


class Peeking(Exercise):
    name = "peeking"
    hints = [
        "A team that acts on the first crossing promotes if there is any, wherever it is. Which function says so?",
        "Choose the columns of the 50/50 stage with STAGE == 1 first, then compare with LIMIT, then ask along axis 1.",
    ]
    wrong = {
        "only the last look": "promoted = z[:, -1] > LIMIT",
        "the canary's looks, too": "promoted = (z > LIMIT).any(axis=1)",
        "worse as well as better": "promoted = (np.abs(z[:, STAGE == 1]) > LIMIT).any(axis=1)",
        "every look": "promoted = (z[:, STAGE == 1] > LIMIT).all(axis=1)",
        "the share instead of the rollouts": "promoted = (z[:, STAGE == 1] > LIMIT).any(axis=1).mean()",
        "looks instead of rollouts": "promoted = (z[:, STAGE == 1] > LIMIT).any(axis=0)",
    }

    def check(self, promoted, z, stage, limit):
        found = np.asarray(promoted)
        if found.shape != (len(z),):
            raise Incorrect(f"promoted has one truth value per rollout, shape ({len(z)},), got shape {found.shape}.")
        if found.dtype != bool:
            raise Incorrect(f"promoted has truth values, got {found.dtype}: compare z with LIMIT.")
        right = (z[:, stage == 1] > limit).any(axis=1)
        if (found == right).all():
            return
        if (found == (z[:, -1] > limit)).all():
            raise Incorrect("That is the team that looks once, at the end. This one acts at the first crossing.")
        extra = (found & ~right).sum()
        if extra and (found >= right).all():
            raise Incorrect(
                f"{extra} rollouts too many: nothing is promoted from the canary (STAGE 0), and z below -LIMIT speaks "
                "against the candidate."
            )
        raise Incorrect(f"{(right & ~found).sum()} rollouts that cross the limit at some look are missing.")


class Ratio(Exercise):
    name = "ratio"
    hints = [
        "V + tau**2 occurs four times: give it a name first.",
        "The three factors are a square root, np.exp and norm.cdf. Test: for a lead of 0 the last one is 1/2.",
        "For a lead of 0 the whole ratio is sqrt(V / (V + tau**2)), which is below 1: no lead is no evidence.",
    ]
    wrong = {
        "two-sided": (
            "def ratio(lead, variance, tau=0.05):\n"
            "    total = variance + tau**2\n"
            "    return np.sqrt(variance / total) * np.exp(tau**2 * lead**2 / (2 * variance * total))"
        ),
        "standard error instead of variance": (
            "def ratio(lead, variance, tau=0.05):\n"
            "    variance = np.sqrt(variance)\n"
            "    total = variance + tau**2\n"
            "    growth = np.exp(tau**2 * lead**2 / (2 * variance * total))\n"
            "    return 2 * np.sqrt(variance / total) * growth * norm.cdf(lead * tau / np.sqrt(variance * total))"
        ),
        "the density instead of Phi": (
            "def ratio(lead, variance, tau=0.05):\n"
            "    total = variance + tau**2\n"
            "    growth = np.exp(tau**2 * lead**2 / (2 * variance * total))\n"
            "    return 2 * np.sqrt(variance / total) * growth * norm.pdf(lead * tau / np.sqrt(variance * total))"
        ),
        "tau fixed": (
            "def ratio(lead, variance, tau=0.05):\n"
            "    total = variance + 0.05**2\n"
            "    growth = np.exp(0.05**2 * lead**2 / (2 * variance * total))\n"
            "    return 2 * np.sqrt(variance / total) * growth * norm.cdf(lead * 0.05 / np.sqrt(variance * total))"
        ),
        "the p-value": "def ratio(lead, variance, tau=0.05):\n    return 1 / norm.sf(lead / np.sqrt(variance))",
    }

    def check(self, ratio):
        leads = np.array([[0.0, 0.03, -0.03], [0.1, -0.1, 0.01]])
        variances = np.array([[1e-4, 2e-4, 2e-4], [9e-4, 9e-4, 1e-2]])
        for tau in (0.05, 0.2):
            found, right = np.asarray(ratio(leads, variances, tau)), self.reference(leads, variances, tau)
            if found.shape != leads.shape:
                raise Incorrect(f"The result has the shape {found.shape} for leads of shape {leads.shape}.")
            if np.allclose(found, right, rtol=1e-6):
                continue
            if np.allclose(found[0, 1], found[0, 2]):
                raise Incorrect(
                    "A lead of +0.03 and one of -0.03 have the same ratio: without the factor 2 Phi(…) the test cannot "
                    "tell better from worse."
                )
            place = np.unravel_index(np.argmax(~np.isclose(found, right, rtol=1e-6)), leads.shape)
            raise Incorrect(
                f"For d = {leads[place]:g}, V = {variances[place]:g}, tau = {tau:g} the ratio is {right[place]:.4g}, "
                f"not {found[place]:.4g}. V is the variance, not its root, and tau is the function's argument."
            )

    @staticmethod
    def reference(lead, variance, tau):
        total = variance + tau**2
        growth = np.exp(tau**2 * lead**2 / (2 * variance * total))
        return 2 * np.sqrt(variance / total) * growth * norm.cdf(lead * tau / np.sqrt(variance * total))


class EvenSplit(Exercise):
    name = "even_split"
    hints = [
        "A traffic split is a dictionary: what are its keys, and what do its values add up to?",
        "The keys are ids of deployed models, as in endpoint.traffic_split. '0' is for one that is being deployed.",
    ]
    wrong = {
        "names instead of ids": 'even = {"current": 50, "better": 50}',
        "the key of a deployment": 'even = {"0": 50, control: 50}',
        "only the candidate": "even = {candidate: 50}",
        "shares of one": "even = {control: 0.5, candidate: 0.5}",
        "still the canary": "even = {control: 90, candidate: 10}",
        "added on top": "even = {control: 100, candidate: 50}",
        "a list": "even = [50, 50]",
    }

    def check(self, even, control, candidate):
        if not isinstance(even, dict):
            raise Incorrect(f"A traffic split is a dictionary of ids and percentages, got {type(even).__name__}.")
        if "0" in even:
            raise Incorrect('"0" stands for a model that the same request deploys. Both are deployed: name their ids.')
        unknown = set(even) - {control, candidate}
        if unknown:
            raise Incorrect(f"{sorted(map(str, unknown))} are no ids of deployed models; display names are not enough.")
        total = sum(even.values())
        if total != 100:
            raise Incorrect(f"The percentages add up to {total:g}, not to 100: Vertex AI refuses such a split.")
        if set(even.values()) != {50}:
            raise Incorrect(f"The arms get {sorted(even.values())} percent: in this stage each gets 50.")
