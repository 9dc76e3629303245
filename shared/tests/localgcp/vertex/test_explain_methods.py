"""The attribution methods on functions whose attributions are known: brute force, closed forms, other packages."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import shap
from localgcp.vertex.explain.gradients import Batch, Noise, blurred, integrated_gradients
from localgcp.vertex.explain.regions import xrai
from localgcp.vertex.explain.shapley import Coalitions, Shapley, contributions, draw_paths
from numpy.typing import NDArray
from saliency.core import INPUT_OUTPUT_GRADIENTS, XRAI, IntegratedGradients

Floats = NDArray[np.float64]
Model = Callable[[Floats], Floats]
X, BASELINE = np.array([1.5, -2.0, 0.7, 3.0]), np.array([0.2, 0.1, -0.4, 1.0])


def interacting(rows: Floats) -> Floats:
    """The first three columns interact, the fourth is added, and a step is in it."""
    a, b, c, d = rows.T
    return a * b * c + 2 * d + np.where(a + d > 2, 1.0, 0.0) * b


def correlated(rows: Floats) -> Floats:
    """Two columns that say nearly the same share what the larger one decides."""
    return np.maximum(rows[:, 0], rows[:, 1] + 0.01) ** 2 + rows[:, 2] * rows[:, 3]


def worth(model: Model, coalitions: Coalitions, x: Floats = X, baseline: Floats = BASELINE) -> Floats:
    return model(np.where(coalitions.members, x, baseline))


def sampled(model: Model, count: int, seed: int = 0, x: Floats = X, baseline: Floats = BASELINE) -> Shapley:
    coalitions = Coalitions.along(draw_paths(np.random.default_rng(seed), len(x), count))
    return contributions(coalitions, worth(model, coalitions, x, baseline))


def exact(model: Model, x: Floats = X, baseline: Floats = BASELINE) -> Floats:
    """By the definition: weighted over all subsets, each asked for on its own."""
    players = range(len(x))
    values = np.zeros(len(x))
    for player in players:
        others = [other for other in players if other != player]
        for size in range(len(x)):
            weight = math.factorial(size) * math.factorial(len(x) - size - 1) / math.factorial(len(x))
            for subset in itertools.combinations(others, size):
                without, there = baseline.copy(), list(subset)
                without[there] = x[there]
                joined = without.copy()
                joined[player] = x[player]
                values[player] += weight * float(model(joined[None])[0] - model(without[None])[0])
    return values


@pytest.mark.parametrize("model", [interacting, correlated])
def test_all_paths_give_the_shapley_values(model: Model) -> None:
    paths = np.array(list(itertools.permutations(range(4))))
    coalitions = Coalitions.along(paths)
    assert len(coalitions.members) == 2**4  # 24 paths of 5 steps, and no coalition is asked for twice
    found = contributions(coalitions, worth(model, coalitions)).values
    assert found == pytest.approx(exact(model), abs=1e-12)
    explainer = shap.explainers.Exact(model, shap.maskers.Independent(BASELINE[None]))
    assert found == pytest.approx(explainer(X[None]).values[0], abs=1e-9)


@pytest.mark.parametrize("count", [1, 2, 7, 50])
def test_any_paths_add_up(count: int) -> None:
    found = sampled(interacting, count).values
    difference = interacting(X[None])[0] - interacting(BASELINE[None])[0]
    assert found.sum() == pytest.approx(difference, abs=1e-12)


def test_the_mean_of_many_samples_is_right_and_its_error_is_the_one_reported() -> None:
    """Unbiased, and the standard errors say how far off a sample is."""
    truth = exact(interacting)
    samples = [sampled(interacting, 20, seed) for seed in range(400)]
    values = np.array([sample.values for sample in samples])
    reported = np.sqrt(np.mean([sample.standard_errors**2 for sample in samples], axis=0))
    assert values.std(axis=0) == pytest.approx(reported, rel=0.15, abs=1e-12)
    assert np.abs(values.mean(axis=0) - truth).max() < 4 * reported.max() / np.sqrt(400)


def test_the_error_falls_as_one_over_the_root_of_the_paths() -> None:
    truth = exact(interacting)
    counts = [4, 16, 64]
    errors = [
        np.sqrt(np.mean([(sampled(interacting, count, seed).values - truth) ** 2 for seed in range(200)]))
        for count in counts
    ]
    slope = np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.06)


def test_more_paths_keep_the_earlier_ones() -> None:
    few, many = (draw_paths(np.random.default_rng(3), 6, count) for count in (5, 50))
    assert (many[:5] == few).all()


def test_the_axioms() -> None:
    dummy = sampled(lambda rows: rows[:, 0] * rows[:, 1], 5).values
    assert dummy[2] == dummy[3] == 0.0
    x, zeros = np.array([2.0, 2.0, 5.0]), np.zeros(3)
    paths = Coalitions.along(np.array(list(itertools.permutations(range(3)))))

    def symmetric(rows: Floats) -> Floats:
        return rows[:, 0] * rows[:, 1] * rows[:, 2]

    first, second, _ = contributions(paths, worth(symmetric, paths, x, zeros)).values
    assert first == pytest.approx(second, abs=1e-12)
    weights = np.array([3.0, -1.0, 0.5, 2.0])
    linear = sampled(lambda rows: rows @ weights, 1).values
    assert linear == pytest.approx(weights * (X - BASELINE), abs=1e-12)


def test_a_single_path_knows_no_error() -> None:
    assert np.isnan(sampled(interacting, 1).standard_errors).all()
    alone = sampled(lambda rows: rows[:, 0] ** 2, 1, x=np.array([3.0]), baseline=np.array([1.0]))
    assert alone.values == [8.0] and alone.standard_errors == [0.0]  # there is one order only


def test_several_outputs_at_once() -> None:
    coalitions = Coalitions.along(draw_paths(np.random.default_rng(0), 4, 9))
    both = np.stack([worth(interacting, coalitions), worth(correlated, coalitions)], axis=1)
    found = contributions(coalitions, both)
    assert found.values[:, 0] == pytest.approx(sampled(interacting, 9).values)
    assert found.values[:, 1] == pytest.approx(sampled(correlated, 9).values)


# A network of one tanh unit over three inputs, which saturates: its gradient at X3 is almost zero.
WEIGHTS, X3, ZEROS = np.array([2.0, -1.0, 0.5]), np.array([3.0, 0.5, 1.0]), np.zeros(3)


def squashed(rows: Floats) -> Floats:
    return np.tanh(rows @ WEIGHTS)


def squashed_gradient(batch: Batch) -> Batch:
    return {"x": (1 - squashed(batch["x"])[:, None] ** 2) * WEIGHTS}


def ig(gradient: Any, x: Floats, baseline: Floats, steps: int, **more: Any) -> Floats:
    return integrated_gradients(gradient, {"x": x}, {"x": baseline}, steps, **more)["x"]


def test_integrated_gradients_are_complete_where_the_gradient_is_blind() -> None:
    difference = squashed(X3[None])[0] - squashed(ZEROS[None])[0]
    found = ig(squashed_gradient, X3, ZEROS, 100)
    assert found.sum() == pytest.approx(difference, abs=2e-4)
    plain = squashed_gradient({"x": X3[None]})["x"][0] * X3
    assert abs(plain.sum()) < 1e-3 < difference
    # In closed form for one unit: each input's part of the sum before the squashing.
    assert found == pytest.approx(difference * WEIGHTS * X3 / (WEIGHTS @ X3), abs=2e-4)


def test_the_midpoint_rule_is_of_second_order() -> None:
    difference = squashed(X3[None])[0] - squashed(ZEROS[None])[0]
    gaps = [abs(ig(squashed_gradient, X3, ZEROS, steps).sum() - difference) for steps in (25, 50, 100)]
    assert [gaps[0] / gaps[1], gaps[1] / gaps[2]] == pytest.approx([4, 4], rel=0.1)


def test_integrated_gradients_agree_with_saliency() -> None:
    def call(rows: Any, call_model_args: Any = None, expected_keys: Any = None) -> Any:
        return {INPUT_OUTPUT_GRADIENTS: squashed_gradient({"x": np.asarray(rows)})["x"]}

    # saliency counts both ends of the path in full, which is of first order in the steps: it needs more of them.
    theirs = IntegratedGradients().GetMask(X3, call, x_steps=20_000, batch_size=1000)
    assert ig(squashed_gradient, X3, ZEROS, 100) == pytest.approx(theirs, abs=3e-4)


def test_integrated_gradients_of_a_linear_model_need_one_step() -> None:
    found = ig(lambda batch: {"x": np.tile(WEIGHTS, (len(batch["x"]), 1))}, X3, np.ones(3), 1)
    assert found == pytest.approx(WEIGHTS * (X3 - 1), abs=1e-12)


def test_inputs_without_a_baseline_stay_as_they_are() -> None:
    def gradient(batch: Batch) -> Batch:
        assert (batch["held"] == 7.0).all()
        return {"x": batch["x"] * 2 * batch["held"][:, None]}

    found = integrated_gradients(gradient, {"x": X3, "held": np.float64(7)}, {"x": ZEROS}, 10)
    assert set(found) == {"x"} and found["x"] == pytest.approx(7 * X3**2, rel=1e-9)


def test_smooth_grad_averages_over_noise() -> None:
    def kinked(batch: Batch) -> Batch:
        return {"x": np.where(batch["x"] > 2.0, 1.0, 0.0)}

    x, zero = np.array([3.0]), np.zeros(1)
    sharp = ig(kinked, x, zero, 100)
    smooth = ig(kinked, x, zero, 100, noise=Noise({"x": 5.0}, 50), rng=np.random.default_rng(0))
    assert sharp == pytest.approx([1.0], abs=0.02)
    # P(point + noise > 2) over the path from 0 to 3 with so much noise: near 0.46 of its length.
    assert smooth == pytest.approx([3 * 0.46], abs=0.06)
    silent = ig(kinked, x, zero, 100, noise=Noise({"other": 5.0}, 3), rng=np.random.default_rng(0))
    assert silent == pytest.approx(sharp)


def test_a_blur_keeps_the_light_and_does_not_mix_channels() -> None:
    image = np.zeros((15, 15, 3))
    image[7, 7, 1] = 1.0
    soft = blurred(image, 2.0)
    assert soft[..., 1].sum() == pytest.approx(1.0, abs=1e-3) and soft.max() < 0.1
    assert (soft[..., [0, 2]] == 0).all()


def test_xrai_finds_the_region_and_agrees_with_saliency() -> None:
    image = np.full((64, 64, 3), 0.2)
    image[8:24, 40:60] = [0.9, 0.1, 0.1]
    image[40:56, 8:24] = [0.1, 0.8, 0.1]
    attributions = np.zeros_like(image)
    attributions[8:24, 40:60] = np.random.default_rng(0).random((16, 20, 3)) * (np.arange(16) % 2)[:, None, None]
    found = xrai(image, attributions)
    assert found.shape == (64, 64)
    inside = np.zeros((64, 64), bool)
    inside[8:24, 40:60] = True
    assert found[inside].min() > 3 * found[40:56, 8:24].max()  # whole regions: also the rows without gradients
    assert found == pytest.approx(XRAI().GetMask(image, None, base_attribution=attributions))
    assert np.isfinite(xrai(np.full((64, 64, 3), 0.5), attributions)).all()  # one colour, one region
