"""Runs one compiled pipeline with kfp.local in a process of its own, and writes what each task does to a file.

Started as a script, `runner.py PLAN.json`; it imports nothing of the server. kfp.local decides what runs, with which
values, and how often. `_Changes` are the places where it has no way to watch a task, knows no Cloud Storage, or does
something else than the service; each says why. kfp 2.17.0.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp import dsl, local
from kfp.compiler import pipeline_spec_builder
from kfp.dsl import executor
from kfp.dsl.types import artifact_types
from kfp.local import (
    cache,
    config,
    executor_input_utils,
    executor_output_utils,
    io,
    pipeline_orchestrator,
    placeholder_utils,
    status,
    subprocess_task_handler,
)
from kfp.local.orchestrator import dag_orchestrator, enhanced_dag_orchestrator, orchestrator_utils, task_spec_utils
from kfp.pipeline_spec import pipeline_spec_pb2

_ENTRY_POINT = "python3 -m kfp.dsl.executor_main"
_COMPONENT = Path(__file__).with_name("component.py")
_INPUT = re.compile(r"inputs\.parameter_values\['([^']+)'\]")
_TEXT = re.compile(r"('(?:[^'\\]|\\.)*')")
_AFTER_FAILURE = pipeline_spec_pb2.PipelineTaskSpec.TriggerPolicy.ALL_UPSTREAM_TASKS_COMPLETED
_PREREQUISITE_FAILED = 9


class Task:
    """A task of this run; `parent` is the DAG, loop or pipeline that it is part of."""

    def __init__(self, number: int, name: str, parent: Task | None) -> None:
        self.number, self.name, self.parent = number, name, parent
        self.cached = False
        self.attempts = 0
        self.error = ""
        # The names of its own tasks: all that have begun, and those that have failed.
        self.begun: set[str] = set()
        self.failed: dict[str, Task] = {}

    @property
    def label(self) -> str:
        """For files: no two tasks of a run have the same."""
        return f"{self.name}_{self.number}"


class Report:
    """The file of events, one JSON object per line; tasks of a loop write at the same time."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()
        self._count = 0

    def new(self, name: str, parent: Task | None) -> Task:
        with self._lock:
            self._count += 1
            if parent is not None:
                parent.begun.add(name)
            return Task(self._count, name, parent)

    def tell(self, task: Task, event: str, **more: Any) -> None:
        line = {"event": event, "task": task.number, "time": datetime.now(UTC).isoformat(), **more}
        with self._lock:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()

    def begin(self, task: Task, kind: str, inputs: dict[str, Any]) -> None:
        parent = task.parent.number if task.parent is not None else None
        self.tell(task, "begin", name=task.name, parent=parent, kind=kind, inputs=_plain(inputs))

    def end(self, task: Task, state: str, outputs: dict[str, Any]) -> None:
        if state == "FAILED" and task.parent is not None:
            task.parent.failed[task.name] = task
        # A DAG that has failed with its tasks has nothing to say of its own.
        log, is_own = f"{task.label}.log", not task.failed
        self.tell(task, "end", state=state, outputs=_plain(outputs), error=task.error, is_own=is_own, log=log)


class _Here(threading.local):
    """The task that this thread is in; `unreadable` is what is wrong with the condition of the one that comes next."""

    task: Task
    unreadable = ""


_here = _Here()


@contextmanager
def _inside(task: Task) -> Iterator[None]:
    before = getattr(_here, "task", None)
    _here.task = task
    try:
        yield
    finally:
        if before is not None:
            _here.task = before


class _Values(io.IOStore):  # type: ignore[misc]
    """The values of a DAG; it knows which task the DAG is, for tasks of a loop are run in other threads."""

    def __init__(self, parent: io.IOStore | None = None) -> None:
        super().__init__(parent=parent)
        self.dag = _here.task


class _Changes:
    """What is changed in kfp.local, in this process."""

    def __init__(self, plan: dict[str, Any], report: Report) -> None:
        self._plan, self._report = plan, report
        self._loops: dict[tuple[int, str], Task] = {}
        self._has_failed = False

    def apply(self) -> None:
        enhanced, utils = enhanced_dag_orchestrator, orchestrator_utils.OrchestratorUtils
        # No hook tells what runs.
        io.IOStore = _Values
        enhanced.execute_task = self._watched(enhanced.execute_task)
        enhanced._run_parallel_for_task = self._watched_loop(enhanced._run_parallel_for_task)
        # Of two orchestrators the plain one ends with the first failure. The service goes on with what it can.
        enhanced.run_enhanced_dag = self._watched_dag(enhanced.run_enhanced_dag)
        dag_orchestrator.run_dag = enhanced.run_enhanced_dag
        # A condition that kfp.local cannot read, or with the name of an output in it, counts as false.
        enhanced.ConditionEvaluator.evaluate_condition = staticmethod(evaluate)
        # The inputs of a loop that come from other tasks, or from a loop around it, become the loop's item.
        task_spec_utils.create_parameter_loop_iteration_task_spec = _iteration
        # dsl.OneOf of artifacts ends the whole pipeline.
        utils.get_dag_output_artifacts = _output_artifacts
        # The exit task is told the name of the run and why it has failed.
        utils.make_task_arguments = self._with_final_status(utils.make_task_arguments)
        # Whole numbers in lists and dictionaries become floats.
        executor_input_utils.executor_input_to_dict = _with_integers(executor_input_utils.executor_input_to_dict)
        # What a container component writes is no output of it: kfp.local reads only the file of a Python component.
        executor_output_utils.get_outputs_for_task = _outputs
        # Whether the cache had the task; and the keys do not mix up pipelines, see `main`.
        cache.LocalCache.get = _noting_hits(cache.LocalCache.get)
        # Local processes instead of containers, each with its log.
        subprocess_task_handler.SubprocessTaskHandler = self._handler()
        # The run's and the tasks' places in Cloud Storage.
        executor_input_utils.get_local_pipeline_resource_name = lambda _: self._plan["job"]
        executor_input_utils.construct_local_task_root = lambda **_: f"{self._plan['root']}/{_here.task.label}"
        executor_input_utils.construct_executor_input = self._with_paths(executor_input_utils.construct_executor_input)
        placeholder_utils.convert_placeholder_parts_to_path = _keeping_path(
            placeholder_utils.convert_placeholder_parts_to_path
        )
        placeholder_utils.get_value_using_path = self._with_path(placeholder_utils.get_value_using_path)
        artifact_types._GCS_LOCAL_MOUNT_PREFIX = self._plan["buckets"] + "/"

    def local(self, uri: str) -> str:
        return uri.replace("gs://", self._plan["buckets"] + "/", 1) if uri.startswith("gs://") else uri

    def _watched(self, execute: Callable[..., Any]) -> Callable[..., Any]:
        def run(task_name: str, task_spec: Any, components: Any, io_store: Any, **rest: Any) -> Any:
            is_exit = task_spec.trigger_policy.strategy == _AFTER_FAILURE
            if self._plan["fail_fast"] and self._has_failed and not is_exit:
                _here.unreadable = ""
                return {}, status.Status.FAILURE
            component = components[task_spec.component_ref.name]
            kind = "dag" if component.WhichOneof("implementation") == "dag" else self._kind(component)
            loop = self._loops.get((io_store.dag.number, task_name.rpartition("-iteration-")[0]))
            task = self._report.new(task_name, loop or io_store.dag)
            outputs, state = {}, status.Status.FAILURE
            with _inside(task):
                try:
                    self._report.begin(task, kind, _inputs(task_spec, component, io_store))
                    _raise_unreadable()
                    outputs, state = execute(
                        task_name=task_name, task_spec=task_spec, components=components, io_store=io_store, **rest
                    )
                except Exception as error:
                    # kfp.local would end the pipeline here, without its exit tasks.
                    task.error = f"{type(error).__name__}: {error}"
                    traceback.print_exc()
            self._end(task, state, outputs)
            return outputs, state

        return run

    def _end(self, task: Task, state: Any, outputs: dict[str, Any]) -> None:
        if state == status.Status.FAILURE:
            self._has_failed = True
            task.error = task.error or failed_tasks(task)
        name = "FAILED" if state == status.Status.FAILURE else "SKIPPED" if task.cached else "SUCCEEDED"
        self._report.end(task, name, outputs)

    def _kind(self, component: Any) -> str:
        executors = self._plan["spec"]["deploymentSpec"]["executors"]
        return "importer" if "importer" in executors[component.executor_label] else "container"

    def _watched_dag(self, run_dag: Callable[..., Any]) -> Callable[..., Any]:
        """Tasks of a DAG that nothing has been heard of were not triggered."""

        def run(dag_component_spec: Any, **rest: Any) -> Any:
            dag = _here.task
            result = run_dag(dag_component_spec=dag_component_spec, **rest)
            for name in sorted(set(dag_component_spec.dag.tasks) - dag.begun):
                task = self._report.new(name, dag)
                self._report.begin(task, "none", {})
                self._report.end(task, "NOT_TRIGGERED", {})
            return result

        return run

    def _watched_loop(self, run_loop: Callable[..., bool]) -> Callable[..., bool]:
        def run(task_name: str, task_spec: Any, components: Any, io_store: Any, **rest: Any) -> bool:
            if self._plan["fail_fast"] and self._has_failed:
                return True
            task = self._report.new(task_name, io_store.dag)
            self._loops[io_store.dag.number, task_name] = task
            component = components[task_spec.component_ref.name]
            failed = True
            try:
                self._report.begin(task, "dag", _inputs(task_spec, component, io_store))
                spec = _with_items(task_spec, io_store)
                for name in _outputs_of_nothing(spec, component):
                    io_store.put_task_output(task_name, name, [])
                failed = run_loop(task_name=task_name, task_spec=spec, components=components, io_store=io_store, **rest)
            except Exception as error:
                task.error = f"{type(error).__name__}: {error}"
                traceback.print_exc()
            self._end(task, status.Status.FAILURE if failed else status.Status.SUCCESS, {})
            return failed

        return run

    def _with_final_status(self, make: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        def arguments(task_inputs_spec: Any, io_store: Any) -> dict[str, Any]:
            found = make(task_inputs_spec, io_store)
            for name, given in task_inputs_spec.parameters.items():
                if given.HasField("task_final_status"):
                    found[name]["pipeline_job_resource_name"] = self._plan["name"]
                    failed = io_store.dag.failed.get(given.task_final_status.producer_task)
                    if failed is not None:
                        found[name]["error"] = {"code": _PREREQUISITE_FAILED, "message": failed.error}
            return found

        return arguments

    def _handler(self) -> Any:
        changes = self
        report, logs = self._report, Path(self._plan["logs"])

        class Handler(subprocess_task_handler.SubprocessTaskHandler):  # type: ignore[misc]
            def validate_image(self, image: str) -> None:
                """No image is used."""

            def validate_not_container_component(self, full_command: list[str]) -> None:
                """Its command runs as a process, too."""

            def run(self) -> status.Status:
                task = _here.task
                task.attempts += 1
                if task.attempts > 1:
                    report.tell(task, "retry", error=task.error)
                entry = f'"{sys.executable}" "{_COMPONENT}"'
                command = [changes._mounted(part.replace(_ENTRY_POINT, entry)) for part in self.full_command]
                with (logs / f"{task.label}.log").open("ab") as log:
                    code = _run(command, {**os.environ, **self.env_vars}, log)
                task.error = "" if code == 0 else f"The task exited with a status of {code}."
                return status.Status.SUCCESS if code == 0 else status.Status.FAILURE

        return Handler

    def _mounted(self, text: str) -> str:
        return re.sub(r"(?<![\w./-])/gcs/(?=[a-z0-9])", lambda _: self._plan["buckets"] + "/", text)

    def _with_paths(self, construct: Callable[..., Any]) -> Callable[..., Any]:
        """A task writes its parameters to local files; the folders of all its outputs are there, as on the service."""

        def executor_input(**arguments: Any) -> Any:
            made = construct(**arguments)
            made.outputs.output_file = self.local(made.outputs.output_file)
            for parameter in made.outputs.parameters.values():
                parameter.output_file = self.local(parameter.output_file)
            uris = [artifact.uri for listed in made.outputs.artifacts.values() for artifact in listed.artifacts]
            for path in (made.outputs.output_file, *map(self.local, uris)):
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            return made

        return executor_input

    def _with_path(self, value_of: Callable[..., Any]) -> Callable[..., Any]:
        def value(dictionary: dict[str, Any], path: list[Any]) -> Any:
            if path[-1:] != ["path"]:
                return value_of(dictionary, path)
            uri = value_of(dictionary, [*path[:-1], "uri"])
            return self.local(uri) if isinstance(uri, str) else uri

        return value


def _run(command: list[str], environment: dict[str, str], log: Any) -> int:
    try:
        return subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=False
        ).returncode
    except OSError as error:
        log.write(f"{command[0]}: {error.strerror}\n".encode())
        return 127


def failed_tasks(task: Task) -> str:
    names = ", ".join(sorted(task.failed))
    return f"The DAG failed because some tasks failed. The failed tasks are: [{names}]." if names else ""


def evaluate(condition: str, io_store: io.IOStore) -> bool:
    """The value of a CEL condition, whose inputs the server has put beside it.

    kfp.local pastes values into the text and counts what then fails as false. Here the task behind a condition that
    cannot be read fails: it counts as true, and `_watched` raises the error in that task.
    """
    both = json.loads(condition)
    inputs = json_format.ParseDict(both["inputs"], pipeline_spec_pb2.TaskInputsSpec())
    values = orchestrator_utils.OrchestratorUtils.make_task_arguments(inputs, io_store)
    expression = _INPUT.sub(lambda found: f'value["{found[1]}"]', both["condition"])
    parts = _TEXT.split(expression)
    # Every second part is a text of the condition's own, in which an operator is no operator.
    parts[::2] = [_operators(part) for part in parts[::2]]
    names = {"value": values, "true": True, "false": False, "null": None}
    functions = {"int": int, "double": float, "string": str, "bool": bool, "size": len}
    try:
        return bool(eval("".join(parts).strip(), {"__builtins__": {}}, names | functions))
    except Exception as error:
        _here.unreadable = f"The condition {both['condition']} cannot be evaluated: {error}"
        return True


def _raise_unreadable() -> None:
    message, _here.unreadable = _here.unreadable, ""
    if message:
        raise ValueError(message)


def _operators(text: str) -> str:
    return re.sub(r"!(?!=)", " not ", text).replace("&&", " and ").replace("||", " or ")


def _iteration(original_task_spec: Any, loop_item: Any, loop_task_name: str) -> Any:
    """The spec of one iteration: only the loop's item becomes a constant."""
    spec = pipeline_spec_pb2.PipelineTaskSpec()
    spec.CopyFrom(original_task_spec)
    spec.ClearField("parameter_iterator")
    item = spec.inputs.parameters[original_task_spec.parameter_iterator.item_input]
    item.runtime_value.constant.CopyFrom(pipeline_spec_builder.to_protobuf_value(loop_item))
    return spec


def _with_items(task_spec: Any, io_store: io.IOStore) -> Any:
    """A loop over a value knows its items: kfp.local looks for them by the text of a name, and finds others."""
    items = task_spec.parameter_iterator.items
    if task_spec.WhichOneof("iterator") != "parameter_iterator" or not items.input_parameter:
        return task_spec
    values = orchestrator_utils.OrchestratorUtils.make_task_arguments(task_spec.inputs, io_store)
    found = values[items.input_parameter]
    found = json.loads(found) if isinstance(found, str) else found
    spec = pipeline_spec_pb2.PipelineTaskSpec()
    spec.CopyFrom(task_spec)
    spec.parameter_iterator.items.raw = json.dumps(found)
    return spec


def _outputs_of_nothing(task_spec: Any, component: Any) -> list[str]:
    """The outputs of a loop without items, which kfp.local does not set: lists without items."""
    raw = task_spec.parameter_iterator.items.raw
    if task_spec.WhichOneof("iterator") != "parameter_iterator" or json.loads(raw or "[0]"):
        return []
    return [*component.output_definitions.parameters, *component.output_definitions.artifacts]


def _output_artifacts(dag_outputs_spec: Any, io_store: io.IOStore) -> dict[str, Any]:
    """The artifacts that a DAG hands out: of each output the one that there is."""
    found: dict[str, Any] = {}
    for name, output in dag_outputs_spec.artifacts.items():
        for selector in output.artifact_selectors:
            try:
                found[name] = io_store.get_task_output(selector.producer_subtask, selector.output_artifact_key)
            except ValueError:
                continue
    return found


def _with_integers(to_dict: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def as_dict(**arguments: Any) -> dict[str, Any]:
        found = to_dict(**arguments)
        parameters = found.get("inputs", {}).get("parameterValues", {})
        for name, value in parameters.items():
            if isinstance(value, (list, dict)):
                parameters[name] = _whole(value)
        return found

    return as_dict


def _whole(value: Any) -> Any:
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _outputs(executor_input: Any, component_spec: Any) -> dict[str, Any]:
    """What a task has put out, its artifacts also where it has said nothing of them."""
    utils = executor_output_utils
    told = utils.load_executor_output(executor_output_path=executor_input.outputs.output_file)
    for name, artifacts in executor_input.outputs.artifacts.items():
        if name not in told.artifacts:
            told.artifacts[name].CopyFrom(artifacts)
    return dict(
        utils.get_outputs_from_executor_output(
            executor_output=told, executor_input=executor_input, component_spec=component_spec
        )
    )


def _noting_hits(get: Callable[..., Any]) -> Callable[..., Any]:
    def found(self: Any, key: str) -> Any:
        outputs = get(self, key)
        _here.task.cached = outputs is not None
        return outputs

    return found


def _keeping_path(convert: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """For kfp.local an artifact's path is its URI."""

    def path(parts: list[str]) -> list[Any]:
        wanted = parts[-1]
        found = convert(parts)
        return [*found[:-1], wanted] if wanted == "path" and "artifacts" in found else found

    return path


def _inputs(task_spec: Any, component: Any, io_store: io.IOStore) -> dict[str, Any]:
    """The values that a task gets, with the defaults of its component."""
    given: dict[str, Any] = orchestrator_utils.OrchestratorUtils.make_task_arguments(task_spec.inputs, io_store)
    for name, definition in component.input_definitions.parameters.items():
        if name not in given and definition.HasField("default_value"):
            given[name] = executor_output_utils.pb2_value_to_python(definition.default_value)
    return given


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Parameters and artifacts apart, as JSON."""
    parameters, artifacts = {}, {}
    for name, value in values.items():
        items = value if isinstance(value, list) else [value]
        if items and all(isinstance(item, dsl.Artifact) for item in items):
            artifacts[name] = [
                {"name": item.name, "uri": item.uri, "schema_title": item.schema_title,
                 "schema_version": item.schema_version, "metadata": item.metadata}
                for item in items
            ]  # fmt: skip
        elif value is not None:
            parameters[name] = value
    return {"parameters": parameters, "artifacts": artifacts}


def _arguments(plan: dict[str, Any]) -> dict[str, Any]:
    artifacts = {name: executor.create_artifact_instance(given) for name, given in plan["artifacts"].items()}
    return {**plan["parameters"], **artifacts}


def main(plan_file: str) -> int:
    plan = json.loads(Path(plan_file).read_text(encoding="utf-8"))
    report = Report(Path(plan["events"]))
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=plan["work"],
        workspace_root=plan["work"] + "/workspace",
        raise_on_error=False,
        enable_caching=True,
        # One folder per pipeline name: the service shares its cache between runs of the same pipeline only.
        cache_root=plan["cache"],
    )
    config.LocalExecutionConfig.instance.pipeline_root = plan["root"]
    _Changes(plan, report).apply()
    spec = json_format.ParseDict(plan["spec"], pipeline_spec_pb2.PipelineSpec())
    root = report.new(spec.pipeline_info.name, None)
    arguments, outputs = _arguments(plan), {}
    with _inside(root):
        report.begin(root, "pipeline", arguments)
        try:
            outputs = pipeline_orchestrator.run_local_pipeline(spec, arguments)
            root.error = failed_tasks(root)
        except Exception as error:
            root.error = f"{type(error).__name__}: {error}"
            traceback.print_exc()
    report.end(root, "FAILED" if root.error else "SUCCEEDED", outputs)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
