"""What is checked before the first call to Google Cloud: credentials, project, APIs, bucket, quota and cost."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from labkit.catalog import LabError
from labkit.catalog.card import Cloud, Machines
from labkit.catalog.cloud import read_services
from labkit.catalog.prices import Bound, read_prices, upper_bound
from labkit.target.pairs import check_pairs
from labkit.target.settings import Settings

LOGIN = "Run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to a key file."
EMULATORS = ("STORAGE_EMULATOR_HOST", "BIGQUERY_EMULATOR_HOST")
SECONDS = 30
# Location of a bucket -> how the names of its regions begin.
_MULTI_REGIONS = {"us": "us-", "eu": "europe-", "asia": "asia-"}
# Series of machines whose CPUs count against custom_model_training_cpus and custom_model_serving_cpus.
_COMMON_CPUS = ("n1-", "e2-")
# Accelerator -> its name in the metrics custom_model_training_…_gpus and custom_model_serving_…_gpus.
_GPUS = {
    "NVIDIA_TESLA_T4": "nvidia_t4",
    "NVIDIA_TESLA_P4": "nvidia_p4",
    "NVIDIA_L4": "nvidia_l4",
    "NVIDIA_TESLA_A100": "nvidia_a100",
    "NVIDIA_A100_80GB": "nvidia_a100_80gb",
    "NVIDIA_H100_80GB": "nvidia_h100",
}


@dataclass(frozen=True)
class Hosts:
    """Where the checks and the REST clients send their requests. Another place than Google's is for tests."""

    serviceusage: str = "https://serviceusage.googleapis.com"
    storage: str = "https://storage.googleapis.com"
    bigquery: str = "https://bigquery.googleapis.com"


class PreflightFailed(LabError):
    """Nothing was sent to the service: a check before the first call failed. One line a problem."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        lines = "".join(f"\n- {problem}" for problem in self.problems)
        super().__init__(f"nothing was created. Mend this, then run the set-up cell again:{lines}")


class Refused(Exception):
    """The service did not answer as hoped: `status` is HTTP's, 0 when there was no answer at all."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message


@dataclass
class Findings:
    """What the checks have found."""

    bound: Bound
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check(
    settings: Settings,
    plan: Cloud,
    session: Any,
    hosts: Hosts,
    environ: Mapping[str, str],
    today: datetime.date,
) -> Findings:
    """Runs every check that is possible; `session` is an AuthorizedSession, or the text that says why there is none."""
    found = Findings(upper_bound(plan))
    found.problems += settings.wrong
    found.problems += _kernel(environ)
    refused, unknown = check_pairs(plan.machines)
    found.problems += refused
    found.notes += unknown
    if isinstance(session, str):
        found.problems.append(session)
    elif not settings.project:
        found.problems.append("no project: neither LABS_PROJECT nor the credentials name one. Set LABS_PROJECT.")
    else:
        _online(settings, plan, Ask(session, settings.project), hosts, found)
    found.problems += _cost(settings, found.bound)
    for name in read_prices().stale(today):
        seen = read_prices().sources[name].seen
        found.notes.append(f"the prices of source {name} are of {seen}, more than a year old: look at the price page")
    return found


class Ask:
    """GET requests on behalf of one project."""

    def __init__(self, session: Any, project: str) -> None:
        self._session, self._project = session, project

    def get(self, url: str, **parameters: Any) -> dict[str, Any]:
        """The JSON of an answer. Raises Refused."""
        from google.auth.exceptions import GoogleAuthError
        from requests import RequestException

        try:
            reply = self._session.get(url, params=parameters, timeout=SECONDS)
        except GoogleAuthError as error:
            raise Refused(401, "CREDENTIALS", str(error)) from error
        except RequestException as error:
            raise Refused(0, "UNREACHABLE", f"{type(error).__name__}") from error
        try:
            body = reply.json()
        except ValueError:
            body = {}
        if reply.status_code == 200:
            return dict(body)
        said = body.get("error", {})
        reasons = [str(detail["reason"]) for detail in said.get("details", []) if "reason" in detail]
        raise Refused(reply.status_code, (reasons or [""])[0], str(said.get("message", reply.reason)))


def _kernel(environ: Mapping[str, str]) -> Iterator[str]:
    """What an earlier use of the local services has left behind in this process."""
    for name in EMULATORS:
        if environ.get(name):
            yield f"{name}={environ[name]}: clients would ask that server in the place of Google. Unset it."
    initializer = sys.modules.get("google.cloud.aiplatform.initializer")
    config = getattr(initializer, "global_config", None)
    if getattr(config, "_api_endpoint", None):
        yield "this kernel has used the local Vertex AI, and aiplatform.init keeps its address. Restart the kernel."


def _online(settings: Settings, plan: Cloud, ask: Ask, hosts: Hosts, found: Findings) -> None:
    try:
        found.problems += _apis(settings, plan, ask, hosts)
    except Refused as refused:
        found.problems.append(_project(settings, refused))
        return  # every other request would be refused for the same reason
    if settings.bucket:
        found.problems += _bucket(settings, ask, hosts, found.notes)
    found.problems += _quota(settings, plan, ask, hosts, found.notes)


def _project(settings: Settings, refused: Refused) -> str:
    project = settings.project
    if refused.reason == "CREDENTIALS":
        return f"credentials are refused: {refused.message}. {LOGIN}"
    if refused.reason == "UNREACHABLE":
        return f"Google Cloud cannot be reached ({refused.message}). Is this machine online?"
    if refused.reason == "SERVICE_DISABLED":
        return (
            f"APIs of project {project} cannot be read: the Service Usage API is off. Run "
            f"`gcloud services enable serviceusage.googleapis.com --project {project}`."
        )
    if refused.status in (403, 404):
        return (
            f"project {project} is not there, or you may not see its APIs: {refused.message}. Correct LABS_PROJECT, or "
            "ask for the role Service Usage Consumer (roles/serviceusage.serviceUsageConsumer)."
        )
    return f"project {project} could not be checked: HTTP {refused.status}, {refused.message}. Try again later."


def _apis(settings: Settings, plan: Cloud, ask: Ask, hosts: Hosts) -> list[str]:
    services = read_services()
    wanted = {"storage.googleapis.com"} | {api for name in plan.services for api in services[name].apis}
    parent = f"projects/{settings.project}"
    names = [f"{parent}/services/{api}" for api in sorted(wanted)]
    answer = ask.get(f"{hosts.serviceusage}/v1/{parent}/services:batchGet", names=names)
    on = {str(s["name"]).rpartition("/")[2] for s in answer.get("services", []) if s.get("state") == "ENABLED"}
    off = sorted(wanted - on)
    if not off:
        return []
    command = f"gcloud services enable {' '.join(off)} --project {settings.project}"
    return [f"not enabled in project {settings.project}: {', '.join(off)}. Run `{command}`."]


def _bucket(settings: Settings, ask: Ask, hosts: Hosts, notes: list[str]) -> list[str]:
    name = f"gs://{settings.bucket}"
    try:
        bucket = ask.get(f"{hosts.storage}/storage/v1/b/{settings.bucket}", fields="name,location,locationType")
    except Refused as refused:
        if refused.status == 404:
            make = f"gcloud storage buckets create {name} --project {settings.project} --location {settings.location}"
            return [f"bucket {name} is not there. Run `{make}`, or correct LABS_BUCKET."]
        if refused.status == 403:
            return [f"bucket {name}: you may not see it. Ask for roles/storage.admin on it, or correct LABS_BUCKET."]
        return [f"bucket {name} could not be checked: HTTP {refused.status}, {refused.message}. Try again later."]
    place = str(bucket.get("location", "")).lower()
    if place not in _MULTI_REGIONS and "-" not in place:
        notes.append(f"whether the dual-region {place} of bucket {name} contains {settings.location} was not checked")
        return []
    if settings.location.startswith(_MULTI_REGIONS.get(place, place)):
        return []
    return [
        f"bucket {name} lies in {place}, the lab runs in {settings.location}: traffic between regions is billed and in "
        "no bound. Use a bucket of that region, or set LABS_LOCATION."
    ]


def _quota(settings: Settings, plan: Cloud, ask: Ask, hosts: Hosts, notes: list[str]) -> list[str]:
    needed: dict[str, int] = {}
    for machines in plan.machines:
        for metric, number in _needs(machines, notes):
            needed[metric] = max(needed.get(metric, 0), number)
    if not needed:
        return []
    try:
        limits = dict(_limits(settings, ask, hosts))
    except Refused as refused:
        notes.append(f"quota not checked: it could not be read (HTTP {refused.status}, {refused.message})")
        return []
    problems = []
    for metric, number in needed.items():
        if metric not in limits:
            notes.append(f"quota not checked: the project lists no {metric} in {settings.location}")
        elif 0 <= limits[metric] < number:
            problems.append(
                f"quota of {metric} in {settings.location} is {limits[metric]}, the lab needs {number}. Ask for more "
                "on the page IAM & Admin > Quotas, or set LABS_LOCATION to a region that has it."
            )
    return problems


def _needs(machines: Machines, notes: list[str]) -> Iterator[tuple[str, int]]:
    """Metric and number of what the machines take at the same time."""
    use = "training" if machines.use == "training" else "serving"
    if machines.machine.startswith(_COMMON_CPUS):
        cores = int(machines.machine.rpartition("-")[2])
        yield f"aiplatform.googleapis.com/custom_model_{use}_cpus", cores * machines.count
    else:
        notes.append(f"quota not checked: CPUs of {machines.machine}")
    gpu = _GPUS.get(machines.accelerator)
    if gpu:
        metric = f"aiplatform.googleapis.com/custom_model_{use}_{gpu}_gpus"
        yield metric, machines.accelerators * machines.count
    elif machines.accelerator:
        notes.append(f"quota not checked: {machines.accelerator}")


def _limits(settings: Settings, ask: Ask, hosts: Hosts) -> Iterator[tuple[str, int]]:
    """Metric and limit in the region, -1 for none; a limit of the region counts before one of the whole project."""
    parent = f"projects/{settings.project}/services/aiplatform.googleapis.com"
    token = ""
    while True:
        page = ask.get(
            f"{hosts.serviceusage}/v1beta1/{parent}/consumerQuotaMetrics", view="BASIC", pageSize=200, pageToken=token
        )
        for metric in page.get("metrics", []):
            buckets = [b for limit in metric.get("consumerQuotaLimits", []) for b in limit.get("quotaBuckets", [])]
            here = [b for b in buckets if b.get("dimensions", {}).get("region") == settings.location]
            everywhere = [b for b in buckets if not b.get("dimensions")]
            for bucket in (here or everywhere)[:1]:
                yield str(metric["metric"]), int(bucket.get("effectiveLimit", 0))
        token = str(page.get("nextPageToken", ""))
        if not token:
            return


def _cost(settings: Settings, bound: Bound) -> Iterator[str]:
    region = read_prices().region
    accept = "Set LABS_ACCEPT_UNPRICED=yes if you accept a bill that nobody has bounded."
    if not settings.accept_unpriced:
        if bound.unpriced:
            yield f"no upper bound of cost: no price is known for {'; '.join(bound.unpriced)}. {accept}"
        if settings.location != region:
            yield f"no upper bound of cost: prices are known for {region}, not for {settings.location}. {accept}"
    if bound.usd > settings.max_cost_usd:
        table = "".join(f"\n    {row}" for row in bound.table())
        yield (
            f"a run costs up to {bound.usd:.2f} USD, the limit is {settings.max_cost_usd:.2f}. Raise LABS_MAX_COST_USD "
            f"if you accept that:{table}"
        )
