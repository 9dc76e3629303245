"""What a statement has done."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa

from localgcp.bigquery.names import TableName
from localgcp.bigquery.types import Field


@dataclass
class Outcome:
    """The rows of a query, or what a DDL or DML statement changed, with what BigQuery reports about it."""

    statement_type: str
    table: pa.Table | None = None
    fields: list[Field] = field(default_factory=list)
    affected: int | None = None
    dml_stats: dict[str, str] = field(default_factory=dict)
    ddl_operation: str | None = None
    ddl_target: dict[str, dict[str, str]] = field(default_factory=dict)
    referenced: list[TableName] = field(default_factory=list)
    bytes_processed: int = 0
    bytes_billed: int = 0
    bytes_exact: bool = True
    text: str = ""

    @property
    def has_rows(self) -> bool:
        return self.table is not None
