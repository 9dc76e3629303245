"""The target on Google Cloud: real clients with your credentials, after one check of what they need and may cost."""

from __future__ import annotations

import datetime
import os
import secrets
from collections.abc import Mapping
from typing import Any

from labkit.catalog import LabError
from labkit.catalog.card import Cloud
from labkit.catalog.prices import read_prices
from labkit.target.preflight import LOGIN, Findings, Hosts, PreflightFailed, check
from labkit.target.requests import show_request
from labkit.target.settings import Settings

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
KEPT = datetime.timedelta(days=1)  # after that `labs cleanup --expired` takes what a run has left behind


class VertexTarget:
    """Hands out clients of Google Cloud. Nothing is redirected, and nothing in the SDK is changed.

    `plan` is the [cloud] part of the lab's card. The checks run once, when `vertex`, `bigquery()` or `storage()` is
    first asked for. `hosts`, `credentials` and `environ` are for tests; without them it is Google, with Application
    Default Credentials and the environment of this process.
    """

    name = "vertex"

    def __init__(
        self,
        slug: str,
        plan: Cloud,
        max_cost_usd: float | None = None,
        *,
        hosts: Hosts | None = None,
        credentials: Any = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.slug = slug
        self.plan = plan
        self.hosts = hosts or Hosts()
        self._environ = os.environ if environ is None else environ
        self._limit = max_cost_usd
        self._credentials = credentials
        self._settings: Settings | None = None
        self._findings: Findings | None = None
        now = datetime.datetime.now(datetime.UTC)
        self._labels = {
            "lab": slug,
            "run": f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}",
            "expires": f"{now + KEPT:%Y-%m-%d}",
        }

    @property
    def settings(self) -> Settings:
        """Project, region, bucket and limits; the credentials' project where the environment names none."""
        if self._settings is None:
            settings = Settings.read(self._environ, self._limit)
            if not settings.project:
                import dataclasses

                settings = dataclasses.replace(settings, project=self._default()[1] or "")
            self._settings = settings
        return self._settings

    @property
    def vertex(self) -> dict[str, Any]:
        self.preflight()
        return {
            "project": self.settings.project,
            "location": self.settings.location,
            # Below the lab's own folder, so that clean-up finds what the SDK puts there.
            "staging_bucket": f"{self.bucket}/{self.slug}",
        }

    @property
    def dataset(self) -> str:
        return f"{self._named('project', 'LABS_PROJECT')}.{self.slug.replace('-', '_')}"

    @property
    def bucket(self) -> str:
        return f"gs://{self._named('bucket', 'LABS_BUCKET')}"

    @property
    def labels(self) -> dict[str, str]:
        return dict(self._labels)

    @property
    def queries(self) -> list[str]:
        return []

    @property
    def requests(self) -> list[str]:
        return []

    def preflight(self) -> None:
        """Runs the checks, once. Raises PreflightFailed with every problem; prints a summary otherwise."""
        if self._findings is not None:
            return
        today = datetime.datetime.now(datetime.UTC).date()
        found = check(self.settings, self.plan, self._session(), self.hosts, self._environ, today)
        if found.problems:
            self._settings = None  # the environment is read again: the learner mends it and asks again
            raise PreflightFailed(found.problems)
        self._findings = found
        print("\n".join(self._summary(found)))

    def bigquery(self) -> Any:
        from google.cloud import bigquery

        self.preflight()
        config = bigquery.QueryJobConfig(default_dataset=self.dataset, labels=self.labels)
        client = bigquery.Client(
            project=self.settings.project,
            credentials=self.credentials(),
            location=self.settings.location,
            default_query_job_config=config,
            client_options=self._elsewhere(self.hosts.bigquery, Hosts.bigquery),
        )
        self._own_dataset(client)
        self._use_magics(config)
        return client

    def storage(self) -> Any:
        self.preflight()
        return self.storage_client()

    def storage_client(self) -> Any:
        """A google.cloud.storage.Client without the checks: clean-up must work where a lab may not be started."""
        from google.cloud.storage import Client

        options = self._elsewhere(self.hosts.storage, Hosts.storage)
        return Client(project=self.settings.project, credentials=self.credentials(), client_options=options)

    def bigquery_client(self) -> Any:
        """A google.cloud.bigquery.Client without the checks and without the lab's dataset."""
        from google.cloud.bigquery import Client

        options = self._elsewhere(self.hosts.bigquery, Hosts.bigquery)
        return Client(project=self.settings.project, credentials=self.credentials(), client_options=options)

    def credentials(self) -> Any:
        """The credentials in use. Raises LabError when there are none."""
        credentials = self._default()[0]
        if isinstance(credentials, str):
            raise LabError(credentials)
        return credentials

    def show(self, request: Any) -> None:
        show_request(request)

    def close(self) -> None:
        """Does nothing: nothing runs on this machine. What was created stays until it is cleaned up."""

    def _default(self) -> tuple[Any, str | None]:
        """Credentials and their project; a text in the place of the credentials says why there are none."""
        if self._credentials is not None:
            return self._credentials, None
        import google.auth
        from google.auth.exceptions import DefaultCredentialsError

        try:
            self._credentials, project = google.auth.default(scopes=[SCOPE])
        except DefaultCredentialsError as error:
            return f"no credentials: {str(error).rstrip('.')}. {LOGIN}", None
        return self._credentials, project

    def _session(self) -> Any:
        """A session for the checks, or the text that says why there is none."""
        from google.auth.credentials import CredentialsWithQuotaProject
        from google.auth.transport.requests import AuthorizedSession

        credentials = self._default()[0]
        if isinstance(credentials, str):
            return credentials
        # A user's credentials need a project that the requests of the checks are counted for.
        if isinstance(credentials, CredentialsWithQuotaProject) and not credentials.quota_project_id:
            credentials = credentials.with_quota_project(self.settings.project)
        return AuthorizedSession(credentials)

    def _named(self, field: str, variable: str) -> str:
        value = str(getattr(self.settings, field))
        if not value:
            raise LabError(f"no {field} for Google Cloud: {variable} is not set. Set it, then open the lesson again.")
        return value

    def _own_dataset(self, client: Any) -> None:
        """Creates the lab's dataset. One of the same name that no lab has made is left alone."""
        from google.cloud import bigquery

        dataset = bigquery.Dataset(self.dataset)
        dataset.labels = self.labels
        dataset.location = self.settings.location
        there = client.create_dataset(dataset, exists_ok=True)
        if there.labels.get("lab") != self.slug:
            raise LabError(
                f"dataset {self.dataset} is there and has no label lab={self.slug}: it is not this lab's. Rename it, "
                "or use another project."
            )

    def _use_magics(self, config: Any) -> None:
        """Lets `%%bigquery` ask with the same project and defaults as the client."""
        from google.api_core.client_options import ClientOptions

        try:
            from bigquery_magics import context
        except ImportError:  # tfx's environment has none
            return
        context.project = self.settings.project
        context.credentials = self.credentials()
        context.default_query_job_config = config
        endpoint = self._elsewhere(self.hosts.bigquery, Hosts.bigquery)
        context.bigquery_client_options = endpoint or ClientOptions()

    @staticmethod
    def _elsewhere(host: str, google: str) -> dict[str, str] | None:
        return None if host == google else {"api_endpoint": host}

    def _summary(self, found: Findings) -> list[str]:
        settings, bound, prices = self.settings, found.bound, read_prices()
        oldest = min(source.seen for source in prices.sources.values())
        machines = [f"{m.count} x {m.machine} for {m.use}, {m.hours:g} h" for m in self.plan.machines]
        creates = ["dataset " + self.dataset] if "bigquery" in self.plan.services else []
        creates += [f"objects below {self.bucket}/{self.slug}/", *machines]
        tidy = f"labs cleanup --project {settings.project} --location {settings.location} --lab {self.slug} --yes"
        return [
            f"Google Cloud: project {settings.project}, {settings.location}, {self.bucket}",
            f"One run costs at most {bound.usd:.2f} USD by list prices looked up since {oldest} (your limit: "
            f"{settings.max_cost_usd:.2f}):",
            *(f"  {row}" for row in bound.table()),
            f"It creates, with the labels {', '.join(f'{k}={v}' for k, v in self._labels.items())}:",
            *(f"  {what}" for what in creates),
            *(f"Note: {note}" for note in found.notes),
            f"Clean up: lab.cleanup(delete=True), or in a terminal: {tidy}",
        ]
