"""A program: Vizier's designers over pipes. The first line is the study, each further line asks for one suggestion.

Study: {"algorithm", "maximize", "parameters": [{"id", "kind", "scale", "min", "max" or "values"}], "seed"}. Question:
{"completed": [[parameters, objective or null], …], "pending": [parameters, …]}. Answer: {"parameters": {…} or null},
where null says that the space is exhausted, or {"error": "…"}. The program ends with its standard input.
"""

from __future__ import annotations

import json
import os
import queue
import statistics
import sys
import threading
import traceback
from typing import Any, Protocol

# TensorFlow Probability's JAX substrate imports TensorFlow for its docstrings only: 5 s and 400 MB.
sys.modules["tensorflow"] = None  # type: ignore[assignment]

from vizier import algorithms as vza  # noqa: E402
from vizier import pyvizier as vz  # noqa: E402

_METRIC = "objective"
# A fifteenth of Vizier's default, for spaces of a handful of parameters.
_ACQUISITION_EVALUATIONS = 5_000

Parameters = dict[str, Any]
Completed = list[tuple[Parameters, float | None]]


class Strategy(Protocol):
    def suggest(self, completed: Completed, pending: list[Parameters]) -> vz.TrialSuggestion | None: ...


class Random:
    """Independent draws, uniform on each parameter's scale."""

    def __init__(self, problem: vz.ProblemStatement, seed: int) -> None:
        from vizier._src.algorithms.designers.random import RandomDesigner

        self._designer = RandomDesigner(problem.search_space, seed=seed)

    def suggest(self, completed: Completed, pending: list[Parameters]) -> vz.TrialSuggestion:
        return self._designer.suggest(1)[0]


class Grid:
    """Every point once, the first parameter fastest; Vizier's designer would begin again."""

    def __init__(self, problem: vz.ProblemStatement) -> None:
        from vizier._src.algorithms.designers.grid import GridSearchDesigner

        self._designer = GridSearchDesigner(problem.search_space)
        self._left = 1
        for parameter in problem.search_space.parameters:
            self._left *= parameter.num_feasible_values

    def suggest(self, completed: Completed, pending: list[Parameters]) -> vz.TrialSuggestion | None:
        if self._left == 0:
            return None
        self._left -= 1
        return self._designer.suggest(1)[0]


class Bayesian:
    """Vizier's Gaussian process bandit with the upper confidence bound.

    It knows nothing of pending trials and would suggest their points again: they are told to it as completed ones with
    the mean of what is known (a constant liar).
    """

    def __init__(self, problem: vz.ProblemStatement, seed: int) -> None:
        from vizier._src.algorithms.designers import gp_bandit
        from vizier._src.algorithms.designers.quasi_random import QuasiRandomDesigner
        from vizier._src.algorithms.optimizers import eagle_strategy, vectorized_base
        from vizier.pyvizier.converters import padding

        self._problem, self._seed, self._designer = problem, seed, gp_bandit.VizierGPBandit
        self._quasi_random = QuasiRandomDesigner(problem.search_space, seed=seed)
        self._options = {
            "acquisition_optimizer_factory": vectorized_base.VectorizedOptimizerFactory(
                strategy_factory=eagle_strategy.VectorizedEagleStrategyFactory(
                    eagle_config=eagle_strategy.EagleStrategyConfig()
                ),
                max_evaluations=_ACQUISITION_EVALUATIONS,
                suggestion_batch_size=25,
            ),
            # Without padding JAX compiles anew for every number of trials: 10 s each instead of 1 s.
            "padding_schedule": padding.PaddingSchedule(num_trials=padding.PaddingType.MULTIPLES_OF_10),
        }

    def suggest(self, completed: Completed, pending: list[Parameters]) -> vz.TrialSuggestion:
        feasible = [value for _, value in completed if value is not None]
        if not feasible and (completed or pending):
            return self._quasi_random.suggest(1)[0]
        told = [*completed, *((parameters, statistics.fmean(feasible)) for parameters in pending)]
        designer = self._designer.from_problem(self._problem, seed=self._seed + len(told), **self._options)
        trials = [_trial(number, *trial) for number, trial in enumerate(told, 1)]
        designer.update(vza.CompletedTrials(trials), vza.ActiveTrials([]))
        return designer.suggest(1)[0]


def _trial(number: int, parameters: Parameters, value: float | None) -> vz.Trial:
    trial = vz.TrialSuggestion(parameters).to_trial(number)
    if value is None:
        trial.complete(vz.Measurement(), infeasibility_reason="infeasible")
    else:
        trial.complete(vz.Measurement({_METRIC: value}))
    return trial


def problem_of(study: dict[str, Any]) -> vz.ProblemStatement:
    problem = vz.ProblemStatement()
    root = problem.search_space.root
    for parameter in study["parameters"]:
        name, scale = parameter["id"], parameter["scale"] and vz.ScaleType[parameter["scale"]]
        if parameter["kind"] == "double":
            root.add_float_param(name, float(parameter["min"]), float(parameter["max"]), scale_type=scale)
        elif parameter["kind"] == "integer":
            root.add_int_param(name, int(parameter["min"]), int(parameter["max"]), scale_type=scale)
        elif parameter["kind"] == "discrete":
            root.add_discrete_param(name, [float(value) for value in parameter["values"]], scale_type=scale)
        else:
            root.add_categorical_param(name, parameter["values"])
    goal = vz.ObjectiveMetricGoal.MAXIMIZE if study["maximize"] else vz.ObjectiveMetricGoal.MINIMIZE
    problem.metric_information.append(vz.MetricInformation(_METRIC, goal=goal))
    return problem


def strategy_of(study: dict[str, Any]) -> Strategy:
    problem = problem_of(study)
    if study["algorithm"] == "GRID_SEARCH":
        return Grid(problem)
    if study["algorithm"] == "RANDOM_SEARCH":
        return Random(problem, study["seed"])
    # A seed of JAX has 32 bits with a sign.
    return Bayesian(problem, study["seed"] % 2**30)


def _answer(strategy: Strategy, question: dict[str, Any]) -> dict[str, Any]:
    completed = [(parameters, value) for parameters, value in question["completed"]]
    suggestion = strategy.suggest(completed, question["pending"])
    if suggestion is None:
        return {"parameters": None}
    return {"parameters": {name: value.value for name, value in suggestion.parameters.items()}}


def _read(lines: queue.Queue[str]) -> None:
    """Ends the program with its input, also while it computes: that is how it notices that the server is gone."""
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)


def main() -> None:
    # What a library prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    strategy, study = None, json.loads(lines.get())
    while True:
        question = json.loads(lines.get())
        try:
            strategy = strategy or strategy_of(study)
            answer = _answer(strategy, question)
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
