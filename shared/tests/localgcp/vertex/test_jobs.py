"""Custom jobs and training pipelines as real processes, through the unmodified SDK."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform
from google.cloud.aiplatform import helpers
from google.cloud.aiplatform_v1 import EndpointServiceClient, JobServiceClient, PipelineServiceClient
from localgcp import vertex

from tests.localgcp.vertex.conftest import BUCKET, IMAGE, PARENT, client, init, pool

Connect = Callable[[Any], Any]
SERVING_IMAGE = helpers.get_prebuilt_prediction_container_uri("sklearn", "1.5")
ENDED = {"JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED"}


def job(*pools: dict[str, Any], name: str = "job", **more: Any) -> aiplatform.CustomJob:
    return aiplatform.CustomJob(display_name=name, worker_pool_specs=list(pools), **more)


def create(jobs: Any, *pools: dict[str, Any], **spec: Any) -> str:
    """A job through the generated client, which has all the fields; its name."""
    given = {"display_name": "job", "job_spec": {"worker_pool_specs": list(pools)} | spec}
    return str(jobs.create_custom_job(parent=PARENT, custom_job=given).name)


def until(jobs: Any, name: str, *states: str, seconds: float = 20) -> Any:
    """The job as soon as it is in one of the states."""
    end = time.monotonic() + seconds
    while (found := jobs.get_custom_job(name=name)).state.name not in (states or ENDED):
        assert time.monotonic() < end, f"still {found.state.name}, not {states}"
        time.sleep(0.05)
    return found


def test_a_container_runs_with_its_variables(sdk: str, buckets: Path) -> None:
    code = """
import json, os, sys
names = ["AIP_MODEL_DIR", "AIP_CHECKPOINT_DIR", "AIP_TENSORBOARD_LOG_DIR", "CLOUD_ML_PROJECT_ID", "CLOUD_ML_JOB_ID",
         "CLUSTER_SPEC", "OWN", "MOUNTED"]
found = {name: os.environ[name] for name in names} | {"args": sys.argv[1:], "distributed": "TF_CONFIG" in os.environ}
json.dump(found, open(os.environ["AIP_MODEL_DIR"] + "found.json", "w"))
"""
    env = [{"name": "OWN", "value": "x"}, {"name": "MOUNTED", "value": f"/gcs/{BUCKET}/data"}]
    spec = pool(code, f"--data=/gcs/{BUCKET}/a.csv", "data/gcs/x", "gs://stays/as-it-is")
    spec["container_spec"]["env"] = env
    made = job(spec, base_output_dir=f"gs://{BUCKET}/{sdk}/out")
    made.run()
    out = buckets / BUCKET / sdk / "out"
    found = json.loads((out / "model" / "found.json").read_text())
    assert found["AIP_MODEL_DIR"] == f"{out}/model/"
    assert (found["AIP_CHECKPOINT_DIR"], found["AIP_TENSORBOARD_LOG_DIR"]) == (f"{out}/checkpoints/", f"{out}/logs/")
    assert found["args"] == [f"--data={buckets}/{BUCKET}/a.csv", "data/gcs/x", "gs://stays/as-it-is"]
    assert (found["OWN"], found["MOUNTED"]) == ("x", f"{buckets}/{BUCKET}/data")
    assert (found["CLOUD_ML_PROJECT_ID"], found["CLOUD_ML_JOB_ID"]) == ("local-project", made.name)
    cluster = json.loads(found["CLUSTER_SPEC"])
    assert cluster["task"] == {"type": "workerpool0", "index": 0} and not found["distributed"]
    assert json.loads(cluster["job"])["workerPoolSpecs"][0]["containerSpec"]["imageUri"] == IMAGE
    resource = made.gca_resource
    assert resource.create_time <= resource.start_time <= resource.end_time and made.state.name == "JOB_STATE_SUCCEEDED"


def test_the_sdk_in_a_job_finds_the_server(server: vertex.Server) -> None:
    code = (
        "from google.cloud import aiplatform, storage\n"
        "made = aiplatform.Endpoint.create(display_name='from a job')\n"
        "aiplatform.init(location='us-central1', experiment=None)\n"
        "assert aiplatform.Endpoint.list(filter='display_name=\"from a job\"')[0].name == made.name\n"
    )
    jobs = client(JobServiceClient, server, "grpc")
    found = until(jobs, create(jobs, pool(code)), seconds=60)
    assert found.state.name == "JOB_STATE_SUCCEEDED", found.error.message
    endpoints = client(EndpointServiceClient, server, "grpc")
    assert len(list(endpoints.list_endpoints({"parent": PARENT, "filter": 'display_name="from a job"'}))) == 1


def test_the_environments_own_sitecustomize_runs_too(server: vertex.Server, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.there = 'yes'")
    spec = pool("print('own', there)")
    spec["container_spec"]["env"] = [{"name": "PYTHONPATH", "value": str(tmp_path)}]
    jobs = client(JobServiceClient, server, "grpc")
    name = create(jobs, spec)
    assert until(jobs, name).state.name == "JOB_STATE_SUCCEEDED"
    assert (server.log_folder(name) / "workerpool0-0.log").read_text() == "own yes\n"


def test_a_local_script_is_packaged_and_run(sdk: str, tmp_path: Path, buckets: Path) -> None:
    script = tmp_path / "task.py"
    script.write_text(
        "import pathlib, sys\nfrom google.cloud import storage\n"
        f"blob = storage.Client(project='local-project').bucket('{BUCKET}').blob(sys.argv[1])\n"
        "blob.upload_from_string('trained')\nprint('done', flush=True)\n"
    )
    target = f"script-{sdk}.txt"
    made = aiplatform.CustomJob.from_local_script(
        display_name="script",
        script_path=str(script),
        container_uri=IMAGE,
        args=[target],
        machine_type="n1-standard-4",
    )
    made.run()
    assert (buckets / BUCKET / target).read_text() == "trained"


def test_a_failure_carries_the_end_of_the_log(sdk: str) -> None:
    code = "import sys; [print('line', n) for n in range(100)]; sys.exit('no such column: price')"
    with pytest.raises(RuntimeError) as error:
        job(pool(code)).run()
    text = str(error.value)
    assert "The replica workerpool0-0 exited with a non-zero status of 1." in text
    assert "line 99" in text and "no such column: price" in text and "line 50\\n" not in text


def test_a_requirement_that_is_not_here_fails_the_job(sdk: str, tmp_path: Path) -> None:
    script = tmp_path / "task.py"
    script.write_text("print('never reached')")
    made = aiplatform.CustomJob.from_local_script(
        display_name="script", script_path=str(script), container_uri=IMAGE, requirements=["numpy>=99", "no-such-thing"]
    )
    with pytest.raises(RuntimeError, match=r"requires numpy>=99 \(here: .*\), no-such-thing, which this environment"):
        made.run()


def test_a_program_that_is_not_there(sdk: str) -> None:
    spec = pool("pass")
    spec["container_spec"]["command"] = ["no-such-program"]
    with pytest.raises(RuntimeError, match=r"non-zero status of 127.*no-such-program: No such file"):
        job(spec).run()


def test_a_bucket_that_is_not_there(sdk: str) -> None:
    with pytest.raises(RuntimeError, match=r"bucket of base_output_directory .*gs://second/x.* does not exist"):
        job(pool("pass"), base_output_dir="gs://second/x").run()


def _alive(process: int) -> bool:
    """A process that nobody has waited for yet has ended, too."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# A program that leaves a process behind, in a session of its own: both numbers are in the log.
RUNAWAY = """
import os, subprocess, sys, time
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(os.getpid(), other.pid, flush=True)
time.sleep(600)
"""


def _numbers(log: Path) -> list[int]:
    """The two process numbers, as soon as the log has them: it can be read while the job runs."""
    end = time.monotonic() + 20
    while not log.is_file() or len(log.read_text().split()) < 2:
        assert time.monotonic() < end, "the job has written nothing"
        time.sleep(0.05)
    return [int(word) for word in log.read_text().split()[:2]]


def _all_end(numbers: list[int], seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while any(map(_alive, numbers)) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(map(_alive, numbers))


def test_cancel_ends_every_process(server: vertex.Server, connect: Connect) -> None:
    jobs = connect(JobServiceClient)
    name = create(jobs, pool(RUNAWAY))
    numbers = _numbers(server.log_folder(name) / "workerpool0-0.log")
    assert all(map(_alive, numbers)) and jobs.get_custom_job(name=name).state.name == "JOB_STATE_RUNNING"
    with pytest.raises(exceptions.BadRequest, match="is RUNNING; cancel it before it is deleted"):
        jobs.delete_custom_job(name=name)
    jobs.cancel_custom_job(name=name)
    found = until(jobs, name)
    assert found.state.name == "JOB_STATE_CANCELLED" and found.end_time > found.start_time and not found.error.message
    assert _all_end(numbers)
    jobs.cancel_custom_job(name=name)  # what has ended stays as it is
    assert jobs.get_custom_job(name=name).state.name == "JOB_STATE_CANCELLED"
    jobs.delete_custom_job(name=name).result()
    with pytest.raises(exceptions.NotFound):
        jobs.cancel_custom_job(name=name)


def test_a_program_has_time_to_save_when_it_is_cancelled(server: vertex.Server, connect: Connect) -> None:
    code = """
import signal, sys, time
def save(*_): print("saved", flush=True); sys.exit(0)
signal.signal(signal.SIGTERM, save)
print("ready", flush=True)
time.sleep(600)
"""
    jobs = connect(JobServiceClient)
    name = create(jobs, pool(code))
    log = server.log_folder(name) / "workerpool0-0.log"
    while not log.is_file() or "ready" not in log.read_text():
        time.sleep(0.05)
    jobs.cancel_custom_job(name=name)
    assert until(jobs, name).state.name == "JOB_STATE_CANCELLED"
    assert log.read_text().split() == ["ready", "saved"]


def test_timeout(server: vertex.Server, connect: Connect) -> None:
    jobs = connect(JobServiceClient)
    name = create(jobs, pool(RUNAWAY), scheduling={"timeout": {"seconds": 1}})
    numbers = _numbers(server.log_folder(name) / "workerpool0-0.log")
    found = until(jobs, name)
    assert found.state.name == "JOB_STATE_FAILED" and found.error.code == 4
    assert "exceeded its timeout of 1 seconds" in found.error.message
    assert 0.9 < (found.end_time - found.start_time).total_seconds() < 5
    assert _all_end(numbers)


CLUSTER = """
import json, os, pathlib, sys, time
found = {name: json.loads(os.environ[name]) for name in ("TF_CONFIG", "CLUSTER_SPEC")}
task = found["TF_CONFIG"]["task"]
pathlib.Path(os.environ["AIP_MODEL_DIR"], f"{task['type']}-{task['index']}.json").write_text(json.dumps(found))
time.sleep(600 if task["type"] == "ps" else 0)
"""


def test_workers_know_each_other(connect: Connect, transport: str, buckets: Path) -> None:
    jobs = connect(JobServiceClient)
    prefix = f"gs://{BUCKET}/cluster-{transport}"
    workers = pool(CLUSTER, replica_count=2)
    name = create(jobs, pool(CLUSTER), workers, pool(CLUSTER), base_output_directory={"output_uri_prefix": prefix})
    found = until(jobs, name, seconds=30)  # parameter servers never end by themselves
    assert found.state.name == "JOB_STATE_SUCCEEDED", found.error.message
    written = {
        path.stem: json.loads(path.read_text()) for path in (buckets / BUCKET).glob(f"cluster-{transport}/model/*")
    }
    assert sorted(written) == ["chief-0", "ps-0", "worker-0", "worker-1"]
    clusters = [one["TF_CONFIG"]["cluster"] for one in written.values()]
    assert all(one == clusters[0] for one in clusters)
    assert {task: len(places) for task, places in clusters[0].items()} == {"chief": 1, "worker": 2, "ps": 1}
    assert len({place for places in clusters[0].values() for place in places}) == 4
    assert written["worker-1"]["CLUSTER_SPEC"]["task"] == {"type": "workerpool1", "index": 1}
    assert written["chief-0"]["TF_CONFIG"]["environment"] == "cloud"


def test_a_worker_that_fails_fails_the_job(connect: Connect) -> None:
    jobs = connect(JobServiceClient)
    name = create(jobs, pool("import time; time.sleep(600)"), pool("raise ValueError('worker')"))
    found = until(jobs, name)
    assert found.state.name == "JOB_STATE_FAILED"
    assert "The replica workerpool1-0 exited" in found.error.message and "ValueError: worker" in found.error.message


# Ends itself as a preempted machine would, so often as its argument says; the count is in the bucket.
PREEMPTED = """
import os, pathlib, signal, sys
path = pathlib.Path(os.environ["AIP_CHECKPOINT_DIR"], "starts")
starts = int(path.read_text()) if path.is_file() else 0
path.write_text(str(starts + 1))
if starts < int(sys.argv[1]):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("times", "scheduling", "state", "starts"),
    [
        ("2", {}, "JOB_STATE_SUCCEEDED", 3),
        ("9", {}, "JOB_STATE_FAILED", 4),
        ("1", {"disable_retries": True}, "JOB_STATE_FAILED", 1),
    ],
)
def test_a_preempted_replica_is_started_again(
    server: vertex.Server, buckets: Path, times: str, scheduling: dict[str, Any], state: str, starts: int
) -> None:
    jobs = client(JobServiceClient, server, "grpc")
    folder = f"preempted-{times}"
    prefix = {"output_uri_prefix": f"gs://{BUCKET}/{folder}"}
    name = create(jobs, pool(PREEMPTED, times), base_output_directory=prefix, scheduling=scheduling)
    assert until(jobs, name).state.name == state
    assert int((buckets / BUCKET / folder / "checkpoints" / "starts").read_text()) == starts
    assert ("was killed; restart 1 of" in (server.log_folder(name) / "workerpool0-0.log").read_text()) == (starts > 1)


@pytest.mark.parametrize("whole", [True, False])
def test_the_whole_job_is_restarted_with_a_worker_when_asked(server: vertex.Server, buckets: Path, whole: bool) -> None:
    jobs = client(JobServiceClient, server, "grpc")
    folder = f"whole-{whole}"
    primary = (
        "import os, pathlib, time; folder = pathlib.Path(os.environ['AIP_CHECKPOINT_DIR'])\n"
        "number = len(list(folder.glob('primary-*'))); (folder / f'primary-{number}').touch()\n"
        "while not (folder / 'starts').is_file() or (folder / 'starts').read_text() != '2': time.sleep(0.02)\n"
    )
    name = create(
        jobs,
        pool(primary),
        pool("import time; time.sleep(0.5)\n" + PREEMPTED, "1"),
        base_output_directory={"output_uri_prefix": f"gs://{BUCKET}/{folder}"},
        scheduling={"restart_job_on_worker_restart": whole},
    )
    assert until(jobs, name).state.name == "JOB_STATE_SUCCEEDED"
    assert len(list((buckets / BUCKET / folder / "checkpoints").glob("primary-*"))) == (2 if whole else 1)


def test_jobs_wait_for_a_slot_and_can_be_cancelled_there(server: vertex.Server, connect: Connect) -> None:
    from localgcp.vertex.jobs.custom_jobs import SLOTS

    jobs = connect(JobServiceClient)
    names = [create(jobs, pool("import time; time.sleep(600)")) for _ in range(SLOTS + 1)]
    for name in names[:-1]:
        until(jobs, name, "JOB_STATE_RUNNING", seconds=40)
    assert jobs.get_custom_job(name=names[-1]).state.name == "JOB_STATE_PENDING"
    jobs.cancel_custom_job(name=names[-1])
    last = until(jobs, names[-1])
    assert last.state.name == "JOB_STATE_CANCELLED" and "start_time" not in last
    for name in names[:-1]:
        jobs.cancel_custom_job(name=name)
    assert {until(jobs, name).state.name for name in names} == {"JOB_STATE_CANCELLED"}


def test_twenty_jobs_at_once(connect: Connect) -> None:
    jobs = connect(JobServiceClient)
    quick = pool("")
    quick["container_spec"] = {"image_uri": IMAGE, "command": ["true"]}
    with ThreadPoolExecutor(20) as workers:
        names = list(workers.map(lambda _: create(jobs, quick), range(20)))
    assert len(set(names)) == 20
    assert {until(jobs, name, seconds=60).state.name for name in names} == {"JOB_STATE_SUCCEEDED"}


@pytest.mark.parametrize(
    ("pools", "spec", "words"),
    [
        ([], {}, "Field: job_spec.worker_pool_specs; Message: Required field is not set."),
        ([pool("pass", replica_count=2)], {}, "first worker pool must have a replica count of 1"),
        ([{"machine_spec": {"machine_type": "n1-standard-4"}, "replica_count": 1}], {}, "One of container_spec and"),
        ([pool("pass", container_spec={"image_uri": "", "command": ["x"]})], {}, r"\[0\].container_spec.image_uri"),
        ([pool("pass", container_spec={"image_uri": "Not An Image", "command": ["x"]})], {}, "no URI of a container"),
        ([pool("pass")], {"base_output_directory": {"output_uri_prefix": "first/x"}}, "begins with gs://"),
        ([pool("pass")], {"base_output_directory": {"output_uri_prefix": f"gs://{BUCKET}/../x"}}, "is '.' or '..'"),
    ],
)
def test_specs_that_are_refused(connect: Connect, pools: list[Any], spec: dict[str, Any], words: str) -> None:
    with pytest.raises(exceptions.BadRequest, match=words):
        create(connect(JobServiceClient), *pools, **spec)


@pytest.mark.parametrize(
    ("spec", "more", "words"),
    [
        (pool("pass", container_spec={"image_uri": IMAGE}), {}, "The entry point of the image"),
        (pool("pass"), {"persistent_resource_id": "x"}, "job_spec.persistent_resource_id"),
        (pool("pass", nfs_mounts=[{"server": "a", "path": "b", "mount_point": "c"}]), {}, r"nfs_mounts is not"),
    ],
)
def test_what_cannot_run_here(connect: Connect, spec: Any, more: dict[str, Any], words: str) -> None:
    with pytest.raises(exceptions.MethodNotImplemented, match=words):
        create(connect(JobServiceClient), spec, **more)


# Training pipelines


def training(sdk: str, tmp_path: Path, code: str, **more: Any) -> aiplatform.CustomTrainingJob:
    script = tmp_path / "task.py"
    script.write_text(code)
    return aiplatform.CustomTrainingJob(
        display_name=f"train-{sdk}", script_path=str(script), container_uri=IMAGE, **more
    )


TRAIN = "import os; open(os.environ['AIP_MODEL_DIR'] + 'model.joblib', 'w').write('weights')"


def test_a_training_job_gives_a_model(sdk: str, tmp_path: Path, buckets: Path) -> None:
    made = training(sdk, tmp_path, TRAIN, model_serving_container_image_uri=SERVING_IMAGE)
    base = f"gs://{BUCKET}/train-{sdk}"
    model = made.run(base_output_dir=base, model_display_name="prices", model_labels={"a": "b"}, replica_count=1)
    assert model.uri == f"{base}/model" and model.display_name == "prices" and model.labels == {"a": "b"}
    assert (buckets / BUCKET / f"train-{sdk}" / "model" / "model.joblib").read_text() == "weights"
    assert model.gca_resource.container_spec.image_uri == SERVING_IMAGE and model.version_id == "1"
    again = aiplatform.Model(f"{model.resource_name}@default")
    assert again.gca_resource.training_pipeline == made.resource_name
    assert model.resource_name in [item.resource_name for item in aiplatform.Model.list(filter="labels.a=b")]
    assert made.state.name == "PIPELINE_STATE_SUCCEEDED" and made.end_time >= made.start_time
    backing = made.gca_resource.training_task_metadata["backingCustomJob"]
    assert aiplatform.CustomJob.get(backing).state.name == "JOB_STATE_SUCCEEDED"
    model.delete()
    with pytest.raises(exceptions.NotFound):
        aiplatform.Model(model.resource_name)


def test_a_training_in_a_container(sdk: str, buckets: Path) -> None:
    made = aiplatform.CustomContainerTrainingJob(
        display_name="container",
        container_uri=IMAGE,
        command=["python", "-c", TRAIN],
        model_serving_container_image_uri=SERVING_IMAGE,
    )
    base = f"gs://{BUCKET}/container-{sdk}"
    model = made.run(base_output_dir=base, machine_type="n1-standard-8", model_id=f"chosen-{sdk}")
    assert model.resource_name == f"{PARENT}/models/chosen-{sdk}" and model.uri == f"{base}/model"
    assert (buckets / BUCKET / f"container-{sdk}" / "model" / "model.joblib").is_file()
    model.delete()


def test_a_training_from_a_wheel(sdk: str, buckets: Path) -> None:
    with zipfile.ZipFile(buckets / BUCKET / "trainer-0.1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("trainer/__init__.py", "")
        wheel.writestr("trainer/task.py", TRAIN.replace("weights", "' + __import__('sys').argv[1] + '"))
        wheel.writestr("trainer-0.1.dist-info/METADATA", "Name: trainer\nVersion: 0.1\nRequires-Dist: numpy>=1\n\n")
    made = aiplatform.CustomPythonPackageTrainingJob(
        display_name="wheel",
        python_package_gcs_uri=f"gs://{BUCKET}/trainer-0.1-py3-none-any.whl",
        python_module_name="trainer.task",
        container_uri=IMAGE,
    )
    assert made.run(base_output_dir=f"gs://{BUCKET}/wheel-{sdk}", args=["--rate=0.1"]) is None
    assert (buckets / BUCKET / f"wheel-{sdk}" / "model" / "model.joblib").read_text() == "--rate=0.1"


def test_a_package_that_is_not_there(sdk: str) -> None:
    made = aiplatform.CustomPythonPackageTrainingJob(
        display_name="wheel",
        python_package_gcs_uri=f"gs://{BUCKET}/missing.whl",
        python_module_name="trainer.task",
        container_uri=IMAGE,
    )
    with pytest.raises(RuntimeError, match=r"The package gs://first/missing.whl does not exist"):
        made.run()


def test_a_training_that_fails(sdk: str, tmp_path: Path) -> None:
    made = training(sdk, tmp_path, "raise KeyError('price')")
    with pytest.raises(RuntimeError, match=r"KeyError: .*price"):
        made.run()
    assert made.state.name == "PIPELINE_STATE_FAILED"


def test_a_training_that_writes_no_model(sdk: str, tmp_path: Path) -> None:
    made = training(sdk, tmp_path, "pass", model_serving_container_image_uri=SERVING_IMAGE)
    with pytest.raises(RuntimeError, match="written nothing to AIP_MODEL_DIR"):
        made.run()


def test_a_pipeline_is_cancelled_with_its_job(server: vertex.Server, sdk: str, tmp_path: Path) -> None:
    made = training(sdk, tmp_path, RUNAWAY)
    made.run(sync=False)
    made.wait_for_resource_creation()
    made._sync_gca_resource()
    backing = made.gca_resource.training_task_metadata["backingCustomJob"]
    numbers = _numbers(server.log_folder(backing) / "workerpool0-0.log")
    made.cancel()
    made.wait()
    assert made.state.name == "PIPELINE_STATE_CANCELLED" and _all_end(numbers)


@pytest.mark.parametrize(
    ("pipeline", "error", "words"),
    [
        (
            {"training_task_definition": "gs://x/automl_tabular_1.0.0.yaml"},
            exceptions.MethodNotImplemented,
            "training task 'automl_tabular",
        ),
        (
            {"training_task_inputs": {"workerPools": []}},
            exceptions.BadRequest,
            "Unable to parse `training_pipeline.training_task_inputs`",
        ),
        ({"training_task_inputs": {}}, exceptions.BadRequest, "no workerPoolSpecs"),
        ({"input_data_config": {"dataset_id": "1"}}, exceptions.MethodNotImplemented, "managed dataset"),
    ],
)
def test_pipelines_that_are_refused(
    connect: Connect, pipeline: dict[str, Any], error: type[Exception], words: str
) -> None:
    machine = {"machineType": "n1-standard-4"}
    container = {"imageUri": IMAGE, "command": ["true"]}
    inputs = {"workerPoolSpecs": [{"machineSpec": machine, "replicaCount": 1, "containerSpec": container}]}
    given = {
        "display_name": "x",
        "training_task_definition": "gs://x/custom_task_1.0.0.yaml",
        "training_task_inputs": inputs,
    } | pipeline
    with pytest.raises(error, match=words):
        connect(PipelineServiceClient).create_training_pipeline(parent=PARENT, training_pipeline=given)


# The end of the server


SERVER = """
import sys, time
from localgcp import vertex
from tests.localgcp.vertex.conftest import PARENT, client, pool
from google.cloud.aiplatform_v1 import JobServiceClient
from google.cloud.aiplatform_v1 import PipelineServiceClient
server = vertex.start(sys.argv[1])
code = open(sys.argv[2]).read()
jobs, pipelines = client(JobServiceClient, server, "grpc"), client(PipelineServiceClient, server, "grpc")
job = {"display_name": "long", "job_spec": {"worker_pool_specs": [pool(code)]}}
print(jobs.create_custom_job(parent=PARENT, custom_job=job).name, flush=True)
container = {"imageUri": "a/b", "command": ["python", "-c", code]}
spec = {"machineSpec": {"machineType": "n1-standard-4"}, "replicaCount": 1, "containerSpec": container}
pipeline = {"display_name": "long", "training_task_definition": "gs://x/custom_task_1.0.0.yaml",
            "training_task_inputs": {"workerPoolSpecs": [spec]}}
made = pipelines.create_training_pipeline(parent=PARENT, training_pipeline=pipeline)
print(made.name, made.training_task_metadata["backingCustomJob"], flush=True)
time.sleep(600)
"""


def test_a_server_that_is_killed_takes_its_jobs_along(tmp_path: Path) -> None:
    program = tmp_path / "runaway.py"
    program.write_text(RUNAWAY)
    state = tmp_path / "state"
    shared = Path(__file__).resolve().parents[3]
    child = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(state), str(program)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(shared)},
    )
    assert child.stdout is not None
    name = child.stdout.readline().strip()
    pipeline, backing = child.stdout.readline().split()
    logs = [state / "logs" / one.rpartition("/")[2] / "workerpool0-0.log" for one in (name, backing)]
    numbers = [number for log in logs for number in _numbers(log)]
    assert all(map(_alive, numbers))
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert _all_end(numbers), "a process of the job outlives the server"
    with vertex.start(state) as again:
        jobs = client(JobServiceClient, again, "grpc")
        for one in (name, backing):
            found = jobs.get_custom_job(name=one)
            assert found.state.name == "JOB_STATE_FAILED" and found.end_time > found.start_time
            assert "The local server was killed while this job was running" in found.error.message
        failed = client(PipelineServiceClient, again, "grpc").get_training_pipeline(name=pipeline)
        assert failed.state.name == "PIPELINE_STATE_FAILED" and "was killed" in failed.error.message
        done = create(jobs, pool("pass"))
        assert until(jobs, done).state.name == "JOB_STATE_SUCCEEDED"


def test_a_server_that_stops_ends_its_jobs(tmp_path: Path) -> None:
    with vertex.start(tmp_path) as running:
        init(running, "grpc")
        jobs = client(JobServiceClient, running, "grpc")
        name = create(jobs, pool(RUNAWAY))
        numbers = _numbers(running.log_folder(name) / "workerpool0-0.log")
    assert _all_end(numbers, 0)
    with vertex.start(tmp_path) as again:
        found = client(JobServiceClient, again, "grpc").get_custom_job(name=name)
        assert (
            found.state.name == "JOB_STATE_FAILED" and "was stopped while this job was running" in found.error.message
        )


def test_a_job_does_not_install_packages_on_this_machine(server: vertex.Server, tmp_path: Path) -> None:
    init(server, "grpc")
    script = tmp_path / "task.py"
    script.write_text("print('never')")
    with pytest.raises(exceptions.MethodNotImplemented, match="Installing packages in a container"):
        aiplatform.CustomJob.from_local_script("own-image", str(script), "us-docker.pkg.dev/own/images/own:1").run()
