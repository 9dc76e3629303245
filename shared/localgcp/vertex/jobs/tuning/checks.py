"""What a HyperparameterTuningJob has to fulfil before it runs: refused as the service documents it, or not emulated."""

from __future__ import annotations

import re
from collections.abc import Iterator

from google.cloud.aiplatform_v1.types import StudySpec

from localgcp.vertex.errors import Violation, invalid_fields, unimplemented
from localgcp.vertex.messages import Message, raw

_STOPPING = {
    "decay_curve_stopping_spec": "whose regression model is not public",
    "convex_automated_stopping_spec": "whose regression model is not public",
}
_LOGARITHMIC = {"UNIT_LOG_SCALE", "UNIT_REVERSE_LOG_SCALE"}
_MOST_VALUES = 1000


def check(job: Message) -> None:
    """Raises VertexError for a job whose study cannot be run; its trial_job_spec is not looked at."""
    spec = job.study_spec
    found = [*_count_violations(job), *_metric_violations(spec), *_parameter_violations(spec)]
    if found:
        raise invalid_fields(*found)
    if len(spec.metrics) > 1:
        raise unimplemented("A tuning job with several metrics")
    if "safety_config" in spec.metrics[0]:
        raise unimplemented("study_spec.metrics[0].safety_config")
    if "study_stopping_config" in spec:
        raise unimplemented("study_spec.study_stopping_config", 'set max_trial_count, or run with TARGET="vertex"')
    for field, why in _STOPPING.items():
        if field in spec:
            raise unimplemented(f"study_spec.{field}, {why},", "use median_automated_stopping_spec")
    for number, parameter in enumerate(spec.parameters):
        if parameter.conditional_parameter_specs:
            raise unimplemented(
                f"study_spec.parameters[{number}].conditional_parameter_specs (OSS Vizier searches flat spaces only)",
                'make it a parameter of its own, or run with TARGET="vertex"',
            )


def _count_violations(job: Message) -> Iterator[Violation]:
    for field in ("max_trial_count", "parallel_trial_count"):
        if getattr(job, field) < 1:
            yield Violation(field, "It must be at least 1.")
    if job.max_failed_trial_count < 0:
        yield Violation("max_failed_trial_count", "It must not be negative.")


def _metric_violations(spec: Message) -> Iterator[Violation]:
    if spec.observation_noise:
        yield Violation("study_spec.observation_noise", "HyperparameterTuningJob does not support it.")
    seen: set[str] = set()
    for number, metric in enumerate(spec.metrics):
        path = f"study_spec.metrics[{number}]"
        yield from _id_violations(f"{path}.metric_id", metric.metric_id, seen)
        if metric.goal == StudySpec.MetricSpec.GoalType.GOAL_TYPE_UNSPECIFIED:
            yield Violation(f"{path}.goal", "It must be MAXIMIZE or MINIMIZE.")


def _parameter_violations(spec: Message) -> Iterator[Violation]:
    seen: set[str] = set()
    for number, parameter in enumerate(spec.parameters):
        path = f"study_spec.parameters[{number}]"
        yield from _id_violations(f"{path}.parameter_id", parameter.parameter_id, seen)
        kind = raw(parameter).WhichOneof("parameter_value_spec")
        if kind is None:
            yield Violation(path, "One of double, integer, categorical and discrete_value_spec is required.")
            continue
        given = getattr(parameter, kind)
        if raw(given).HasField("default_value"):
            yield Violation(f"{path}.{kind}.default_value", "HyperparameterTuningJob does not support it.")
        if kind == "double_value_spec" and spec.algorithm == StudySpec.Algorithm.GRID_SEARCH:
            message = "Grid search takes INTEGER, CATEGORICAL and DISCRETE parameters only."
            yield Violation(f"{path}.{kind}", message)
        yield from _value_violations(path, kind, given, parameter.scale_type.name)


def _id_violations(path: str, identifier: str, seen: set[str]) -> Iterator[Violation]:
    if re.search(r"\s", identifier):
        yield Violation(path, f"'{identifier}' contains whitespace.")
    if identifier in seen:
        yield Violation(path, f"'{identifier}' is there twice.")
    seen.add(identifier)


def _value_violations(path: str, kind: str, given: Message, scale: str) -> Iterator[Violation]:
    """What is wrong with the feasible values of one parameter."""
    if kind == "categorical_value_spec":
        if scale != "SCALE_TYPE_UNSPECIFIED":
            yield Violation(f"{path}.scale_type", "It must be unset for a CATEGORICAL parameter.")
        values: list[float] = []
        if len(set(given.values)) < len(given.values):
            yield Violation(f"{path}.{kind}.values", "A value is there twice.")
    elif kind == "discrete_value_spec":
        values = list(given.values)
        if sorted(set(values)) != values:
            yield Violation(f"{path}.{kind}.values", "They must be in increasing order, and different.")
        if len(values) > _MOST_VALUES:
            yield Violation(f"{path}.{kind}.values", f"At most {_MOST_VALUES} values are allowed.")
    else:
        values = [given.min_value, given.max_value]
        if given.min_value > given.max_value:
            yield Violation(f"{path}.{kind}.min_value", "It is greater than max_value.")
    if scale in _LOGARITHMIC and values and min(values) <= 0:
        yield Violation(f"{path}.scale_type", f"{scale} needs values above 0.")
