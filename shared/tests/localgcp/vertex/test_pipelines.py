"""Pipeline jobs through the unmodified SDK: compiled pipelines that really run, their tasks, cache and lineage."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kfp
import pytest
import yaml
from google.api_core import exceptions
from google.cloud import aiplatform
from google.cloud.aiplatform_v1.services.pipeline_service import PipelineServiceClient
from google.cloud.aiplatform_v1.types import PipelineJob
from kfp import compiler
from localgcp import vertex

from . import pipelines_to_test as given
from .conftest import BUCKET, PARENT, client, init

States = dict[str, str]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], str]:
    folder = tmp_path_factory.mktemp("compiled")

    def path(pipeline: Any) -> str:
        file = folder / f"{pipeline.name}.yaml"
        if not file.exists():
            compiler.Compiler().compile(pipeline, str(file))
        return str(file)

    return path


class Runs:
    """Runs pipelines; each run has a trace of its own, a file in the bucket that the components write to."""

    def __init__(self, buckets: Path, compiled: Callable[[Any], str]) -> None:
        self._buckets, self.compiled = buckets, compiled
        self._count = 0

    def job(self, pipeline: Any, parameters: dict[str, Any] | None = None, **more: Any) -> aiplatform.PipelineJob:
        self._count += 1
        self.trace = f"{time.time_ns()}-{self._count}"
        values = {"trace": f"/gcs/{BUCKET}/{self.trace}"} | (parameters or {})
        options = {"pipeline_root": f"gs://{BUCKET}/root", "job_id": f"{pipeline.name}-{time.time_ns()}"} | more
        path = self.compiled(pipeline)
        return aiplatform.PipelineJob(
            display_name=pipeline.name, template_path=path, parameter_values=values, **options
        )

    def run(self, pipeline: Any, parameters: dict[str, Any] | None = None, **more: Any) -> aiplatform.PipelineJob:
        job = self.job(pipeline, parameters, **more)
        job.run()
        return job

    def fails(self, pipeline: Any, parameters: dict[str, Any] | None = None, **more: Any) -> aiplatform.PipelineJob:
        job = self.job(pipeline, parameters, **more)
        with pytest.raises(RuntimeError, match="Job failed"):
            job.run()
        return job

    @property
    def lines(self) -> list[str]:
        """What the components of the last run have written."""
        path = self._buckets / BUCKET / self.trace
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def runs(server: vertex.Server, buckets: Path, compiled: Callable[[Any], str]) -> Runs:
    init(server, "grpc")
    return Runs(buckets, compiled)


def spec_of(compiled: Callable[[Any], str]) -> dict[str, Any]:
    """The compiled pipeline `training`."""
    return dict(yaml.safe_load(Path(compiled(given.training)).read_text()))


def states(job: aiplatform.PipelineJob) -> States:
    return {detail.task_unique_name: detail.state.name for detail in job.task_details}


def outputs(job: aiplatform.PipelineJob, task: str) -> dict[str, Any]:
    found = next(detail for detail in job.task_details if detail.task_unique_name == task)
    return {key[7:]: value for key, value in found.execution.metadata.items() if key.startswith("output:")}


def test_the_changes_to_kfp_are_for_this_version() -> None:
    assert kfp.__version__ == "2.17.0", "read runner._Changes again: is each still needed, does each still apply?"


@pytest.mark.parametrize(
    ("rmse", "chosen", "taken"), [(0.5, "deploy", 0), (1.5, "ask", 1), (2.5, "reject", 2), (-0.5, "deploy", 0)]
)
def test_only_the_chosen_branch_runs(runs: Runs, rmse: float, chosen: str, taken: int) -> None:
    job = runs.run(given.branches, {"rmse": rmse})
    assert runs.lines == ["measure", chosen]
    assert outputs(job, "branches") == {"Output": chosen}
    found = [state for name, state in sorted(states(job).items()) if name.startswith("condition-branches-1.condition")]
    ran = [name for name, state in states(job).items() if state == "SUCCEEDED" and "note" in name]
    assert len(ran) == 1 and found.count("NOT_TRIGGERED") == 2
    assert job.state.name == "PIPELINE_STATE_SUCCEEDED"


@pytest.mark.parametrize(("big", "rows"), [(True, 90), (False, 3)])
def test_an_artifact_of_the_branch_that_ran(runs: Runs, big: bool, rows: int) -> None:
    runs.run(given.either, {"big": big})
    assert runs.lines[1:] == [f"train {rows}"] and runs.lines[0].startswith(f"write {rows} ")


def test_a_pipeline_gets_an_artifact_from_metadata(runs: Runs, buckets: Path) -> None:
    (buckets / BUCKET / "registered.csv").write_text("row\n" * 7)
    data = aiplatform.Artifact.create(schema_title="system.Dataset", uri=f"gs://{BUCKET}/registered.csv")
    job = runs.run(given.with_input, input_artifacts={"data": data.name})
    assert runs.lines == ["train 7"]
    trained = next(one for one in job.task_details if one.task_name == "train")
    assert trained.inputs["data"].artifacts[0].name == data.resource_name, "another artifact for the same URI"
    with pytest.raises(exceptions.BadRequest, match="There is no artifact 'nothing'"):
        runs.run(given.with_input, input_artifacts={"data": "nothing"})
    with pytest.raises(exceptions.BadRequest, match="The artifact 'data' is required"):
        runs.run(given.with_input)


def test_loops_get_their_items_and_the_values_of_other_tasks(runs: Runs) -> None:
    job = runs.run(given.loops)
    expected = ["measure", "word", "text"]
    expected += ["pair 1 word", "pair 2 word", "pair 1 named", "pair 2 named", "one field", "another"]
    expected += ["pair 8 x", "pair 9 x", "pair 8 y", "pair 9 y"]
    assert sorted(runs.lines) == sorted(expected)
    assert outputs(job, "loops") == {"Output": "1-word+2-word"}


def test_a_loop_without_items(runs: Runs) -> None:
    job = runs.run(given.no_items, {"items": []})
    assert runs.lines == [] and outputs(job, "no-items") == {"Output": ""}


def test_whole_numbers_in_a_list_stay_whole(runs: Runs) -> None:
    assert outputs(runs.run(given.numbers, {"items": [1, 2.5, 3]}), "numbers") == {"Output": "1+2.5+3"}


def test_nested_pipelines_do_not_write_over_each_other(runs: Runs) -> None:
    job = runs.run(given.nested)
    assert runs.lines == ["one", "one!", "one!", "one!!"]
    assert outputs(job, "nested") == {"Output": "one!!"}
    folders = [path.name for path in (runs._buckets / BUCKET / "root" / job.name).iterdir()]
    assert len(folders) == 4, folders


def test_a_failed_task_fails_the_run_and_the_exit_handler_runs(runs: Runs, server: vertex.Server) -> None:
    job = runs.fails(given.failing)
    assert "after" not in runs.lines and "beside" in runs.lines
    message = "The DAG failed because some tasks failed. The failed tasks are: [fail]."
    assert runs.lines[-1] == f"report FAILED {job.resource_name} 9 {message}"
    assert job.state.name == "PIPELINE_STATE_FAILED"
    found = states(job)
    assert found["exit-handler-1.fail"] == "FAILED" and found["exit-handler-1.note"] == "NOT_TRIGGERED"
    assert found["report"] == "SUCCEEDED" and found["exit-handler-1.note-2"] == "SUCCEEDED"
    error = job.gca_resource.error
    assert error.code == 9 and "Task 'fail' failed" in error.message
    assert "RuntimeError: planted, attempt 1" in error.message, "the log's tail is missing"
    detail = next(one for one in job.task_details if one.task_name == "fail")
    assert "planted" in detail.error.message and detail.execution.state.name == "FAILED"
    log = server.log_folder(job.resource_name) / f"fail_{detail.task_id}.log"
    assert "planted" in log.read_text()


def test_the_failure_policy(runs: Runs) -> None:
    runs.fails(given.in_order, failure_policy="slow")
    assert {"beside 0", "beside 1", "beside 2", "beside 3", "tolerant"} <= set(runs.lines)
    job = runs.fails(given.in_order, failure_policy="fast")
    after = runs.lines[runs.lines.index("fail") + 1 :]
    assert set(after) <= {"tolerant"}, "tasks were started after the failure"
    assert list(states(job).values()).count("NOT_TRIGGERED") == 6 - len(runs.lines)


def test_a_condition_that_cannot_be_read_fails_its_task(runs: Runs) -> None:
    job = runs.fails(given.unreadable)
    assert runs.lines[0] == "word" and runs.lines[1].startswith("report FAILED") and len(runs.lines) == 2
    assert states(job)["exit-handler-1.condition-2"] == "FAILED"
    assert "cannot be evaluated" in job.gca_resource.error.message


@pytest.mark.parametrize(("good_at", "attempts", "state"), [(1, 1, "SUCCEEDED"), (3, 3, "SUCCEEDED"), (4, 3, "FAILED")])
def test_retries(runs: Runs, good_at: int, attempts: int, state: str) -> None:
    job = (runs.run if state == "SUCCEEDED" else runs.fails)(given.flaky, {"good_at": good_at})
    assert runs.lines == ["fail"] * attempts
    detail = next(one for one in job.task_details if one.task_name == "fail")
    assert [one.state.name for one in detail.pipeline_task_status] == ["RUNNING"] * attempts + [state]
    assert detail.state.name == state and bool(detail.error.message) == (state == "FAILED")


def _ran(job: aiplatform.PipelineJob) -> States:
    return {name: state for name, state in states(job).items() if name in ("write", "train", "condition-1.train-2")}


ALL_RAN = dict.fromkeys(["write", "train", "condition-1.train-2"], "SUCCEEDED")
ALL_CACHED = dict.fromkeys(["write", "train", "condition-1.train-2"], "SKIPPED")


def test_the_cache(runs: Runs, tmp_path: Path) -> None:
    """Hit and miss by parameter, code, upstream artifact, options and pipeline; `trace` has to stay the same."""
    fixed = {"trace": f"/gcs/{BUCKET}/cache-trace"}
    trace = runs._buckets / BUCKET / "cache-trace"
    first = runs.run(given.training, {"rows": 3} | fixed)
    assert _ran(first) == ALL_RAN and len(trace.read_text().splitlines()) == 3
    again = runs.run(given.training, {"rows": 3} | fixed)
    assert _ran(again) == ALL_CACHED and len(trace.read_text().splitlines()) == 3, "a cached task has run"
    by_name = {one.task_name: one for one in first.task_details}
    for detail in again.task_details:
        if detail.task_name in ("write", "train"):
            assert detail.outputs == by_name[detail.task_name].outputs, "not the artifacts of the first run"
            assert detail.execution.state.name == "CACHED"
    changed = runs.run(given.training, {"rows": 4} | fixed)
    assert _ran(changed) == ALL_RAN, "another parameter, and another artifact for what follows"
    assert _ran(runs.run(given.training, {"rows": 3} | fixed, enable_caching=False)) == ALL_RAN
    assert _ran(runs.run(given.training, {"rows": 3} | fixed)) == ALL_CACHED, "the entry of the first run has gone"


def _with(runs: Runs, tmp_path: Path, name: str, change: Callable[[str], str]) -> Callable[[Any], str]:
    path = tmp_path / f"{name}.json"
    text = json.dumps(spec_of(runs.compiled))
    assert change(text) != text
    path.write_text(change(text))
    return lambda _: str(path)


def test_what_else_belongs_to_the_cache_key(runs: Runs, tmp_path: Path) -> None:
    fixed = {"rows": 5, "good": False, "trace": f"/gcs/{BUCKET}/key-trace"}
    runs.run(given.training, fixed)
    plain = runs.compiled
    runs.compiled = _with(runs, tmp_path, "code", lambda text: text.replace('\\"model of {rows}\\"', '\\"{rows}\\"'))
    found = _ran(runs.run(given.training, fixed))
    assert found == {"write": "SKIPPED", "train": "SUCCEEDED"}, "the code of one component has changed"
    runs.compiled = plain
    runs.compiled = _with(runs, tmp_path, "name", lambda text: text.replace('"training"', '"other-training"'))
    assert _ran(runs.run(given.training, fixed)) == {"write": "SUCCEEDED", "train": "SUCCEEDED"}, "another pipeline"
    runs.compiled = plain
    spec = spec_of(plain)
    spec["root"]["dag"]["tasks"]["write"]["cachingOptions"] = {}
    (tmp_path / "off.json").write_text(json.dumps(spec))
    runs.compiled = lambda _: str(tmp_path / "off.json")
    found = _ran(runs.run(given.training, fixed))
    assert found == {"write": "SUCCEEDED", "train": "SUCCEEDED"}, "what is written anew has a new URI"


def test_the_cache_does_not_look_into_an_artifact(runs: Runs) -> None:
    """The key has the URI. New bytes at the same place are not seen, as on the service."""
    data = runs._buckets / BUCKET / "daily.csv"
    fixed = {"uri": f"gs://{BUCKET}/daily.csv", "trace": f"/gcs/{BUCKET}/import-trace"}
    data.write_text("row\n" * 2)
    runs.run(given.imported, fixed)
    data.write_text("row\n" * 9)
    job = runs.run(given.imported, fixed)
    assert states(job)["train"] == "SKIPPED" and states(job)["importer"] == "SUCCEEDED"
    assert (runs._buckets / BUCKET / "import-trace").read_text() == "train 2\n"


def test_a_failed_task_is_not_cached(runs: Runs) -> None:
    fixed = {"good_at": 99, "trace": f"/gcs/{BUCKET}/fail-trace"}
    runs.fails(given.flaky, fixed)
    runs.fails(given.flaky, fixed)
    assert len((runs._buckets / BUCKET / "fail-trace").read_text().splitlines()) == 6


def test_artifacts_lie_in_the_bucket_and_have_their_lineage(runs: Runs) -> None:
    job = runs.run(given.training, {"rows": 6, "good": False})
    trained = next(one for one in job.task_details if one.task_name == "train")
    model, data = trained.outputs["model"].artifacts[0], trained.inputs["data"].artifacts[0]
    assert model.uri.startswith(f"gs://{BUCKET}/root/{job.name}/train_")
    assert (runs._buckets / model.uri.removeprefix("gs://")).read_text() == "model of 6"
    assert runs.lines[0] == f"write 6 {data.uri}", "the component has another URI"
    assert (model.schema_title, data.schema_title) == ("system.Model", "system.Dataset")
    assert dict(data.metadata) == {"rows": 6} and dict(model.metadata) == {"framework": "none"}
    execution = aiplatform.Execution(trained.execution.name)
    assert [one.resource_name for one in execution.get_input_artifacts()] == [data.name]
    found = {one.schema_title for one in execution.get_output_artifacts()}
    assert found == {"system.Model", "system.Metrics"}
    lineage = aiplatform.Artifact(model.name)
    graph = lineage.api_client.query_artifact_lineage_subgraph(artifact=model.name)
    assert {"write", "train"} <= {one.display_name for one in graph.executions}
    assert data.name in {one.name for one in graph.artifacts}


def test_the_runs_of_a_pipeline_as_a_table(runs: Runs) -> None:
    jobs = [runs.run(given.training, {"rows": rows, "good": False}) for rows in (11, 12)]
    table = aiplatform.get_pipeline_df(pipeline="training").set_index("run_name")
    for job, rows in zip(jobs, (11, 12)):
        assert table.loc[job.name, "param.input:rows"] == rows
        assert table.loc[job.name, "metric.rows"] == rows


def test_a_run_in_an_experiment(runs: Runs) -> None:
    job = runs.job(given.training, {"rows": 2, "good": False})
    job.submit(experiment="pipelines")
    job.wait()
    found = aiplatform.PipelineJob.get(job.resource_name).get_associated_experiment()
    assert found.name == "pipelines"
    table = aiplatform.get_experiment_df("pipelines")
    assert list(table["run_type"]) == ["system.PipelineRun"] and list(table["param.rows"]) == [2]
    assert list(table["metric.rows"]) == [2]


def test_containers_and_placeholders(runs: Runs) -> None:
    job = runs.run(given.containers, {"word": "hello"})
    assert runs.lines == [f"pair 5 hello in {job.name}"]
    made = next(one for one in job.task_details if one.task_name == "shell").outputs["made"].artifacts[0]
    assert (runs._buckets / made.uri.removeprefix("gs://")).read_text() == "hello"


def test_two_pipelines_run_at_once(runs: Runs) -> None:
    jobs, traces = [], []
    for _ in range(2):
        jobs.append(runs.job(given.slow, {"seconds": 3.0}))
        traces.append(runs._buckets / BUCKET / runs.trace)
        jobs[-1].submit()
    for job in jobs:
        job.wait()
    began = [float(trace.read_text().split()[1]) for trace in traces]
    ended = [float(trace.read_text().split()[3]) for trace in traces]
    assert max(began) < min(ended), "one has waited for the other"


def _wait_for(path: Path, seconds: float = 60) -> str:
    end = time.monotonic() + seconds
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < end, f"{path.name} was not written"
        time.sleep(0.05)
    return path.read_text()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


def _all_end(processes: list[int], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while any(map(_alive, processes)) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(map(_alive, processes))


def test_cancel_ends_the_running_task(runs: Runs, buckets: Path) -> None:
    job = runs.job(given.slow, {"seconds": 600.0})
    job.submit()
    process = int(_wait_for(buckets / BUCKET / runs.trace).split()[0])
    with pytest.raises(exceptions.BadRequest, match="cancel it before"):
        job.delete()
    job.cancel()
    job.wait()
    assert job.state.name == "PIPELINE_STATE_CANCELLED"
    assert states(job) == {"slow": "CANCELLED", "wait": "CANCELLED"}
    assert _all_end([process]) and len(runs.lines) == 1
    job.delete()
    with pytest.raises(exceptions.NotFound):
        aiplatform.PipelineJob.get(job.resource_name)


SERVER = """
import os, sys, time
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from localgcp import storage, vertex
state, template, trace = sys.argv[1:]
os.makedirs(state + "/buckets/first")
os.environ["STORAGE_EMULATOR_HOST"] = storage.start(state + "/buckets").url
server = vertex.start(state)
server.shim_sdk()
aiplatform.init(
    project=server.project, location=server.location, api_endpoint=server.grpc_target, api_transport="grpc",
    credentials=AnonymousCredentials(),
)
values = {"seconds": 600.0, "trace": trace}
job = aiplatform.PipelineJob("slow", template, "slow-1", "gs://first/root", values)
job.submit()
print("submitted", job.resource_name, flush=True)
time.sleep(600)
"""


def test_a_server_that_is_killed_takes_its_pipelines_along(tmp_path: Path, compiled: Callable[[Any], str]) -> None:
    state, trace = tmp_path / "state", tmp_path / "trace"
    shared = Path(__file__).resolve().parents[3]
    child = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(state), compiled(given.slow), str(trace)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(shared)},
    )
    assert child.stdout is not None
    name = next(line.split()[1] for line in child.stdout if line.startswith("submitted"))
    process = int(_wait_for(trace).split()[0])
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert _all_end([process]), "a task outlives the server"
    with vertex.start(state) as again:
        job = client(PipelineServiceClient, again, "grpc").get_pipeline_job(name=name)
        assert job.state.name == "PIPELINE_STATE_FAILED" and job.end_time > job.start_time
        assert "The local server was killed while this job was running" in job.error.message
        assert {detail.state.name for detail in job.job_detail.task_details} == {"FAILED"}
        assert {detail.execution.name != "" for detail in job.job_detail.task_details} == {True}


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"trace": "x"}, "parameter 'rows' is required and has no value"),
        ({"trace": "x", "rows": "3"}, "'3' is not of the type NUMBER_INTEGER"),
        ({"trace": "x", "rows": 3.5}, "3.5 is not of the type NUMBER_INTEGER"),
        ({"trace": "x", "rows": True}, "True is not of the type NUMBER_INTEGER"),
        ({"trace": 3, "rows": 3}, "3 is not of the type STRING"),
        ({"trace": "x", "rows": 3, "good": "yes"}, "'yes' is not of the type BOOLEAN"),
        ({"trace": "x", "rows": 3, "lr": 0.1}, "has no parameter 'lr'; it has good, rows, trace"),
    ],
)
def test_parameters_are_checked(
    connect: Callable[[Any], PipelineServiceClient], compiled: Callable[[Any], str], values: dict[str, Any], wrong: str
) -> None:
    spec = spec_of(compiled)
    config = {"gcs_output_directory": f"gs://{BUCKET}/root", "parameter_values": values}
    job = PipelineJob({"display_name": "wrong", "pipeline_spec": spec, "runtime_config": config})
    with pytest.raises(exceptions.BadRequest, match="List of found errors") as found:
        connect(PipelineServiceClient).create_pipeline_job(parent=PARENT, pipeline_job=job)
    assert wrong in str(found.value)


def _executor(spec: dict[str, Any]) -> dict[str, Any]:
    return spec["deploymentSpec"]["executors"]["exec-write"]["container"]


def _install(spec: dict[str, Any], packages: str) -> None:
    script = f"python3 -m pip install 'kfp==2.17.0' '--no-deps' && python3 -m pip install {packages} && \"$0\" \"$@\""
    _executor(spec)["command"] = ["sh", "-c", script, *_executor(spec)["command"]]


@pytest.mark.parametrize(
    ("change", "raised", "says"),
    [
        (lambda spec: spec.pop("root"), exceptions.BadRequest, "no compiled pipeline: no root"),
        (lambda spec: spec.update(schemaVersion="2.0.0"), exceptions.MethodNotImplemented, "compile it with KFP SDK 2"),
        (lambda spec: _executor(spec).update(image="not an image"), exceptions.BadRequest, "no URI of a container"),
        (lambda spec: _executor(spec).update(command=[]), exceptions.MethodNotImplemented, "the entry point of"),
        (
            lambda spec: _executor(spec).update(image="gcr.io/ml-pipeline/google-cloud-pipeline-components:2.0"),
            exceptions.MethodNotImplemented,
            "a prebuilt component",
        ),
        (
            lambda spec: _install(spec, "'numpy' 'no-such-package-here>=2'"),
            exceptions.BadRequest,
            "packages_to_install has no-such-package-here>=2, which this environment does not have",
        ),
        (lambda spec: _install(spec, "'numpy<1.0'"), exceptions.BadRequest, "numpy<1.0 \\(here: "),
    ],
)
def test_what_cannot_run_is_refused(
    runs: Runs, tmp_path: Path, change: Callable[[dict[str, Any]], Any], raised: type[Exception], says: str
) -> None:
    spec = spec_of(runs.compiled)
    change(spec)
    config = {"gcs_output_directory": f"gs://{BUCKET}/root", "parameter_values": {"rows": 1, "trace": "x"}}
    job = PipelineJob({"display_name": "wrong", "pipeline_spec": spec, "runtime_config": config})
    api = aiplatform.PipelineJob._instantiate_client()
    with pytest.raises(raised, match=says):
        api.create_pipeline_job(parent=PARENT, pipeline_job=job)


def test_packages_that_are_here_are_not_installed(runs: Runs, tmp_path: Path) -> None:
    spec = spec_of(runs.compiled)
    _install(spec, "--index-url https://nowhere.invalid 'numpy>=1' 'scikit-learn'")
    (tmp_path / "installs.json").write_text(json.dumps(spec))
    runs.compiled = lambda _: str(tmp_path / "installs.json")
    job = runs.run(given.training, {"rows": 1, "good": False})
    assert states(job)["train"] == "SUCCEEDED" and len(runs.lines) == 2


def test_the_other_methods(sdk: str, connect: Callable[[Any], PipelineServiceClient], runs: Runs) -> None:
    api = connect(PipelineServiceClient)
    jobs = [runs.run(given.containers, {"word": word}, labels={"of": "others"}) for word in ("a", "b")]
    listed = aiplatform.PipelineJob.list(filter='labels.of="others"', order_by="create_time")
    assert [job.resource_name for job in listed][-2:] == [job.resource_name for job in jobs]
    with pytest.raises(exceptions.Conflict):
        runs.run(given.containers, {"word": "a"}, job_id=jobs[0].name)
    with pytest.raises(exceptions.BadRequest, match="pipeline_job_id"):
        api.create_pipeline_job(
            parent=PARENT, pipeline_job=PipelineJob(jobs[0].gca_resource), pipeline_job_id="Not an id"
        )
    names = [job.resource_name for job in jobs]
    with pytest.raises(exceptions.NotFound):
        api.batch_delete_pipeline_jobs(parent=PARENT, names=[*names, f"{PARENT}/pipelineJobs/none"])
    assert api.get_pipeline_job(name=names[0]).state.name == "PIPELINE_STATE_SUCCEEDED"
    cancelled = api.batch_cancel_pipeline_jobs(parent=PARENT, names=names).result()
    assert [job.state.name for job in cancelled.pipeline_jobs] == ["PIPELINE_STATE_SUCCEEDED"] * 2
    deleted = api.batch_delete_pipeline_jobs(parent=PARENT, names=names).result()
    assert [job.name for job in deleted.pipeline_jobs] == names
    with pytest.raises(exceptions.NotFound):
        api.get_pipeline_job(name=names[0])


def test_a_copy_of_a_job(runs: Runs) -> None:
    first = runs.run(given.training, {"rows": 8, "good": False})
    clone = first.clone(job_id=f"clone-{time.time_ns()}")
    clone.run()
    assert _ran(clone) == {"write": "SKIPPED", "train": "SKIPPED"}


def test_a_bucket_that_does_not_exist(runs: Runs, server: vertex.Server) -> None:
    config = {"gcs_output_directory": "gs://no-such-bucket/root", "parameter_values": {"rows": 1, "trace": "x"}}
    spec = spec_of(runs.compiled)
    job = PipelineJob({"display_name": "wrong", "pipeline_spec": spec, "runtime_config": config})
    with pytest.raises(exceptions.NotFound, match="no-such-bucket"):
        client(PipelineServiceClient, server, "grpc").create_pipeline_job(parent=PARENT, pipeline_job=job)


def test_the_sdk_in_a_component(runs: Runs) -> None:
    """A component that calls Vertex AI reaches this server, with nothing but init(), as it does on the service."""

    job = runs.run(given.with_sdk)
    assert aiplatform.Artifact(outputs(job, "with-sdk")["Output"]).display_name == "from inside"
