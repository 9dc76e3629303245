"""The BigQuery REST API v2: a request in, a response out, nothing of HTTP's own."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from localgcp.bigquery import resources, streaming
from localgcp.bigquery.arrow import empty, normalise
from localgcp.bigquery.catalog import Resource, etag
from localgcp.bigquery.cells import encode_rows
from localgcp.bigquery.errors import BigQueryError, invalid, unimplemented
from localgcp.bigquery.functions import Function
from localgcp.bigquery.jobs import ANONYMOUS, Job, Jobs
from localgcp.bigquery.names import DatasetName, TableName, quote
from localgcp.bigquery.session import Engine, Session
from localgcp.bigquery.types import Field, result_fields
from localgcp.routes import Routes

# The most rows of one page. The service limits a page by its bytes; the client follows page tokens either way.
PAGE = 50_000

_STATUS_NAMES = {403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ALREADY_EXISTS", 412: "FAILED_PRECONDITION"}


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # names in lower case
    body: bytes

    def json(self) -> Resource:
        """The body as an object. Raises BigQueryError when it is none."""
        if not self.body:
            return {}
        try:
            parsed = json.loads(self.body)
        except ValueError:
            raise BigQueryError("Parse Error: the body is not JSON", "parseError", "") from None
        if not isinstance(parsed, dict):
            raise BigQueryError("Parse Error: the body is not a JSON object", "parseError", "")
        return parsed


@dataclass(frozen=True)
class Response:
    """`rows` are JSON texts that go into the body as they are."""

    status: int = 200
    body: Resource | None = None
    headers: dict[str, str] = field(default_factory=dict)
    rows: list[str] | None = None

    def content(self) -> bytes:
        if self.body is None:
            return b""
        text = json.dumps(self.body, ensure_ascii=False)
        if self.rows is not None:
            text = text[:-1] + ("," if self.body else "") + '"rows":[' + ",".join(self.rows) + "]}"
        return text.encode()


def error_response(error: BigQueryError) -> Response:
    """The API's form of an error."""
    item = {"message": error.message, "domain": "global", "reason": error.reason}
    if error.location:
        item |= {"location": error.location, "locationType": "parameter" if error.location == "query" else "other"}
    body = {
        "code": error.code,
        "message": error.message,
        "errors": [item],
        "status": _STATUS_NAMES.get(error.code, "INVALID_ARGUMENT"),
    }
    return Response(error.code, {"error": body})


Handler = Callable[["Api", Request, dict[str, str]], Response]
_route: Routes[Handler] = Routes()


class Api:
    """Answers requests for one engine."""

    def __init__(self, engine: Engine, scratch: Path, buckets: Path | None = None) -> None:
        self.engine = engine
        self.jobs = Jobs(engine, buckets)
        self.scratch = scratch
        self.uploads: dict[str, tuple[str, Resource, Path]] = {}

    def answer(self, request: Request) -> Response:
        """Never raises: a fault of this server is a bad request too, since the client would retry anything else."""
        try:
            return self._answer(request)
        except BigQueryError as error:
            return error_response(error)
        except Exception as error:
            return error_response(BigQueryError(f"{type(error).__name__}: {error}", "invalid", ""))

    def _answer(self, request: Request) -> Response:
        path = re.sub(r"^/resumable(?=/upload/)", "", request.path)
        is_upload = path.startswith("/upload/")
        path = path.removeprefix("/upload").removeprefix("/bigquery/v2")
        if is_upload:
            return upload(self, request, path)
        if found := _route.find(request.method, path):
            handler, parts = found
            return handler(self, request, parts)
        raise unimplemented(f"{request.method} {request.path}")

    def session(self, project: str) -> Session:
        return self.engine.session(project)


def _page(request: Request, total: int) -> tuple[int, int, str | None]:
    """(first, last + 1, token of the next page) of what a request asks for."""
    first = int(request.query.get("pageToken") or request.query.get("startIndex") or 0)
    wanted = request.query.get("maxResults")
    last = min(total, first + min(int(wanted) if wanted else PAGE, PAGE))
    return first, last, str(last) if last < total else None


def _listed(request: Request, kind: str, key: str, items: list[Resource], **more: Any) -> Response:
    first, last, token = _page(request, len(items))
    body: Resource = {"kind": f"bigquery#{kind}"} if kind else {}
    body |= {key: items[first:last]} | more
    return Response(200, body | ({"nextPageToken": token} if token else {}))


# Projects


@_route("GET", "/projects")
def _projects(api: Api, request: Request, _: dict[str, str]) -> Response:
    name = api.engine.project
    item = {"kind": "bigquery#project", "id": name, "projectReference": {"projectId": name}, "friendlyName": name}
    return _listed(request, "projectList", "projects", [item], totalItems=1)


@_route("GET", "/projects/{project}/serviceAccount")
def _service_account(api: Api, request: Request, at: dict[str, str]) -> Response:
    email = f"local@{at['project']}.iam.gserviceaccount.com"
    return Response(200, {"kind": "bigquery#getServiceAccountResponse", "email": email})


# Datasets


@_route("GET", "/projects/{project}/datasets")
def _list_datasets(api: Api, request: Request, at: dict[str, str]) -> Response:
    with api.engine.lock:
        found = [(n, r) for n, r in api.engine.catalog.datasets.items() if n.project == at["project"]]
        hidden = request.query.get("all", "").lower() == "true"
        items = [
            resources.dataset_item(name, resource)
            for name, resource in sorted(found, key=lambda pair: pair[0].dataset)
            if (hidden or not name.dataset.startswith("_")) and _has_labels(resource, request.query.get("filter", ""))
        ]
    return _listed(request, "datasetList", "datasets", items)


def _has_labels(resource: Resource, condition: str) -> bool:
    """`labels.team:a labels.env` as datasets.list takes it. Raises BigQueryError for another form."""
    labels = resource.get("labels", {})
    for part in condition.replace(" AND ", " ").split():
        match = re.fullmatch(r"labels\.([^:]+)(?::(.*))?", part)
        if match is None:
            raise invalid(f"Invalid filter: {condition}")
        if match[1] not in labels or (match[2] not in (None, "*") and labels[match[1]] != match[2]):
            return False
    return True


@_route("POST", "/projects/{project}/datasets")
def _insert_dataset(api: Api, request: Request, at: dict[str, str]) -> Response:
    with api.engine.lock, api.session(at["project"]) as session:
        return Response(200, resources.insert_dataset(session, at["project"], request.json()))


@_route("GET", "/projects/{project}/datasets/{dataset}")
def _get_dataset(api: Api, request: Request, at: dict[str, str]) -> Response:
    with api.engine.lock, api.session(at["project"]) as session:
        return Response(200, resources.dataset(session, DatasetName(at["project"], at["dataset"])))


def _change_dataset(api: Api, request: Request, at: dict[str, str]) -> Response:
    name, replace = DatasetName(at["project"], at["dataset"]), request.method == "PUT"
    with api.engine.lock, api.session(at["project"]) as session:
        changed = resources.change_dataset(session, name, request.json(), replace, request.headers.get("if-match"))
    return Response(200, changed)


_route("PATCH", "/projects/{project}/datasets/{dataset}")(_change_dataset)
_route("PUT", "/projects/{project}/datasets/{dataset}")(_change_dataset)


@_route("DELETE", "/projects/{project}/datasets/{dataset}")
def _delete_dataset(api: Api, request: Request, at: dict[str, str]) -> Response:
    with api.engine.lock, api.session(at["project"]) as session:
        name = DatasetName(at["project"], at["dataset"])
        session.drop_dataset(name, request.query.get("deleteContents", "").lower() == "true")
    return Response(204)


# Tables


@_route("GET", "/projects/{project}/datasets/{dataset}/tables")
def _list_tables(api: Api, request: Request, at: dict[str, str]) -> Response:
    with api.engine.lock:
        name = DatasetName(at["project"], at["dataset"])
        catalog = api.engine.catalog
        catalog.dataset(name)
        tables = [table for table in catalog.tables_of(name) if catalog.has_table(table)]
        items = [resources.table_item(table, catalog.table(table)) for table in tables]
    return _listed(request, "tableList", "tables", items, totalItems=len(items))


@_route("POST", "/projects/{project}/datasets/{dataset}/tables")
def _insert_table(api: Api, request: Request, at: dict[str, str]) -> Response:
    body = request.json()
    body["tableReference"] = {"datasetId": at["dataset"]} | (body.get("tableReference") or {})
    with api.engine.lock, api.session(at["project"]) as session:
        return Response(200, resources.insert_table(session, at["project"], body))


@_route("GET", "/projects/{project}/datasets/{dataset}/tables/{table}")
def _get_table(api: Api, request: Request, at: dict[str, str]) -> Response:
    name = TableName(at["project"], at["dataset"], at["table"])
    if name.dataset == ANONYMOUS:
        return Response(200, _anonymous_table(api, name))
    with api.engine.lock, api.session(at["project"]) as session:
        return Response(200, resources.table(session, name))


def _anonymous_job(api: Api, name: TableName) -> Job:
    """The job whose result an anonymous table is."""
    for job in api.jobs.all(name.project):
        reference = job.configuration.get("query", {}).get("destinationTable") or {}
        if reference.get("tableId") == name.table and reference.get("datasetId") == ANONYMOUS:
            _check_rows(job)
            return job
    raise BigQueryError(f"Not found: Table {name}", "notFound", "")


def _check_rows(job: Job) -> None:
    if job.rows_are_gone:
        raise BigQueryError(f"Not found: the rows of job {job.job_id}, which are kept no longer", "notFound", "")


def _anonymous_table(api: Api, name: TableName) -> Resource:
    outcome = _anonymous_job(api, name).outcome
    assert outcome is not None and outcome.table is not None
    resource: Resource = {
        "kind": "bigquery#table",
        "id": str(name),
        "tableReference": name.reference(),
        "type": "TABLE",
        "location": "US",
        "schema": {"fields": outcome.fields},
        "numRows": str(outcome.table.num_rows),
        "numBytes": str(outcome.table.nbytes),
    }
    return resource | {"etag": etag(resource)}


def _change_table(api: Api, request: Request, at: dict[str, str]) -> Response:
    name, replace = TableName(at["project"], at["dataset"], at["table"]), request.method == "PUT"
    with api.engine.lock, api.session(at["project"]) as session:
        changed = resources.change_table(session, name, request.json(), replace, request.headers.get("if-match"))
    return Response(200, changed)


_route("PATCH", "/projects/{project}/datasets/{dataset}/tables/{table}")(_change_table)
_route("PUT", "/projects/{project}/datasets/{dataset}/tables/{table}")(_change_table)


@_route("DELETE", "/projects/{project}/datasets/{dataset}/tables/{table}")
def _delete_table(api: Api, request: Request, at: dict[str, str]) -> Response:
    name = TableName(at["project"], at["dataset"], at["table"])
    with api.engine.lock:
        api.engine.catalog.table(name)
        api.engine.catalog.drop_table(name)
        api.engine.forget_sizes(name)
    return Response(204)


@_route("GET", "/projects/{project}/datasets/{dataset}/tables/{table}/data")
def _table_data(api: Api, request: Request, at: dict[str, str]) -> Response:
    name = TableName(at["project"], at["dataset"], at["table"])
    if name.dataset == ANONYMOUS:
        outcome = _anonymous_job(api, name).outcome
        assert outcome is not None and outcome.table is not None
        fields, total = outcome.fields, outcome.table.num_rows
        first, last, token = _page(request, total)
        table = outcome.table.slice(first, last - first)
    else:
        fields, table, total, token = _stored_rows(api, name, request)
    rows = encode_rows(table, fields, _int64_timestamps(request))
    body: Resource = {"kind": "bigquery#tableDataList", "totalRows": str(total), "etag": ""}
    return Response(200, body | ({"pageToken": token} if token else {}), rows=rows)


def _stored_rows(api: Api, name: TableName, request: Request) -> tuple[list[Field], pa.Table, int, str | None]:
    with api.engine.lock:
        resource = api.engine.catalog.table(name)
        if resource["type"] != "TABLE":
            raise BigQueryError(f"Cannot list a table of type {resource['type']}.", "invalid", "")
        fields = resource["schema"].get("fields", [])
        if not fields:
            return [], pa.table({}), 0, None
        if selected := request.query.get("selectedFields"):
            wanted = {part.split(".")[0].lower() for part in selected.split(",")}
            fields = [one for one in fields if one["name"].lower() in wanted]
        total = api.engine.row_count(name)
        first, last, token = _page(request, total)
        if last <= first:
            return fields, empty(fields), total, token
        columns = ", ".join(quote(one["name"]) for one in fields)
        cursor = api.engine.connection.execute(
            f"SELECT {columns} FROM {name.duckdb} LIMIT {last - first} OFFSET {first}"
        )
        found = result_fields(cursor.description)
        return fields, normalise(cursor.to_arrow_table(), found), total, token


@_route("POST", "/projects/{project}/datasets/{dataset}/tables/{table}/insertAll")
def _insert_all(api: Api, request: Request, at: dict[str, str]) -> Response:
    name = TableName(at["project"], at["dataset"], at["table"])
    with api.session(at["project"]) as session:
        return Response(200, streaming.insert_all(session, name, request.json()))


# Models, which whoever made them describes


@_route("GET", "/projects/{project}/datasets/{dataset}/models")
def _list_models(api: Api, request: Request, at: dict[str, str]) -> Response:
    name = DatasetName(at["project"], at["dataset"])
    api.engine.catalog.dataset(name)
    keys = ("modelReference", "modelType", "creationTime", "lastModifiedTime", "labels", "friendlyName", "description")
    items = [{key: model[key] for key in keys if key in model} for model in api.engine.models(name)]
    return _listed(request, "", "models", items)


def _model(api: Api, at: dict[str, str]) -> Resource:
    name = DatasetName(at["project"], at["dataset"])
    api.engine.catalog.dataset(name)
    for model in api.engine.models(name):
        if model["modelReference"]["modelId"] == at["model"]:
            return model
    raise BigQueryError(f"Not found: Model {name}.{at['model']}", "notFound", "")


@_route("GET", "/projects/{project}/datasets/{dataset}/models/{model}")
def _get_model(api: Api, request: Request, at: dict[str, str]) -> Response:
    return Response(200, _model(api, at))


@_route("DELETE", "/projects/{project}/datasets/{dataset}/models/{model}")
def _delete_model(api: Api, request: Request, at: dict[str, str]) -> Response:
    _model(api, at)
    api.engine.delete_model(DatasetName(at["project"], at["dataset"]), at["model"])
    return Response(204)


# Functions


def _routine(api: Api, name: TableName) -> Resource:
    with api.engine.lock, api.session(name.project) as session:
        function: Function | None = session.function([name.project, name.dataset, name.table])
    if function is None:
        raise BigQueryError(f"Not found: Routine {name}", "notFound", "")
    return resources.routine(name, function)


@_route("GET", "/projects/{project}/datasets/{dataset}/routines")
def _list_routines(api: Api, request: Request, at: dict[str, str]) -> Response:
    name = DatasetName(at["project"], at["dataset"])
    api.engine.catalog.dataset(name)
    items = [_routine(api, one) for one in api.engine.catalog.functions_of(name)]
    return _listed(request, "", "routines", items)


@_route("GET", "/projects/{project}/datasets/{dataset}/routines/{routine}")
def _get_routine(api: Api, request: Request, at: dict[str, str]) -> Response:
    return Response(200, _routine(api, TableName(at["project"], at["dataset"], at["routine"])))


@_route("DELETE", "/projects/{project}/datasets/{dataset}/routines/{routine}")
def _delete_routine(api: Api, request: Request, at: dict[str, str]) -> Response:
    with api.engine.lock:
        api.engine.catalog.drop_function(TableName(at["project"], at["dataset"], at["routine"]))
    return Response(204)


# Jobs


@_route("POST", "/projects/{project}/jobs")
def _insert_job(api: Api, request: Request, at: dict[str, str]) -> Response:
    body = request.json()
    load = (body.get("configuration") or {}).get("load")
    if load is not None and not load.get("sourceUris"):
        raise invalid("Required parameter is missing: sourceUris")
    return Response(200, api.jobs.insert(at["project"], body).resource())


@_route("GET", "/projects/{project}/jobs")
def _list_jobs(api: Api, request: Request, at: dict[str, str]) -> Response:
    wanted, parent = request.query.get("stateFilter", "").upper(), request.query.get("parentJobId")
    earliest, latest = request.query.get("minCreationTime"), request.query.get("maxCreationTime")
    items = [
        _job_item(job)
        for job in api.jobs.all(at["project"])
        if job.parent == parent
        and (not wanted or job.state == wanted)
        and (not earliest or int(job.created) >= int(earliest))
        and (not latest or int(job.created) <= int(latest))
    ]
    return _listed(request, "jobList", "jobs", items, etag="")


def _job_item(job: Job) -> Resource:
    resource = job.resource()
    item = {key: resource[key] for key in ("kind", "id", "jobReference", "configuration", "status", "statistics")}
    item |= {"state": resource["status"]["state"], "user_email": resource["user_email"]}
    return item | ({"errorResult": resource["status"]["errorResult"]} if "errorResult" in resource["status"] else {})


@_route("GET", "/projects/{project}/jobs/{job}")
def _get_job(api: Api, request: Request, at: dict[str, str]) -> Response:
    return Response(200, api.jobs.get(at["project"], at["job"]).resource())


@_route("POST", "/projects/{project}/jobs/{job}/cancel")
def _cancel_job(api: Api, request: Request, at: dict[str, str]) -> Response:
    job = api.jobs.get(at["project"], at["job"])
    api.jobs.cancel(job)
    job.done.wait(1)
    return Response(200, {"kind": "bigquery#jobCancelResponse", "job": job.resource()})


@_route("DELETE", "/projects/{project}/jobs/{job}/delete")
def _delete_job(api: Api, request: Request, at: dict[str, str]) -> Response:
    api.jobs.delete(api.jobs.get(at["project"], at["job"]))
    return Response(204)


# Queries

_QUERY_REQUEST = {
    "query", "defaultDataset", "queryParameters", "parameterMode", "useLegacySql", "useQueryCache",
    "maximumBytesBilled", "createSession", "connectionProperties", "continuous", "destinationEncryptionConfiguration",
    "writeIncrementalResults",
}  # fmt: skip


@_route("POST", "/projects/{project}/queries")
def _query(api: Api, request: Request, at: dict[str, str]) -> Response:
    """jobs.query: starts a query and waits for its first page."""
    body = request.json()
    query = {key: body[key] for key in _QUERY_REQUEST if key in body}
    configuration: Resource = {"query": query, "dryRun": bool(body.get("dryRun"))}
    if body.get("labels"):
        configuration["labels"] = body["labels"]
    if body.get("jobTimeoutMs"):
        configuration["jobTimeoutMs"] = body["jobTimeoutMs"]
    reference = {"location": body["location"]} if body.get("location") else {}
    wait = min(float(body.get("timeoutMs", 10_000)) / 1000, 200.0)
    job = api.jobs.insert(at["project"], {"configuration": configuration, "jobReference": reference}, wait=wait)
    options = {"maxResults": str(body["maxResults"])} if "maxResults" in body else {}
    options |= {"formatOptions.useInt64Timestamp": str((body.get("formatOptions") or {}).get("useInt64Timestamp", ""))}
    paged = Request("GET", request.path, options, request.headers, b"")
    response = _results(api, job, paged, 0)
    assert response.body is not None
    more: Resource = {"kind": "bigquery#queryResponse"}
    if not configuration["dryRun"]:
        more["queryId"] = job.job_id
    return Response(response.status, response.body | more, response.headers, response.rows)


@_route("GET", "/projects/{project}/queries/{job}")
def _query_results(api: Api, request: Request, at: dict[str, str]) -> Response:
    job = api.jobs.get(at["project"], at["job"])
    wait = min(float(request.query.get("timeoutMs", 10_000)) / 1000, 200.0)
    return _results(api, job, request, wait)


def _int64_timestamps(request: Request) -> bool:
    return request.query.get("formatOptions.useInt64Timestamp", "").lower() == "true"


def _results(api: Api, job: Job, request: Request, wait: float) -> Response:
    """A page of a job's rows; jobComplete is false while it runs. Raises BigQueryError when it has failed."""
    if not job.done.wait(wait):
        return Response(
            200, {"kind": "bigquery#getQueryResultsResponse", "jobReference": job.reference(), "jobComplete": False}
        )
    if job.error:
        raise job.error
    outcome = job.outcome
    if outcome is None:
        raise invalid(f"Job {job.job_id} is not a query")
    _check_rows(job)
    body: Resource = {
        "kind": "bigquery#getQueryResultsResponse",
        "jobReference": job.reference(),
        "jobComplete": True,
        "cacheHit": False,
        "totalBytesProcessed": str(outcome.bytes_processed),
    }
    if job.configuration.get("dryRun"):
        return Response(200, body | {"schema": {"fields": outcome.fields}})
    if outcome.affected is not None:
        body["numDmlAffectedRows"] = str(outcome.affected)
    if outcome.table is None:
        return Response(200, body | {"totalRows": "0"})
    first, last, token = _page(request, outcome.table.num_rows)
    body |= {"schema": {"fields": outcome.fields}, "totalRows": str(outcome.table.num_rows)}
    rows = encode_rows(outcome.table.slice(first, last - first), outcome.fields, _int64_timestamps(request))
    return Response(200, body | ({"pageToken": token} if token else {}), rows=rows)


# Uploads


def upload(api: Api, request: Request, path: str) -> Response:
    """Load jobs with the file in the request: at once (multipart) or in pieces (resumable)."""
    found = re.match(r"/projects/([^/]+)/jobs\Z", path)
    if found is None:
        raise unimplemented(f"the upload {request.path}")
    kind = request.query.get("uploadType")
    if kind == "multipart":
        metadata, data = _multipart(request)
        file = api.scratch / uuid.uuid4().hex
        file.write_bytes(data)
        return Response(200, api.jobs.insert(found[1], metadata, file).resource())
    if kind != "resumable":
        raise unimplemented(f"an upload of type {kind}")
    if request.method == "POST":
        identifier = uuid.uuid4().hex
        file = api.scratch / identifier
        file.touch()
        api.uploads[identifier] = (found[1], request.json(), file)
        host = request.headers.get("host", "")
        place = f"http://{host}{request.path}?uploadType=resumable&upload_id={identifier}"
        return Response(200, {}, {"Location": place, "X-GUploader-UploadID": identifier})
    return _receive(api, request)


def _multipart(request: Request) -> tuple[Resource, bytes]:
    """The job and the file of a multipart/related body."""
    match = re.search(r'boundary="?([^";]+)"?', request.headers.get("content-type", ""))
    if match is None:
        raise invalid("Missing end boundary in multipart body.")
    boundary = b"--" + match[1].encode()
    _, first, rest = request.body.split(boundary, 2)
    # The file may contain anything: its end is the last boundary and not the next.
    data = rest[: rest.rfind(b"\r\n" + boundary)]
    metadata = first.split(b"\r\n\r\n", 1)[1]
    return json.loads(metadata), data.split(b"\r\n\r\n", 1)[1]


def _receive(api: Api, request: Request) -> Response:
    """One piece of a resumable upload; the last one starts the job."""
    identifier = request.query.get("upload_id", "")
    if identifier not in api.uploads:
        raise BigQueryError(f"Not found: upload {identifier}", "notFound", "")
    project, metadata, file = api.uploads[identifier]
    with file.open("ab") as stream:
        stream.write(request.body)
    have = file.stat().st_size
    total = request.headers.get("content-range", "").rpartition("/")[2]
    if total == "*" or (total.isdigit() and have < int(total)):
        return Response(308, {}, {"Range": f"bytes=0-{have - 1}"} if have else {})
    del api.uploads[identifier]
    return Response(200, api.jobs.insert(project, metadata, file).resource())
