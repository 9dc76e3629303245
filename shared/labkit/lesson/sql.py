"""Answers that are SQL: run for a check, so that what BigQuery refuses is an incorrect answer and not an error."""

from __future__ import annotations

from typing import Any

from labkit.lesson.exercise import Incorrect


def sql_rows(client: Any, sql: Any) -> Any:
    """The rows of a statement, a google.cloud.bigquery RowIterator (`.to_dataframe()`, `.schema`).

    Raises Incorrect for an answer that is no text, and in BigQuery's own words for a statement that it refuses.
    """
    from google.api_core.exceptions import GoogleAPICallError

    if not isinstance(sql, str) or not sql.strip():
        raise Incorrect(f'The answer is GoogleSQL, a text in """…""", got {type(sql).__name__}.')
    try:
        return client.query(sql).result()
    except GoogleAPICallError as error:
        first = str(error.message).strip().splitlines()[0].split("; reason:")[0]
        raise Incorrect(f"BigQuery refuses it: {first}") from None
