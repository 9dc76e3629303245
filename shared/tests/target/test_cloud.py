"""TARGET="vertex": what is checked before the first call, what is refused, and that nothing is redirected."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import RefreshError
from google.cloud.aiplatform import initializer
from google.oauth2.credentials import Credentials
from labkit.catalog import LabError
from labkit.catalog.card import Cloud, Machines
from labkit.catalog.collection import LabFolder
from labkit.target import open_target
from labkit.target.cloud import VertexTarget
from labkit.target.preflight import PreflightFailed
from localgcp.bigquery import start

from .google import BUCKET, PROJECT, Google, quota, serve

TRAINING = Machines(use="training", machine="n1-standard-4", count=2, hours=1)
PLAN = Cloud(services=("vertex-training", "bigquery"), max_cost_usd=1, machines=(TRAINING,), bigquery_gib=2)
ENVIRON = {"LABS_PROJECT": PROJECT, "LABS_BUCKET": f"gs://{BUCKET}"}


@pytest.fixture(autouse=True)
def a_kernel_without_local_services(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests of this process have used the local Vertex AI, whose address the SDK keeps."""
    monkeypatch.setattr(initializer.global_config, "_api_endpoint", None)


@pytest.fixture
def google() -> Iterator[Google]:
    with serve() as running:
        yield running


def target(google: Google, plan: Cloud = PLAN, environ: dict[str, str] | None = None, **more: Any) -> VertexTarget:
    more = {"credentials": AnonymousCredentials(), "hosts": google.hosts} | more
    return VertexTarget("tiny-lab", plan, environ=ENVIRON if environ is None else environ, **more)


def problems(tried: VertexTarget) -> list[str]:
    with pytest.raises(PreflightFailed) as failed:
        _ = tried.vertex
    return list(failed.value.problems)


def test_vertex_is_project_location_and_bucket_only(google: Google) -> None:
    assert target(google).vertex == {
        "project": PROJECT,
        "location": "us-central1",
        "staging_bucket": f"gs://{BUCKET}/tiny-lab",
    }


def test_the_checks_run_once_and_say_what_follows(google: Google, capsys: pytest.CaptureFixture[str]) -> None:
    opened = target(google)
    assert not google.requests  # opening a lesson asks nobody
    _ = opened.vertex
    asked = len(google.requests)
    said = capsys.readouterr().out
    _ = opened.vertex
    opened.storage()
    assert len(google.requests) == asked and not capsys.readouterr().out
    # 2 x 1 h x 0.21849885 USD x 1.25, and 2 of 1024 GiB at 6.25 USD
    assert f"at most {2 * 0.21849885 * 1.25 + 2 / 1024 * 6.25:.2f} USD" in said
    for text in (PROJECT, "2 x n1-standard-4 for training", f"gs://{BUCKET}/tiny-lab/", "lab=tiny-lab", "labs cleanup"):
        assert text in said


REFUSED: dict[str, tuple[Any, dict[str, str], str]] = {
    "API off": (lambda g: g.off.add("aiplatform.googleapis.com"), {}, "gcloud services enable aiplatform.googleapis"),
    "no project": (
        lambda g: g.refusals.update({"batchGet": (403, "", "Permission denied")}),
        {},
        "is not there, or you may not see",
    ),
    "Service Usage off": (
        lambda g: g.refusals.update({"batchGet": (403, "SERVICE_DISABLED", "has not been used")}),
        {},
        "enable serviceusage.googleapis.com",
    ),
    "service down": (lambda g: g.refusals.update({"batchGet": (503, "", "later")}), {}, "HTTP 503, later"),
    "no bucket": (lambda g: g.buckets.clear(), {}, "gcloud storage buckets create gs://some-bucket"),
    "somebody's bucket": (lambda g: g.refusals.update({"/b/": (403, "", "no")}), {}, "you may not see it"),
    "bucket far away": (lambda g: setattr(g, "location", "EUROPE-WEST1"), {}, "lies in europe-west1"),
    "bucket in the EU": (lambda g: setattr(g, "location", "EU"), {}, "lies in eu"),
    "quota": (
        lambda g: setattr(g, "quotas", [quota("other", 9), quota("custom_model_training_cpus", 7)]),
        {},
        "custom_model_training_cpus in us-central1 is 7, the lab needs 8",
    ),
    "too dear": (lambda g: None, {"LABS_MAX_COST_USD": "0.5"}, "costs up to 0.56 USD, the limit is 0.50"),
    "limit": (lambda g: None, {"LABS_MAX_COST_USD": "cheap"}, "'cheap' is no amount in USD"),
    "no such limit": (lambda g: None, {"LABS_MAX_COST_USD": "nan"}, "'nan' is no amount in USD"),
    "bucket unset": (lambda g: None, {"LABS_BUCKET": ""}, "LABS_BUCKET is not set"),
    "folder as bucket": (lambda g: None, {"LABS_BUCKET": "gs://some-bucket/x"}, "without a folder"),
    "emulator": (lambda g: None, {"STORAGE_EMULATOR_HOST": "http://127.0.0.1:1"}, "Unset it"),
    "no prices there": (
        lambda g: g.__dict__.update(location="EU", quotas=[quota("custom_model_training_cpus", 8, "europe-west4")]),
        {"LABS_LOCATION": "europe-west4"},
        "prices are known for us-central1, not for europe-west4",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_failed_check_is_one_clear_line(google: Google, case: str) -> None:
    change, environ, expected = REFUSED[case]
    change(google)
    (problem,) = problems(target(google, environ=ENVIRON | environ))
    assert expected in problem


@pytest.mark.parametrize("location", ["US", "US-CENTRAL1"])
def test_a_bucket_in_the_region_or_around_it_is_right(google: Google, location: str) -> None:
    google.location = location
    assert target(google).vertex["project"] == PROJECT


def test_all_problems_are_told_at_once(google: Google) -> None:
    google.off.update(("aiplatform.googleapis.com", "bigquery.googleapis.com"))
    google.buckets.clear()
    google.quotas = [quota("custom_model_training_cpus", 0)]
    found = problems(target(google, environ=ENVIRON | {"LABS_MAX_COST_USD": "0"}))
    assert len(found) == 4
    assert "aiplatform.googleapis.com, bigquery.googleapis.com" in found[0]


def test_the_sum_is_shown_line_by_line(google: Google) -> None:
    (problem,) = problems(target(google, environ=ENVIRON | {"LABS_MAX_COST_USD": "0.1"}))
    rows = [row.split() for row in problem.splitlines()[1:]]
    assert [row[-2] for row in rows] == ["0.5462", "0.0122", "0.5585"]
    assert rows[-1][0] == "sum"


def test_a_limit_of_the_notebook_replaces_that_of_the_environment(google: Google) -> None:
    environ = ENVIRON | {"LABS_MAX_COST_USD": "0.1"}
    assert target(google, environ=environ, max_cost_usd=2.0).vertex
    assert "the limit is 0.20" in problems(target(google, max_cost_usd=0.2))[0]


def test_what_has_no_price_is_refused_until_it_is_accepted(google: Google) -> None:
    trees = "boosted trees on Vertex AI"
    dear = Machines(use="training", machine="m1-ultramem-160", hours=1)
    plan = PLAN.model_copy(update={"machines": (TRAINING, dear), "unpriced": (trees,)})
    (problem,) = problems(target(google, plan))
    assert trees in problem and "m1-ultramem-160 for training" in problem and "LABS_ACCEPT_UNPRICED" in problem
    assert target(google, plan, ENVIRON | {"LABS_ACCEPT_UNPRICED": "yes"}).vertex


def test_a_quota_that_cannot_be_read_is_told_and_does_not_refuse(
    google: Google, capsys: pytest.CaptureFixture[str]
) -> None:
    google.refusals["consumerQuotaMetrics"] = (403, "", "Permission denied")
    assert target(google).vertex
    assert "quota not checked" in capsys.readouterr().out


def test_old_prices_are_told(google: Google, capsys: pytest.CaptureFixture[str], tiny: LabFolder) -> None:
    table = tiny.folder.parents[1] / "blueprint" / "prices.toml"
    table.write_text(re.sub(r"seen = 2026-10-07", "seen = 2021-10-07", table.read_text()))
    assert target(google).vertex
    said = capsys.readouterr().out
    assert "vertex-2026-10 are of 2021-10-07" in said and "vertex-2026-09 are of" not in said


def test_without_credentials_the_rest_is_checked_all_the_same(google: Google, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    environ = ENVIRON | {"LABS_MAX_COST_USD": "0.1"}
    first, second = problems(target(google, environ=environ, credentials=None))
    assert "no credentials" in first and "gcloud auth application-default login" in first
    assert "costs up to" in second and not google.requests


def test_expired_credentials_are_named(google: Google) -> None:
    class Expired(AnonymousCredentials):
        def before_request(self, *args: Any) -> None:
            raise RefreshError("Reauthentication is needed")

    (problem,) = problems(target(google, credentials=Expired()))
    assert "Reauthentication is needed" in problem and "gcloud auth" in problem


def test_no_network_is_no_missing_project() -> None:
    with serve() as google:
        hosts = google.hosts
    (problem,) = problems(target(google, hosts=hosts))
    assert "cannot be reached" in problem


def test_a_users_requests_are_counted_for_the_project(google: Google) -> None:
    assert target(google, credentials=Credentials(token="t")).vertex
    assert {headers["x-goog-user-project"] for _, headers in google.requests} == {PROJECT}
    assert {headers["authorization"] for _, headers in google.requests} == {"Bearer t"}


def test_a_mended_problem_is_no_problem(google: Google) -> None:
    google.off.add("bigquery.googleapis.com")
    opened = target(google)
    problems(opened)
    google.off.clear()
    assert opened.vertex


def test_labels_have_the_form_that_the_services_demand(google: Google) -> None:
    first, second = target(google).labels, target(google).labels
    assert set(first) == {"lab", "run", "expires"} and first["run"] != second["run"]
    assert all(re.fullmatch(r"[a-z0-9_-]{1,63}", value) for value in first.values())


def test_the_dataset_is_made_with_labels_and_region_and_a_strangers_is_left_alone(
    google: Google, tmp_path: Path
) -> None:
    with start(tmp_path / "bigquery", PROJECT) as server:
        hosts = type(google.hosts)(google.url, google.url, server.url)
        opened = target(google, hosts=hosts)
        client = opened.bigquery()
        made = client.get_dataset(opened.dataset)
        assert made.labels == opened.labels and made.location == "us-central1"
        assert client.query("CREATE TABLE points AS SELECT 1 AS x").result() is not None
        target(google, hosts=hosts).bigquery()  # another run of the same lab
        made.labels = {"lab": None, "run": None, "expires": None}
        client.update_dataset(made, ["labels"])
        with pytest.raises(LabError, match="not this lab's"):
            target(google, hosts=hosts).bigquery()


def test_a_kernel_that_has_used_the_local_vertex_is_refused(google: Google, monkeypatch: Any) -> None:
    from google.cloud.aiplatform import initializer

    monkeypatch.setattr(initializer.global_config, "_api_endpoint", "localhost:1")
    (problem,) = problems(target(google))
    assert "Restart the kernel" in problem


def test_the_lessons_target_has_the_plan_of_its_card(tiny: LabFolder, tmp_path: Path, monkeypatch: Any) -> None:
    opened = open_target("vertex", "tiny-lab", tmp_path, max_cost_usd=0.25)
    assert isinstance(opened, VertexTarget)
    assert opened.plan == tiny.card.cloud
    monkeypatch.setenv("LABS_PROJECT", PROJECT)
    monkeypatch.delenv("LABS_BUCKET", raising=False)
    with pytest.raises(LabError, match="LABS_BUCKET is not set"):
        _ = opened.bucket


UNTOUCHED = """
import sys
from google.auth.credentials import AnonymousCredentials
from labkit.catalog.card import Cloud
from labkit.target.cloud import VertexTarget
from labkit.target.preflight import Hosts

url = sys.argv[1]
plan = Cloud(services=("vertex-model-registry",), max_cost_usd=0)
environ = {"LABS_PROJECT": "some-project", "LABS_BUCKET": "gs://some-bucket"}
hosts = Hosts(url, url, url)
target = VertexTarget("tiny-lab", plan, hosts=hosts, credentials=AnonymousCredentials(), environ=environ)

from google.cloud import aiplatform
from google.cloud.aiplatform import initializer, jobs, pipeline_jobs, training_jobs
from google.cloud.aiplatform.utils import resource_manager_utils
from google.auth.transport.requests import AuthorizedSession

watched = lambda: [
    AuthorizedSession.__init__, resource_manager_utils.get_project_number, type(initializer.global_config).api_endpoint,
    jobs._JOB_WAIT_TIME, training_jobs._JOB_WAIT_TIME, pipeline_jobs._JOB_WAIT_TIME,
]
before = watched()
aiplatform.init(**target.vertex)
target.storage()
assert watched() == before
options = initializer.global_config.get_client_options()
print(options.api_endpoint, initializer.global_config._api_endpoint, initializer.global_config._credentials)
print([name for name in sys.modules if name.startswith("localgcp") and name.endswith("shims")])
"""


def test_nothing_is_redirected_and_the_sdk_is_as_it_was(google: Google) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.endswith("EMULATOR_HOST")}
    run = subprocess.run(
        [sys.executable, "-c", UNTOUCHED, google.url], capture_output=True, text=True, check=False, env=environ
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-2:] == ["us-central1-aiplatform.googleapis.com None None", "[]"]


@pytest.mark.parametrize(
    ("machine", "accelerator", "count", "words"),
    [
        ("n1-standard-4", "NVIDIA_TESLA_A100", 1, "does not take accelerator type NVIDIA_TESLA_A100"),
        ("n1-standard-4", "NVIDIA_TESLA_T4", 3, "3 accelerators of type NVIDIA_TESLA_T4 do not fit"),
        ("n1-standard-4", "NVIDIA_TESLA_T5", 1, "no accelerator is called NVIDIA_TESLA_T5"),
    ],
)
def test_an_impossible_pair_is_refused_before_anything_is_created(
    google: Google, machine: str, accelerator: str, count: int, words: str
) -> None:
    wanted = Machines(use="training", machine=machine, hours=0.1, accelerator=accelerator, accelerators=count)
    plan = Cloud(services=("vertex-training",), max_cost_usd=50, machines=(wanted,))
    environ = ENVIRON | {"LABS_ACCEPT_UNPRICED": "yes", "LABS_MAX_COST_USD": "50"}
    target = VertexTarget("tiny-lab", plan, hosts=google.hosts, credentials=AnonymousCredentials(), environ=environ)
    with pytest.raises(PreflightFailed, match=words):
        _ = target.vertex


def test_the_cards_ask_only_for_machines_that_there_are() -> None:
    from labkit.catalog.collection import read_labs
    from labkit.target.pairs import check_pairs

    plans = {lab.slug: check_pairs(lab.card.cloud.machines) for lab in read_labs()[0]}
    assert not {slug: found for slug, found in plans.items() if found != ([], [])}
