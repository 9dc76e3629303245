"""Jobs: a thread each, their state and statistics as REST resources."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlglot import exp

from localgcp.bigquery import interpreter, load, script
from localgcp.bigquery.catalog import LOCATION, Resource, etag, now
from localgcp.bigquery.errors import BigQueryError, already_exists, invalid, unimplemented
from localgcp.bigquery.names import DatasetName, TableName, table_of
from localgcp.bigquery.outcome import Outcome
from localgcp.bigquery.parameters import read_parameters
from localgcp.bigquery.session import Engine, Session
from localgcp.bigquery.writing import Destination, read_destination, write

ANONYMOUS = "_anonymous"
_KINDS = ("query", "load", "copy", "extract")

# The rows of results that are kept for clients that ask again.
KEPT_BYTES = 512 * 1024 * 1024

# Settings of a query that are carried out, and those that ask for nothing that a local run could do differently.
_QUERY_KEYS = {
    "query", "useLegacySql", "defaultDataset", "queryParameters", "parameterMode", "destinationTable",
    "createDisposition", "writeDisposition", "maximumBytesBilled", "timePartitioning", "rangePartitioning",
    "clustering", "schemaUpdateOptions",
    "priority", "useQueryCache", "allowLargeResults", "flattenResults", "maximumBillingTier", "continuous",
}  # fmt: skip


@dataclass
class Job:
    """One job. `outcome` is what its results are taken from; `error` says why it failed."""

    project: str
    job_id: str
    configuration: Resource
    location: str = LOCATION
    parent: str | None = None
    created: str = field(default_factory=now)
    started: str = ""
    ended: str = ""
    outcome: Outcome | None = None
    error: BigQueryError | None = None
    statistics: Resource = field(default_factory=dict)
    children: list[Job] = field(default_factory=list)
    rows_are_gone: bool = False
    done: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def state(self) -> str:
        return "DONE" if self.done.is_set() else "RUNNING"

    def resource(self) -> Resource:
        """The job as the API's Job."""
        status: Resource = {"state": self.state}
        if self.done.is_set() and self.error:
            status |= {"errorResult": self.error.proto(), "errors": [self.error.proto()]}
        body = {
            "kind": "bigquery#job",
            "id": f"{self.project}:{self.location}.{self.job_id}",
            "jobReference": self.reference(),
            "configuration": self.configuration,
            "status": status,
            "statistics": self._statistics(),
            "user_email": f"local@{self.project}.iam.gserviceaccount.com",
        }
        return body | {"etag": etag(body)}

    def reference(self) -> dict[str, str]:
        return {"projectId": self.project, "jobId": self.job_id, "location": self.location}

    def _statistics(self) -> Resource:
        times = {"creationTime": self.created, "startTime": self.started, "endTime": self.ended}
        found: Resource = {key: value for key, value in times.items() if value} | self.statistics
        if self.parent:
            found["parentJobId"] = self.parent
            found["scriptStatistics"] = {"evaluationKind": "STATEMENT"}
        if self.children:
            found["numChildJobs"] = str(len(self.children))
        return found


class Jobs:
    """All jobs since the start. They live in memory: tables survive a restart, job history does not."""

    def __init__(self, engine: Engine, buckets: Path | None = None) -> None:
        self.engine, self.buckets = engine, buckets
        self._jobs: dict[tuple[str, str], Job] = {}
        self._lock = threading.Lock()
        self._kept: deque[tuple[Job, int]] = deque()
        self._kept_bytes = 0

    def get(self, project: str, job_id: str) -> Job:
        """Raises BigQueryError, notFound."""
        try:
            return self._jobs[project, job_id]
        except KeyError:
            raise BigQueryError(f"Not found: Job {project}:{LOCATION}.{job_id}", "notFound", "") from None

    def all(self, project: str) -> list[Job]:
        """The jobs of a project, newest first."""
        return [job for (owner, _), job in reversed(list(self._jobs.items())) if owner == project]

    def delete(self, job: Job) -> None:
        for one in [job, *job.children]:
            self._jobs.pop((one.project, one.job_id), None)

    def insert(self, project: str, body: Resource, upload: Path | None = None, wait: float = 10.0) -> Job:
        """Starts a job and gives it back once it is done or `wait` seconds are over.

        A wrong configuration raises BigQueryError; what goes wrong while it runs is written into the job. A dry run
        raises everything, as there is no job to write it into.
        """
        configuration = body.get("configuration") or {}
        kinds = [kind for kind in _KINDS if kind in configuration]
        if len(kinds) != 1:
            raise invalid("Required parameter is missing: exactly one of query, load, copy and extract")
        kind = kinds[0]
        reference = body.get("jobReference") or {}
        job_id = reference.get("jobId") or f"job_{uuid.uuid4().hex}"
        location = reference.get("location") or LOCATION
        job = Job(project, job_id, _echoed(configuration) | {"jobType": kind.upper()}, location)
        if kind == "query":
            _check_query(configuration["query"])
        if configuration.get("dryRun"):
            return self._dry_run(job)
        with self._lock:
            if (project, job_id) in self._jobs:
                raise already_exists("Job", f"{project}:{location}.{job_id}")
            self._jobs[project, job_id] = job
        threading.Thread(target=self._run, args=(job, kind, upload), name=job_id, daemon=True).start()
        self._watch_timeout(job)
        job.done.wait(wait)
        return job

    def _watch_timeout(self, job: Job) -> None:
        milliseconds = int(job.configuration.get("jobTimeoutMs") or 0)
        if milliseconds and not job.done.is_set():
            timer = threading.Timer(milliseconds / 1000, self.cancel, args=(job,))
            timer.daemon = True
            timer.start()

    def cancel(self, job: Job) -> None:
        """Asks a running job to stop: at once inside a statement of SQL, else before the next one of a script."""
        job.cancelled.set()
        if not job.done.is_set() and self.engine.running == job.job_id:
            self.engine.connection.interrupt()

    def _run(self, job: Job, kind: str, upload: Path | None) -> None:
        job.started = now()
        try:
            if kind == "query":
                self._run_query(job)
            elif kind == "load":
                self._run_load(job, upload)
            elif kind == "copy":
                self._run_copy(job)
            else:
                self._run_extract(job)
        except BigQueryError as error:
            job.error = error
        except Exception as error:  # a fault here must not look like one that is worth a retry
            job.error = BigQueryError(f"{type(error).__name__}: {error}", "invalid", "")
        finally:
            job.ended = now()
            self._keep_rows(job)
            if upload is not None:
                upload.unlink(missing_ok=True)
            job.done.set()

    def _keep_rows(self, job: Job) -> None:
        """Results are kept in memory: when they are too many, the oldest ones' rows go, and only they."""
        if job.outcome is None or job.outcome.table is None:
            return
        with self._lock:
            self._kept.append((job, job.outcome.table.nbytes))
            self._kept_bytes += job.outcome.table.nbytes
            while self._kept_bytes > KEPT_BYTES and len(self._kept) > 1:
                old, size = self._kept.popleft()
                self._kept_bytes -= size
                old.rows_are_gone = True
                if old.outcome is not None:
                    old.outcome.table = None

    # Queries

    def _session(self, job: Job) -> Session:
        config = job.configuration["query"]
        default = config.get("defaultDataset")
        dataset = DatasetName(default.get("projectId", job.project), default["datasetId"]) if default else None
        return self.engine.session(
            job.project, dataset, read_parameters(config.get("queryParameters") or []), job.job_id
        )

    def _dry_run(self, job: Job) -> Job:
        config = job.configuration.get("query")
        if config is None:
            raise unimplemented("a dry run of anything but a query")
        body = script.parse_script(script.name_positions(config["query"]))
        with self._session(job) as session:
            last = _single_statement(body, session)
            # What a script reads depends on what it has done before: the service does not say it either.
            outcome = Outcome("SCRIPT") if last is None else session.dry_run(last.text)
        job.outcome = outcome
        job.started = job.ended = now()
        job.statistics = _query_statistics(outcome) | {"totalBytesProcessed": str(outcome.bytes_processed)}
        query = job.statistics["query"]
        query["totalBytesProcessedAccuracy"] = "PRECISE" if outcome.bytes_exact else "UPPER_BOUND"
        query["schema"] = {"fields": outcome.fields}
        job.done.set()
        return job

    def _run_query(self, job: Job) -> None:
        config = job.configuration["query"]
        body = script.parse_script(script.name_positions(config["query"]))
        with self._session(job) as session:
            limit = int(config.get("maximumBytesBilled") or 0)
            if limit:
                session.billing_limit = limit
            single = _single_statement(body, session)
            if single is not None:
                job.outcome = session.execute(single.text)
                self._finish_query(job, session, config)
                return
            if config.get("destinationTable"):
                raise invalid("configuration.query.destinationTable cannot be set for scripts")
            self._run_script(job, session, body)

    def _run_script(self, job: Job, session: Session, body: script.Body) -> None:
        run = interpreter.Interpreter(session, job.cancelled.is_set)
        try:
            run.run(body)
        finally:
            self._add_children(job, run.outcomes)
        rows = [outcome for outcome in run.outcomes if outcome.has_rows]
        result = rows[-1] if rows else Outcome("SCRIPT")
        processed = sum(outcome.bytes_processed for outcome in run.outcomes)
        billed = sum(outcome.bytes_billed for outcome in run.outcomes)
        job.outcome = Outcome(
            "SCRIPT",
            result.table,
            result.fields,
            bytes_processed=processed,
            bytes_billed=billed,
        )
        job.statistics = _query_statistics(job.outcome)

    def _add_children(self, job: Job, outcomes: list[Outcome]) -> None:
        for number, outcome in enumerate(outcomes):
            child_id = f"script_job_{job.job_id}_{number}"
            configuration = {"jobType": "QUERY", "query": {"query": outcome.text, "useLegacySql": False}}
            child = Job(job.project, child_id, configuration, job.location, parent=job.job_id)
            child.started = child.ended = now()
            child.outcome, child.statistics = outcome, _query_statistics(outcome)
            _anonymous_destination(child)
            child.done.set()
            job.children.append(child)
            self._jobs[job.project, child_id] = child

    def _finish_query(self, job: Job, session: Session, config: Resource) -> None:
        outcome = job.outcome
        assert outcome is not None
        if config.get("destinationTable"):
            if not outcome.has_rows:
                raise invalid("Cannot set destination table in jobs with DDL or DML statements")
            self._write_destination(session, read_destination(config, job.project, "WRITE_EMPTY"), outcome)
        else:
            _anonymous_destination(job)
        job.statistics = _query_statistics(outcome)

    def _write_destination(self, session: Session, to: Destination, outcome: Outcome) -> None:
        view = self.engine.fresh_name()
        with session.lock, session.in_words_of(""):
            session.connection.register(view, outcome.table)
            try:
                write(session, to, outcome.fields, view)
            finally:
                session.connection.unregister(view)

    # Loads, copies and extracts

    def _run_load(self, job: Job, upload: Path | None) -> None:
        with self.engine.session(job.project) as session:
            loaded = load.run_load(session, job.configuration["load"], upload, self.buckets)
        job.statistics["load"] = {
            "inputFiles": str(loaded.files),
            "inputFileBytes": str(loaded.bytes),
            "outputRows": str(loaded.rows),
            "outputBytes": str(loaded.bytes),
            "badRecords": str(loaded.bad),
        }

    def _run_copy(self, job: Job) -> None:
        config = job.configuration["copy"]
        if (config.get("operationType") or "COPY") not in ("COPY", "OPERATION_TYPE_UNSPECIFIED"):
            raise unimplemented(f"a copy job of type {config['operationType']}")
        sources = [
            table_of(one, job.project) for one in config.get("sourceTables") or [config.get("sourceTable") or {}]
        ]
        to = read_destination(config, job.project, "WRITE_EMPTY")
        with self.engine.session(job.project) as session, session.lock, session.catalog.transaction():
            for number, source in enumerate(sources):
                self._copy(session, source, to if not number else Destination(to.table))

    def _run_extract(self, job: Job) -> None:
        """A model goes the way of EXPORT MODEL, which somebody else runs; tables are not extracted."""
        config = job.configuration["extract"]
        if "sourceModel" not in config:
            raise unimplemented("an extract job of a table")
        unknown = sorted(set(config) - {"sourceModel", "destinationUri", "destinationUris", "modelOptions"})
        if unknown:
            raise unimplemented(f"{unknown[0]} of an extract job of a model")
        uris = config.get("destinationUris") or [config.get("destinationUri") or ""]
        if len(uris) != 1:
            raise invalid(f"An extract job of a model needs one destination URI, got {len(uris)}")
        options = f"URI = {exp.Literal.string(uris[0]).sql(dialect='bigquery')}"
        if "trialId" in (config.get("modelOptions") or {}):
            options += f", TRIAL_ID = {int(config['modelOptions']['trialId'])}"
        source = config["sourceModel"]
        model = ".".join(source[key].replace("`", "") for key in ("projectId", "datasetId", "modelId"))
        with self.engine.session(job.project, job_id=job.job_id) as session:
            session.execute(f"EXPORT MODEL `{model}` OPTIONS({options})")

    def _copy(self, session: Session, source: TableName, to: Destination) -> None:
        resource = session.catalog.table(source)
        if resource["type"] != "TABLE":
            raise BigQueryError(f"{source} is not allowed for this operation because it is a VIEW.", "invalid")
        shape: Resource = {
            key: resource[key] for key in ("timePartitioning", "rangePartitioning", "clustering") if key in resource
        }
        target = Destination(
            to.table, to.create, to.write, to.update, shape if not session.catalog.has_table(to.table) else {}
        )
        with session.in_words_of(""):
            write(session, target, resource["schema"]["fields"], source.duckdb)


# Numbers of the API that the client sends as text.
_NUMBERS = {"skipLeadingRows", "maxBadRecords"}


def _echoed(value: Any, key: str = "") -> Any:
    """A request's configuration as the API shows it again: nothing that is null, numbers and texts as it types them."""
    if isinstance(value, dict):
        return {name: _echoed(item, name) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_echoed(item, key) for item in value]
    if key in _NUMBERS:
        return int(value)
    # A parameter's value is text whatever its type is.
    if key == "value" and not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    return value


def _check_query(config: Resource) -> None:
    if not config.get("query"):
        raise BigQueryError("Required parameter is missing: query", "required", "")
    # The API's default is legacy SQL; the client always says which one it means.
    if config.get("useLegacySql", True):
        raise unimplemented("legacy SQL (useLegacySql)")
    for key, value in config.items():
        if key == "connectionProperties":
            _check_properties(value)
        elif key not in _QUERY_KEYS and value not in (None, False, "", [], {}):
            raise unimplemented(f"the query setting {key}")


def _check_properties(properties: list[dict[str, str]]) -> None:
    for item in properties or []:
        if item.get("key") != "time_zone" or item.get("value") != "UTC":
            raise unimplemented(f"the connection property {item.get('key')}")


def _single_statement(body: script.Body, session: Session) -> script.Sql | None:
    """The statement of a text that is no script; CREATE TEMP FUNCTION before it belongs to it.

    Raises BigQueryError for CREATE TEMP TABLE alone, which nobody could read.
    """
    if not body:
        raise BigQueryError("Syntax error: Unexpected end of statement")
    if not all(isinstance(step, script.Sql) for step in body):
        return None
    texts = [step for step in body if isinstance(step, script.Sql)]
    if len(texts) > 1 and not all(
        _words(step.text)[:1] == ["CREATE"]
        and "FUNCTION" in _words(step.text)
        and set(_words(step.text)) & {"TEMP", "TEMPORARY"}
        for step in texts[:-1]
    ):
        return None
    for step in texts[:-1]:
        session.execute(step.text)
    last = _words(texts[-1].text)
    if last[:1] == ["CREATE"] and "TABLE" in last and set(last[:4]) & {"TEMP", "TEMPORARY"}:
        raise BigQueryError("Use of CREATE TEMPORARY TABLE requires a script or session")
    if last[:1] in (["BEGIN"], ["COMMIT"], ["ROLLBACK"]):
        raise BigQueryError("Transaction control statements are supported only in scripts or sessions")
    return texts[-1]


def _words(text: str) -> list[str]:
    return text.upper().replace("(", " ").split()[:6]


def _anonymous_destination(job: Job) -> None:
    """Rows without a destination lie in an anonymous table, under which the client finds them."""
    outcome = job.outcome
    if outcome is not None and outcome.has_rows:
        name = TableName(job.project, ANONYMOUS, "anon" + job.job_id.replace("-", "_"))
        query = job.configuration["query"]
        job.configuration = job.configuration | {"query": query | {"destinationTable": name.reference()}}


def _query_statistics(outcome: Outcome) -> Resource:
    query: Resource = {
        "statementType": outcome.statement_type,
        "totalBytesProcessed": str(outcome.bytes_processed),
        "totalBytesBilled": str(outcome.bytes_billed),
        "billingTier": 1,
        "cacheHit": False,
        "referencedTables": [name.reference() for name in outcome.referenced],
    }
    if outcome.affected is not None:
        query["numDmlAffectedRows"] = str(outcome.affected)
    if outcome.dml_stats:
        query["dmlStats"] = outcome.dml_stats
    if outcome.ddl_operation:
        query["ddlOperationPerformed"] = outcome.ddl_operation
    return {"totalBytesProcessed": str(outcome.bytes_processed), "query": query | outcome.ddl_target}
