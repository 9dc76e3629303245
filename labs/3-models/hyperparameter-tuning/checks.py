"""Checks, hints and wrong answers of hyperparameter-tuning."""

from types import SimpleNamespace

from google.cloud.aiplatform import hyperparameter_tuning as hpt
from labkit.lesson import Exercise, Incorrect

KINDS = {
    "C": ("hyperparameter", "It is passed to the trainer before it sees a row."),
    "gamma": ("hyperparameter", "It is passed to the trainer before it sees a row."),
    "weight of a support vector": ("parameter", "The solver computes it from the rows."),
    "intercept": ("parameter", "The solver computes it from the rows."),
    "max_trial_count": ("search setting", "No model knows it: it says how many models there will be."),
    "parallel_trial_count": ("search setting", "No model knows it: it says how many are trained at once."),
    "range in which gamma is searched": ("search setting", "A model gets one gamma. The range belongs to the search."),
    "number of layers of a network": ("hyperparameter", "Training cannot change it, a tuning job can."),
    "moving mean of a batch normalisation": ("parameter", "It is estimated from the batches during training."),
}


class Kinds(Exercise):
    name = "kinds"
    hints = [
        "Ask of each: does it come out of fit(), does it go into fit(), or does fit() know nothing of it?",
        "Three come out, three go in, three are known to the tuning job alone.",
    ]
    wrong = {
        "the range is a hyperparameter": """
kinds = {
    "C": "hyperparameter", "gamma": "hyperparameter", "weight of a support vector": "parameter",
    "intercept": "parameter", "max_trial_count": "search setting", "parallel_trial_count": "search setting",
    "range in which gamma is searched": "hyperparameter", "number of layers of a network": "hyperparameter",
    "moving mean of a batch normalisation": "parameter",
}
""",
        "layers are parameters": """
kinds = {
    "C": "hyperparameter", "gamma": "hyperparameter", "weight of a support vector": "parameter",
    "intercept": "parameter", "max_trial_count": "search setting", "parallel_trial_count": "search setting",
    "range in which gamma is searched": "search setting", "number of layers of a network": "parameter",
    "moving mean of a batch normalisation": "parameter",
}
""",
        "some are missing": 'kinds = {"C": "hyperparameter", "intercept": "parameter"}',
    }

    def check(self, kinds):
        if not isinstance(kinds, dict):
            raise Incorrect("kinds is a dictionary: one of the nine names -> one of the three kinds.")
        for name, (kind, why) in KINDS.items():
            if name not in kinds:
                raise Incorrect(f"{name!r} is missing.")
            if kinds[name] != kind:
                raise Incorrect(f"{name!r} is no {kinds[name]}. {why}")


class ParameterSpec(Exercise):
    name = "parameter_spec"
    hints = [
        "Which scale gives 0.001 to 0.01 as many trials as 10 to 100?",
        "The three real numbers are hpt.DoubleParameterSpec(min=…, max=…, scale='log').",
        "A list of numbers is hpt.DiscreteParameterSpec; 0 has no logarithm, so its scale is linear.",
    ]
    wrong = {
        "linear": """
parameter_spec = {
    "C": hpt.DoubleParameterSpec(min=1e-2, max=1e4, scale="linear"),
    "gamma": hpt.DoubleParameterSpec(min=1e-5, max=1e2, scale="linear"),
    "tol": hpt.DoubleParameterSpec(min=1e-4, max=1e-2, scale="linear"),
    "coef0": hpt.DiscreteParameterSpec(values=[0, 0.1, 1, 10], scale="linear"),
}
""",
        "the ends as logarithms": """
parameter_spec = {
    "C": hpt.DoubleParameterSpec(min=-2, max=4, scale="linear"),
    "gamma": hpt.DoubleParameterSpec(min=-5, max=2, scale="linear"),
    "tol": hpt.DoubleParameterSpec(min=-4, max=-2, scale="linear"),
    "coef0": hpt.DiscreteParameterSpec(values=[0, 0.1, 1, 10], scale="linear"),
}
""",
        "numbers as categories": """
parameter_spec = {
    "C": hpt.DoubleParameterSpec(min=1e-2, max=1e4, scale="log"),
    "gamma": hpt.DoubleParameterSpec(min=1e-5, max=1e2, scale="log"),
    "tol": hpt.DoubleParameterSpec(min=1e-4, max=1e-2, scale="log"),
    "coef0": hpt.CategoricalParameterSpec(values=["0", "0.1", "1", "10"]),
}
""",
    }

    def check(self, parameter_spec, ranges):
        if not isinstance(parameter_spec, dict) or set(parameter_spec) != set(ranges):
            raise Incorrect(f"parameter_spec is a dictionary with the names {', '.join(ranges)}.")
        for name in ("C", "gamma", "tol"):
            self._check_real(name, parameter_spec[name], *ranges[name])
        discrete = parameter_spec["coef0"]
        if isinstance(discrete, hpt.CategoricalParameterSpec):
            raise Incorrect("coef0 has numbers. As categories they lose their order, which a search could learn from.")
        if not isinstance(discrete, hpt.DiscreteParameterSpec) or list(discrete.values) != [0, 0.1, 1, 10]:
            raise Incorrect("coef0 is a DiscreteParameterSpec with the values 0, 0.1, 1 and 10, in this order.")
        if discrete.scale not in (None, "linear"):
            raise Incorrect("coef0 has the value 0, which has no logarithm: its scale is linear.")

    def _check_real(self, name, spec, low, high):
        if not isinstance(spec, hpt.DoubleParameterSpec):
            raise Incorrect(f"{name} is a real number: hpt.DoubleParameterSpec.")
        if (spec.min, spec.max) != (low, high):
            raise Incorrect(f"{name} goes from {low:g} to {high:g}: the trainer gets values, not logarithms.")
        if spec.scale != "log":
            raise Incorrect(
                f"On the scale {spec.scale!r} nine of ten trials of {name} lie between {high / 10:g} and {high:g}."
            )


def trial(number, value=None, state="SUCCEEDED"):
    metrics = [] if value is None else [SimpleNamespace(metric_id="m", value=value)]
    measurement = SimpleNamespace(metrics=metrics)
    return SimpleNamespace(
        id=str(number), state=SimpleNamespace(name=state), parameters=[], final_measurement=measurement
    )


class BestTrial(Exercise):
    name = "best_trial"
    hints = [
        "Look at the state before you look at the measurement.",
        "max(…, key=…) takes a function that gives the value of a trial; min does the same for a loss.",
    ]
    wrong = {
        "no look at the state": """
def best_trial(trials, maximize=True):
    return max(trials, key=lambda trial: trial.final_measurement.metrics[0].value).id
""",
        "always the highest": """
def best_trial(trials, maximize=True):
    usable = [trial for trial in trials if trial.state.name == "SUCCEEDED"]
    return max(usable, key=lambda trial: trial.final_measurement.metrics[0].value).id
""",
        "the value instead of the id": """
def best_trial(trials, maximize=True):
    usable = [trial.final_measurement.metrics[0].value for trial in trials if trial.state.name == "SUCCEEDED"]
    return max(usable) if maximize else min(usable)
""",
        "a failed trial counts as zero": """
def best_trial(trials, maximize=True):
    def value(trial):
        metrics = trial.final_measurement.metrics
        return metrics[0].value if metrics else 0.0
    return (max if maximize else min)(trials, key=value).id
""",
    }

    def check(self, best_trial):
        failed = trial(2, state="INFEASIBLE")
        cases = [
            ([trial(1, 0.7), trial(2, 0.9), trial(3, 0.8)], True, "2", "the highest of three"),
            ([trial(1, 0.7), trial(2, 0.9), trial(3, 0.8)], False, "1", "maximize=False, the lowest of three"),
            ([trial(1, -3.0), failed, trial(3, -2.0)], True, "3", "a failed trial and negative values"),
            ([trial(1, 3.0), failed, trial(3, 2.0)], False, "3", "a failed trial and a loss"),
            # Early measurements of a trial that failed later: its state decides.
            ([trial(1, 0.5), trial(2, 0.99, "INFEASIBLE")], True, "1", "a trial that failed after a measurement"),
        ]
        for trials, maximize, expected, what in cases:
            try:
                found = best_trial(trials, maximize)
            except Exception as error:
                raise Incorrect(f"{what}: it raises {type(error).__name__}: {error}.") from None
            if found != expected:
                raise Incorrect(f"{what}: the best one has the id {expected!r}, not {found!r}.")
