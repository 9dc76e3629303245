"""Names of datasets and tables, in BigQuery's form and in DuckDB's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from localgcp.bigquery.errors import invalid

# BigQuery's rules for names: https://cloud.google.com/bigquery/docs/datasets#dataset-naming and tables#table_naming.
_DATASET = re.compile(r"[A-Za-z0-9_]{1,1024}\Z")
_TABLE = re.compile(r"[^\x00-\x1f\"`.\\*/:;?@\[\]]{1,1024}\Z")


@dataclass(frozen=True)
class DatasetName:
    project: str
    dataset: str

    def __str__(self) -> str:
        return f"{self.project}:{self.dataset}"

    @property
    def schema(self) -> str:
        """The DuckDB schema. bqemulator's table rewriter and functions rely on this form."""
        return f"{self.project}__{self.dataset}"

    def reference(self) -> dict[str, str]:
        return {"projectId": self.project, "datasetId": self.dataset}


@dataclass(frozen=True)
class TableName:
    project: str
    dataset: str
    table: str

    def __str__(self) -> str:
        return f"{self.project}:{self.dataset}.{self.table}"

    @property
    def parent(self) -> DatasetName:
        return DatasetName(self.project, self.dataset)

    @property
    def duckdb(self) -> str:
        """The quoted DuckDB name."""
        return f"{quote(self.parent.schema)}.{quote(self.table)}"

    def reference(self) -> dict[str, str]:
        return {"projectId": self.project, "datasetId": self.dataset, "tableId": self.table}


def quote(identifier: str) -> str:
    """A DuckDB identifier."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A DuckDB string literal."""
    return "'" + text.replace("'", "''") + "'"


def table_of(reference: dict[str, Any], project: str) -> TableName:
    """The name in a TableReference. Raises BigQueryError when a part is missing."""
    try:
        return TableName(reference.get("projectId", project), reference["datasetId"], reference["tableId"])
    except KeyError as missing:
        raise invalid(f"Required parameter is missing: {missing.args[0]}") from None


def check_dataset(name: DatasetName) -> None:
    """Raises BigQueryError for a name that BigQuery refuses."""
    if not _DATASET.match(name.dataset):
        raise invalid(
            f'Invalid dataset ID "{name.dataset}". Dataset IDs must be alphanumeric (plus underscores and dashes) and '
            "must be at most 1024 characters long."
        )


def check_table(name: TableName) -> None:
    """Raises BigQueryError for a name that BigQuery refuses."""
    if not _TABLE.match(name.table):
        raise invalid(f'Invalid table ID "{name.table}".')
