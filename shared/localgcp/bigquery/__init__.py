"""BigQuery on this machine: GoogleSQL on DuckDB behind the REST API that the real client speaks."""

from localgcp.bigquery.errors import BigQueryError, unimplemented
from localgcp.bigquery.server import Server, start
from localgcp.bigquery.session import Engine, Session
from localgcp.bigquery.statements import JobContext, Sql, Statements

__all__ = ["BigQueryError", "Engine", "JobContext", "Server", "Session", "Sql", "Statements", "start", "unimplemented"]
