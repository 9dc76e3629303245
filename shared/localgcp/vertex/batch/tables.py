"""BigQuery for batch prediction: another server, found through BIGQUERY_EMULATOR_HOST."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from localgcp.vertex.errors import VertexError, invalid, precondition

if TYPE_CHECKING:
    from google.cloud import bigquery

_HOST = "BIGQUERY_EMULATOR_HOST"
_URI = re.compile(r"bq://([^.]+)(?:\.([^.]+))?(?:\.([^.]+))?")


def parts(uri: str) -> tuple[str, str, str]:
    """(project, dataset, table) of bq://project.dataset.table; what is not named is "". Raises VertexError."""
    found = _URI.fullmatch(uri)
    if found is None:
        raise invalid(f"'{uri}' is no BigQuery URI; its form is bq://project.dataset.table.")
    return found[1], found[2] or "", found[3] or ""


class Tables:
    """A client of the local BigQuery. Raises VertexError when there is none."""

    def __init__(self, project: str) -> None:
        if not os.environ.get(_HOST):
            raise precondition(
                f"There is no local BigQuery for the tables of this job: start one and set {_HOST} to its URL."
            )
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import bigquery

        self._client: Any = bigquery.Client(project, AnonymousCredentials())  # type: ignore[no-untyped-call]

    def rows(self, uri: str) -> Iterator[dict[str, Any]]:
        """The rows of a table as JSON values by column. Raises VertexError when there is no such table."""
        from localgcp.vertex.batch.inputs import json_value

        name = ".".join(parts(uri))
        try:
            for row in self._client.list_rows(name):
                yield {key: json_value(value) for key, value in row.items()}
        except Exception as error:
            raise _problem(f"The table '{uri}' cannot be read", error) from error

    def schema(self, uri: str) -> list[bigquery.SchemaField]:
        try:
            return list(self._client.get_table(".".join(parts(uri))).schema)
        except Exception as error:
            raise _problem(f"The table '{uri}' cannot be read", error) from error

    def make_dataset(self, name: str) -> None:
        try:
            self._client.create_dataset(name)
        except Exception as error:
            raise _problem(f"The dataset '{name}' cannot be made", error) from error

    def write(self, name: str, schema: list[bigquery.SchemaField], rows: list[dict[str, Any]]) -> None:
        """Makes a table of rows. Raises VertexError when it is there already, or its dataset is not."""
        from google.cloud import bigquery

        config = bigquery.LoadJobConfig(schema=schema, write_disposition="WRITE_EMPTY")
        try:
            if rows:
                self._client.load_table_from_json(rows, name, job_config=config).result()
            else:
                self._client.create_table(bigquery.Table(name, schema=schema))
        except Exception as error:
            raise _problem(f"The table '{name}' cannot be written", error) from error


def _problem(what: str, error: Exception) -> VertexError:
    return precondition(f"{what}: {getattr(error, 'message', error)}")
