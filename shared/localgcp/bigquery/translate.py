"""GoogleSQL to DuckDB: bqemulator's translator and table rewriter, as they are, as a library."""

from __future__ import annotations

import logging
from functools import lru_cache

import structlog

# bqemulator logs at debug level from its import on; what it says is of no use to whoever runs a query.
if not structlog.is_configured():
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

from bqemulator.domain.errors import DomainError
from bqemulator.domain.result import Ok
from bqemulator.sql.table_rewriter import rewrite_table_refs
from bqemulator.sql.translator import SQLTranslator

from localgcp.bigquery.errors import BigQueryError

_TRANSLATOR = SQLTranslator()


@lru_cache(maxsize=512)
def to_duckdb(sql: str, project: str) -> str:
    """The DuckDB text of one GoogleSQL statement. Raises BigQueryError for what the translator refuses."""
    try:
        result = _TRANSLATOR.translate(sql)
        if not isinstance(result, Ok):
            raise BigQueryError(_plain(str(result.error)))
        return rewrite_table_refs(result.value, project)
    except DomainError as error:
        raise BigQueryError(_plain(str(error))) from None


def _plain(message: str) -> str:
    """The message without the terminal colours that sqlglot puts into it."""
    return message.replace("\x1b[4m", "").replace("\x1b[0m", "")
