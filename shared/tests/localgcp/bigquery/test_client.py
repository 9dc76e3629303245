"""The real client against the server: jobs, results, parameters, datasets, tables, rows."""

from __future__ import annotations

import datetime as dt
import math
import threading
import time
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from google.api_core.exceptions import BadRequest, Conflict, NotFound, PreconditionFailed
from google.cloud import bigquery
from localgcp.bigquery import Server

from tests.localgcp.bigquery.conftest import PROJECT


def rows(client: bigquery.Client, sql: str, **settings: Any) -> list[tuple[Any, ...]]:
    job = client.query(sql, job_config=bigquery.QueryJobConfig(**settings))
    return [tuple(row.values()) for row in job.result()]


def test_every_type_arrives(client: bigquery.Client) -> None:
    values = {
        "1": 1,
        "1.5": 1.5,
        "TRUE": True,
        "'é\"'": 'é"',
        "b'a\\xff'": b"a\xff",
        "DATE '2024-01-02'": dt.date(2024, 1, 2),
        "DATETIME '2024-01-02 03:04:05.000006'": dt.datetime(2024, 1, 2, 3, 4, 5, 6),
        "TIME '03:04:05'": dt.time(3, 4, 5),
        "TIMESTAMP '2024-01-02 03:04:05.000006+00'": dt.datetime(2024, 1, 2, 3, 4, 5, 6, dt.UTC),
        "TIMESTAMP '1960-01-01 00:00:00+00'": dt.datetime(1960, 1, 1, tzinfo=dt.UTC),
        "NUMERIC '1.500'": Decimal("1.5"),
        "JSON '{\"a\": 1}'": {"a": 1},
        "[1, 2]": [1, 2],
        "STRUCT(1 AS a, [STRUCT('x' AS b)] AS c)": {"a": 1, "c": [{"b": "x"}]},
        "CAST(NULL AS STRING)": None,
        "CAST(NULL AS ARRAY<INT64>)": [],
        "CAST('inf' AS FLOAT64)": math.inf,
    }
    assert rows(client, "SELECT " + ", ".join(f"{sql} AS c{i}" for i, sql in enumerate(values))) == [
        tuple(values.values())
    ]
    assert math.isnan(rows(client, "SELECT CAST('nan' AS FLOAT64)")[0][0])


def test_types_of_the_schema(client: bigquery.Client) -> None:
    result = client.query(
        "SELECT 1 AS i, 1.5 AS f, TRUE AS b, [STRUCT(1 AS x)] AS a, NUMERIC '1' AS n, JSON '1' AS j, NULL AS e, "
        "SUM(1) AS s"
    ).result()
    assert [(f.name, f.field_type, f.mode) for f in result.schema] == [
        ("i", "INTEGER", "NULLABLE"),
        ("f", "FLOAT", "NULLABLE"),
        ("b", "BOOLEAN", "NULLABLE"),
        ("a", "RECORD", "REPEATED"),
        ("n", "NUMERIC", "NULLABLE"),
        ("j", "JSON", "NULLABLE"),
        ("e", "INTEGER", "NULLABLE"),
        ("s", "INTEGER", "NULLABLE"),
    ]


def test_to_dataframe_and_arrow(client: bigquery.Client) -> None:
    sql = (
        "SELECT i, i / 2 AS f, CAST(i AS STRING) AS s, TIMESTAMP_SECONDS(i) AS t FROM UNNEST([1, NULL]) AS i ORDER BY i"
    )
    frame = client.query(sql).to_dataframe(create_bqstorage_client=False)
    assert frame["i"].tolist() == [pd.NA, 1] and str(frame["t"].dtype).startswith("datetime64")
    table = client.query(sql).to_arrow(create_bqstorage_client=False)
    assert table.column("s").to_pylist() == [None, "1"]
    assert table.column("t").to_pylist()[1] == dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC)


def test_paging(client: bigquery.Client) -> None:
    job = client.query("SELECT i FROM UNNEST(GENERATE_ARRAY(1, 25)) AS i ORDER BY i")
    pages = [[row.i for row in page] for page in job.result(page_size=10).pages]
    assert pages == [list(range(1, 11)), list(range(11, 21)), list(range(21, 26))]
    # A job object keeps its first page, so these ask for the job anew.
    assert [row.i for row in client.get_job(job.job_id).result(start_index=23)] == [24, 25]
    assert len(list(client.get_job(job.job_id).result(max_results=7))) == 7
    big = client.query("SELECT i FROM UNNEST(GENERATE_ARRAY(1, 60000)) AS i").result()
    assert big.total_rows == 60_000 and sum(row.i for row in big) == 60_000 * 60_001 // 2


def test_query_and_wait(client: bigquery.Client) -> None:
    assert [row.f0_ for row in client.query_and_wait("SELECT 1 + 1")] == [2]
    with pytest.raises(BadRequest, match="Unrecognized name"):
        client.query_and_wait("SELECT nothing")


class TestParameters:
    def test_named(self, client: bigquery.Client) -> None:
        parameters = [
            bigquery.ScalarQueryParameter("i", "INT64", 5),
            bigquery.ScalarQueryParameter("f", "FLOAT64", 0.5),
            bigquery.ScalarQueryParameter("s", "STRING", "it's"),
            bigquery.ScalarQueryParameter("b", "BOOL", True),
            bigquery.ScalarQueryParameter("y", "BYTES", b"abc"),
            bigquery.ScalarQueryParameter("d", "DATE", dt.date(2024, 1, 2)),
            bigquery.ScalarQueryParameter("t", "TIMESTAMP", dt.datetime(2024, 1, 2, 3, tzinfo=dt.UTC)),
            bigquery.ScalarQueryParameter("dt", "DATETIME", dt.datetime(2024, 1, 2, 3)),
            bigquery.ScalarQueryParameter("n", "NUMERIC", Decimal("1.25")),
            bigquery.ScalarQueryParameter("e", "INT64", None),
        ]
        names = ", ".join(f"@{parameter.name} AS {parameter.name}" for parameter in parameters)
        assert rows(client, f"SELECT {names}", query_parameters=parameters) == [
            (5, 0.5, "it's", True, b"abc", dt.date(2024, 1, 2), dt.datetime(2024, 1, 2, 3, tzinfo=dt.UTC),
             dt.datetime(2024, 1, 2, 3), Decimal("1.25"), None)
        ]  # fmt: skip

    def test_in_clauses(self, client: bigquery.Client) -> None:
        parameters = [
            bigquery.ScalarQueryParameter("n", "INT64", 2),
            bigquery.ArrayQueryParameter("l", "INT64", [1, 2, 3]),
        ]
        sql = (
            "SELECT x, DATE_ADD(DATE '2024-01-01', INTERVAL @n DAY), @l[OFFSET(0)] FROM UNNEST(@l) AS x "
            "WHERE x IN UNNEST(@l) AND x >= @n ORDER BY x LIMIT @n"
        )
        day = dt.date(2024, 1, 3)
        assert rows(client, sql, query_parameters=parameters) == [(2, day, 1), (3, day, 1)]

    def test_positional(self, client: bigquery.Client) -> None:
        parameters = [
            bigquery.ScalarQueryParameter(None, "STRING", "b"),
            bigquery.ScalarQueryParameter(None, "INT64", 1),
        ]
        sql = "SELECT '?' AS q, ? AS s, x FROM UNNEST([1, 2]) AS x WHERE x > ?"
        assert rows(client, sql, query_parameters=parameters) == [("?", "b", 2)]

    def test_arrays_and_structs(self, client: bigquery.Client) -> None:
        struct = bigquery.StructQueryParameter(
            "s",
            bigquery.ScalarQueryParameter("x", "INT64", 1),
            bigquery.ArrayQueryParameter("y", "STRING", ["a", "b"]),
        )
        inner = bigquery.StructQueryParameter(None, bigquery.ScalarQueryParameter("x", "INT64", 7))
        array = bigquery.ArrayQueryParameter("a", "RECORD", [inner])
        empty = bigquery.ArrayQueryParameter("e", "INT64", [])
        sql = "SELECT @s.x, @s.y[OFFSET(1)], (SELECT SUM(r.x) FROM UNNEST(@a) AS r), ARRAY_LENGTH(@e)"
        assert rows(client, sql, query_parameters=[struct, array, empty]) == [(1, "b", 7, 0)]

    def test_errors(self, client: bigquery.Client) -> None:
        with pytest.raises(BadRequest, match="Query parameter 'nothing' not found"):
            rows(client, "SELECT @nothing")
        wrong = bigquery.ScalarQueryParameter("d", "DATE", "x")
        with pytest.raises(BadRequest, match='Invalid value for query parameter d: Invalid date string "x"'):
            rows(client, "SELECT @d", query_parameters=[wrong])


class TestErrors:
    """Genuine exception classes, at once: nothing that the client would retry."""

    @pytest.mark.parametrize(
        ("sql", "kind", "message"),
        [
            ("SELCT 1", BadRequest, 'Syntax error: Unexpected identifier "SELCT" at \\[1:1\\]'),
            (
                "SELECT * FROM d.nothing",
                NotFound,
                "Not found: Table local-project:d.nothing was not found in location US",
            ),
            ("SELECT * FROM no.t", NotFound, "Not found: Dataset local-project:no was not found in location US"),
            ("CREATE SCHEMA d", Conflict, "Already Exists: Dataset local-project:d"),
            ("SELECT 1 / 0", BadRequest, "division by zero"),
            (
                "SELECT HLL_COUNT.INIT(1)",
                BadRequest,
                "UNIMPLEMENTED: the function HLL_COUNT.INIT is not emulated locally",
            ),
            ("", BadRequest, "Required parameter is missing: query"),
            ("-- nothing", BadRequest, "Syntax error"),
        ],
    )
    def test_query(self, client: bigquery.Client, sql: str, kind: type[Exception], message: str) -> None:
        with pytest.raises(kind, match=message):
            client.query(sql).result()

    def test_resources(self, client: bigquery.Client) -> None:
        for call in (
            lambda: client.get_dataset("nothing"),
            lambda: client.get_table("d.nothing"),
            lambda: client.get_model("d.nothing"),
            lambda: client.get_routine("d.nothing"),
            lambda: client.get_job("nothing"),
            lambda: client.delete_table("d.nothing"),
            lambda: list(client.list_tables("nothing")),
            lambda: list(client.list_rows("d.nothing")),
        ):
            with pytest.raises(NotFound, match=r"Not found: (Dataset|Table|Model|Routine|Job) "):
                call()
        with pytest.raises(Conflict, match="Already Exists: Dataset"):
            client.create_dataset("d")
        client.query("CREATE TABLE d.t AS SELECT 1 AS a").result()
        with pytest.raises(BadRequest, match="Dataset local-project:d is still in use"):
            client.delete_dataset("d")
        with pytest.raises(BadRequest, match='Invalid dataset ID "a-b"'):
            client.create_dataset("a-b")

    def test_settings_that_are_not_carried_out_are_refused(self, client: bigquery.Client) -> None:
        for settings in (
            {"use_legacy_sql": True},
            {"create_session": True},
            {"connection_properties": [bigquery.ConnectionProperty("session_id", "x")]},
            {"destination_encryption_configuration": bigquery.EncryptionConfiguration("key")},
        ):
            with pytest.raises(BadRequest, match="UNIMPLEMENTED"):
                rows(client, "SELECT 1", **settings)

    def test_a_fault_of_the_server_is_a_bad_request(
        self, client: bigquery.Client, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The client retries internal errors for minutes."""

        def broken(*_: object) -> None:
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr("localgcp.bigquery.session.Session.execute", broken)
        with pytest.raises(BadRequest, match="ZeroDivisionError: a bug"):
            client.query("SELECT 1").result()
        monkeypatch.setattr("localgcp.bigquery.resources.dataset", broken)
        with pytest.raises(BadRequest, match="ZeroDivisionError: a bug"):
            client.get_dataset("d")


class TestDestinations:
    def test_write_dispositions(self, client: bigquery.Client) -> None:
        target = f"{PROJECT}.d.result"

        def write(sql: str, disposition: str | None = None, **settings: Any) -> int:
            if disposition:
                settings["write_disposition"] = disposition
            rows(client, sql, destination=target, **settings)
            return int(client.get_table(target).num_rows)

        assert write("SELECT 1 AS a, [STRUCT('x' AS b)] AS l") == 1
        with pytest.raises(Conflict, match=r"Already Exists: Table local-project:d.result"):
            write("SELECT 2 AS a, [STRUCT('x' AS b)] AS l")
        assert write("SELECT 2 AS a", "WRITE_APPEND") == 2
        with pytest.raises(BadRequest, match="Field a has changed type from INTEGER to STRING"):
            write("SELECT 'x' AS a", "WRITE_APPEND")
        with pytest.raises(BadRequest, match="Cannot add fields \\(field: z\\)"):
            write("SELECT 1 AS a, 2 AS z", "WRITE_APPEND")
        assert write("SELECT 1 AS a, 2 AS z", "WRITE_APPEND", schema_update_options=["ALLOW_FIELD_ADDITION"]) == 3
        assert rows(client, "SELECT a, z FROM d.result ORDER BY a, z") == [(1, None), (1, 2), (2, None)]
        assert write("SELECT 'new' AS q", "WRITE_TRUNCATE") == 1
        assert [field.name for field in client.get_table(target).schema] == ["q"]
        with pytest.raises(NotFound, match=r"Not found: Table local-project:d.none"):
            rows(client, "SELECT 1 AS a", destination=f"{PROJECT}.d.none", create_disposition="CREATE_NEVER")
        with pytest.raises(BadRequest, match="Cannot set destination table in jobs with DDL or DML"):
            rows(client, "DELETE FROM d.result WHERE TRUE", destination=target)

    def test_partitioned_destination(self, client: bigquery.Client) -> None:
        rows(
            client,
            "SELECT DATE '2024-01-01' AS day, 'x' AS k",
            destination=f"{PROJECT}.d.result",
            time_partitioning=bigquery.TimePartitioning(field="day"),
            clustering_fields=["k"],
        )
        table = client.get_table("d.result")
        assert table.time_partitioning.field == "day" and table.clustering_fields == ["k"]

    def test_the_anonymous_table_of_a_result(self, client: bigquery.Client) -> None:
        job = client.query("SELECT 1 AS a, 'x' AS b")
        job.result()
        assert client.get_table(job.destination).num_rows == 1
        assert [tuple(row.values()) for row in client.list_rows(job.destination)] == [(1, "x")]


class TestJobs:
    def test_get_list_and_delete(self, client: bigquery.Client) -> None:
        job = client.query("SELECT 1", job_id="mine", job_config=bigquery.QueryJobConfig(labels={"lab": "x"}))
        job.result()
        again = client.get_job("mine")
        assert again.state == "DONE" and again.labels == {"lab": "x"} and again.query == "SELECT 1"
        assert again.statement_type == "SELECT" and again.ended >= again.started >= again.created
        assert "mine" in [item.job_id for item in client.list_jobs(state_filter="done", max_results=5)]
        with pytest.raises(Conflict, match=r"Already Exists: Job local-project:US.mine"):
            client.query("SELECT 1", job_id="mine", job_retry=None)
        client.delete_job_metadata("mine")
        with pytest.raises(NotFound):
            client.get_job("mine")

    def test_dml_and_ddl_statistics(self, client: bigquery.Client) -> None:
        job = client.query("CREATE TABLE d.t AS SELECT 1 AS a")
        job.result()
        assert (job.statement_type, job.ddl_operation_performed) == ("CREATE_TABLE_AS_SELECT", "CREATE")
        assert job.ddl_target_table.table_id == "t"
        job = client.query("INSERT INTO d.t VALUES (2), (3)")
        job.result()
        assert job.num_dml_affected_rows == 2 and job.dml_stats.inserted_row_count == 2
        assert [table.table_id for table in job.referenced_tables] == ["t"]

    def test_cancel(self, client: bigquery.Client) -> None:
        endless = "DECLARE x INT64 DEFAULT 0; LOOP SET x = x + 1; END LOOP;"
        # jobs.insert waits for short jobs, so that the cancellation comes from somewhere else.
        thread = threading.Thread(target=lambda: client.query(endless, job_id="endless"), daemon=True)
        thread.start()
        for _ in range(200):
            try:
                client.get_job("endless")
                break
            except NotFound:
                continue
        assert client.cancel_job("endless").state == "DONE"
        thread.join(5)
        assert client.get_job("endless").error_result["reason"] == "stopped"

    def test_cancel_inside_a_statement(self, client: bigquery.Client) -> None:
        slow = (
            "SELECT COUNT(*) FROM UNNEST(GENERATE_ARRAY(1, 100000)) AS a, UNNEST(GENERATE_ARRAY(1, 1000000)) AS b "
            "WHERE a = -b"
        )
        thread = threading.Thread(target=lambda: client.query(slow, job_id="slow"), daemon=True)
        thread.start()
        for _ in range(300):
            try:
                job = client.get_job("slow")
                if job.state == "RUNNING" and job.started:
                    break
            except NotFound:
                continue
        time.sleep(0.2)
        client.cancel_job("slow")
        thread.join(10)
        assert not thread.is_alive() and client.get_job("slow").error_result["reason"] == "stopped"
        assert rows(client, "SELECT 1") == [(1,)], "the next statement is not stopped too"

    def test_rows_of_old_results_go(self, client: bigquery.Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("localgcp.bigquery.jobs.KEPT_BYTES", 1000)
        first, second = (client.query(f"SELECT i + {n} AS i FROM UNNEST(GENERATE_ARRAY(1, 100)) AS i") for n in (0, 1))
        assert sum(row.i for row in second.result()) == 5150
        with pytest.raises(NotFound, match=f"Not found: the rows of job {first.job_id}, which are kept no longer"):
            first.result()

    def test_copy(self, client: bigquery.Client) -> None:
        client.query("CREATE TABLE d.t (day DATE) PARTITION BY day AS SELECT DATE '2024-01-01'").result()
        client.copy_table("d.t", "d.u").result()
        assert client.get_table("d.u").num_rows == 1 and client.get_table("d.u").time_partitioning.field == "day"
        with pytest.raises(Conflict, match=r"Already Exists: Table local-project:d.u"):
            client.copy_table("d.t", "d.u").result()
        append = bigquery.CopyJobConfig(write_disposition="WRITE_APPEND")
        client.copy_table(["d.t", "d.t"], "d.u", job_config=append).result()
        assert client.get_table("d.u").num_rows == 3


class TestDatasets:
    def test_create_list_update_delete(self, client: bigquery.Client) -> None:
        dataset = bigquery.Dataset(f"{PROJECT}.other")
        dataset.description, dataset.labels, dataset.location = "mine", {"lab": "a"}, "EU"
        created = client.create_dataset(dataset)
        assert (created.location, created.labels, created.created is not None) == ("EU", {"lab": "a"}, True)
        assert client.create_dataset("other", exists_ok=True).description == "mine"
        assert [item.dataset_id for item in client.list_datasets()] == ["d", "other"]
        assert [item.dataset_id for item in client.list_datasets(filter="labels.lab:a")] == ["other"]
        assert [item.dataset_id for item in client.list_datasets(max_results=1)] == ["d"]
        created.description, created.labels = "changed", {"lab": None, "run": "1"}
        updated = client.update_dataset(created, ["description", "labels"])
        assert (updated.description, updated.labels) == ("changed", {"run": "1"})
        with pytest.raises(PreconditionFailed):
            client.update_dataset(created, ["description"])
        client.delete_dataset("other")
        client.delete_dataset("other", not_found_ok=True)

    def test_default_expiration(self, client: bigquery.Client) -> None:
        dataset = client.get_dataset("d")
        dataset.default_table_expiration_ms = 3_600_000
        client.update_dataset(dataset, ["default_table_expiration_ms"])
        client.query("CREATE TABLE d.t AS SELECT 1 AS a").result()
        assert client.get_table("d.t").expires > dt.datetime.now(dt.UTC)


class TestTables:
    SCHEMA = [
        bigquery.SchemaField("k", "INT64", "REQUIRED", description="key"),
        bigquery.SchemaField("r", "STRUCT", "REPEATED", fields=[bigquery.SchemaField("x", "FLOAT64")]),
        bigquery.SchemaField("day", "DATE"),
    ]

    def test_create_get_update_delete(self, client: bigquery.Client) -> None:
        table = bigquery.Table(f"{PROJECT}.d.t", schema=self.SCHEMA)
        table.time_partitioning = bigquery.TimePartitioning(type_="MONTH", field="day")
        table.clustering_fields, table.labels, table.description = ["k"], {"lab": "x"}, "text"
        client.create_table(table)
        found = client.get_table("d.t")
        assert [(f.name, f.field_type, f.mode) for f in found.schema] == [
            ("k", "INTEGER", "REQUIRED"),
            ("r", "RECORD", "REPEATED"),
            ("day", "DATE", "NULLABLE"),
        ]
        assert (found.schema[0].description, found.labels, found.table_type, found.num_rows) == (
            "key",
            {"lab": "x"},
            "TABLE",
            0,
        )
        found.schema = [*found.schema, bigquery.SchemaField("more", "STRING")]
        found.description = None
        updated = client.update_table(found, ["schema", "description"])
        assert updated.schema[-1].name == "more" and updated.description is None
        assert rows(client, "SELECT more FROM d.t") == []
        assert [item.table_id for item in client.list_tables("d")] == ["t"]
        client.delete_table("d.t")
        assert list(client.list_tables("d")) == []

    def test_what_a_schema_may_not_become(self, client: bigquery.Client) -> None:
        client.create_table(bigquery.Table(f"{PROJECT}.d.t", schema=self.SCHEMA))
        for change, message in (
            (self.SCHEMA[:1], "Field r is missing in new schema"),
            (
                [self.SCHEMA[0], self.SCHEMA[1], bigquery.SchemaField("day", "STRING")],
                "has changed type from DATE to STRING",
            ),
            ([*self.SCHEMA, bigquery.SchemaField("z", "STRING", "REQUIRED")], "Cannot add required fields"),
        ):
            table = client.get_table("d.t")
            table.schema = change
            with pytest.raises(BadRequest, match=message):
                client.update_table(table, ["schema"])
        table = client.get_table("d.t")
        table.schema = [bigquery.SchemaField("k", "INT64"), *self.SCHEMA[1:]]
        client.update_table(table, ["schema"])
        rows(client, "INSERT INTO d.t (day) VALUES (NULL)")

    def test_views(self, client: bigquery.Client) -> None:
        view = bigquery.Table(f"{PROJECT}.d.v")
        view.view_query = "SELECT 1 AS a"
        client.create_table(view)
        found = client.get_table("d.v")
        assert (found.table_type, found.view_query, found.schema[0].name) == ("VIEW", "SELECT 1 AS a", "a")
        found.view_query = "SELECT 2 AS b"
        client.update_table(found, ["view_query"])
        assert rows(client, "SELECT * FROM d.v") == [(2,)]
        with pytest.raises(BadRequest, match="Cannot list a table of type VIEW"):
            list(client.list_rows("d.v", selected_fields=[bigquery.SchemaField("b", "INT64")]))

    def test_a_table_without_columns_yet(self, client: bigquery.Client) -> None:
        client.create_table(f"{PROJECT}.d.t")
        assert client.get_table("d.t").schema == []
        with pytest.raises(BadRequest, match="does not have a schema"):
            rows(client, "SELECT * FROM d.t")
        rows(client, "SELECT 1 AS a", destination=f"{PROJECT}.d.t", write_disposition="WRITE_APPEND")
        assert rows(client, "SELECT * FROM d.t") == [(1,)]

    def test_list_rows(self, client: bigquery.Client) -> None:
        client.query(
            "CREATE TABLE d.t AS SELECT i, CAST(i AS STRING) AS s FROM UNNEST(GENERATE_ARRAY(1, 25)) AS i"
        ).result()
        assert [row.i for row in client.list_rows("d.t", max_results=3, start_index=4)] == [5, 6, 7]
        pages = client.list_rows("d.t", page_size=10)
        assert [len(list(page)) for page in pages.pages] == [10, 10, 5]
        chosen = client.list_rows("d.t", selected_fields=[bigquery.SchemaField("s", "STRING")])
        assert [row.s for row in chosen][:2] == ["1", "2"]
        assert len(client.list_rows("d.t").to_dataframe(create_bqstorage_client=False)) == 25

    def test_properties_that_would_be_lost_are_refused(self, client: bigquery.Client) -> None:
        table = bigquery.Table(f"{PROJECT}.d.t", schema=self.SCHEMA)
        table.encryption_configuration = bigquery.EncryptionConfiguration("key")
        with pytest.raises(BadRequest, match="UNIMPLEMENTED: the property encryptionConfiguration"):
            client.create_table(table)
        with pytest.raises(BadRequest, match="UNIMPLEMENTED: a column of type GEOGRAPHY"):
            client.create_table(bigquery.Table(f"{PROJECT}.d.t", schema=[bigquery.SchemaField("g", "GEOGRAPHY")]))


class TestInsertRows:
    @pytest.fixture(autouse=True)
    def _table(self, client: bigquery.Client) -> None:
        client.query("CREATE TABLE d.t (k INT64 NOT NULL, s STRING, r ARRAY<STRUCT<x FLOAT64>>, t TIMESTAMP)").result()

    def test_rows_are_there_at_once(self, client: bigquery.Client) -> None:
        given = [{"k": 1, "s": "a", "r": [{"x": 1.5}], "t": "2024-01-01 00:00:00 UTC"}, {"k": "2"}]
        assert client.insert_rows_json("d.t", given) == []
        moment = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
        assert rows(client, "SELECT * FROM d.t ORDER BY k") == [(1, "a", [{"x": 1.5}], moment), (2, None, [], None)]
        table = client.get_table("d.t")
        assert client.insert_rows(table, [(3, "b", [{"x": 2}], moment)]) == []
        assert client.get_table("d.t").num_rows == 3

    def test_errors(self, client: bigquery.Client) -> None:
        given: list[dict[str, Any]] = [{"k": 1}, {"k": "x"}, {"k": 2, "z": 1}, {"s": "a"}, {"k": 3, "r": [{"y": 1}]}]
        errors = {item["index"]: item["errors"][0]["message"] for item in client.insert_rows_json("d.t", given)}
        assert errors == {
            0: "",
            1: "Cannot convert value to integer (bad value): x",
            2: "no such field: z.",
            3: "Missing required field: k.",
            4: "no such field: r.y.",
        }
        assert client.get_table("d.t").num_rows == 0, "none of them is inserted"
        left = client.insert_rows_json("d.t", given, skip_invalid_rows=True, ignore_unknown_values=True)
        assert {item["index"] for item in left} == {1, 3, 4}
        assert client.get_table("d.t").num_rows == 2


def test_routines(client: bigquery.Client) -> None:
    client.query("CREATE FUNCTION d.f(x INT64, y ANY TYPE) RETURNS FLOAT64 AS (x + y)").result()
    routine = client.get_routine("d.f")
    assert [item.routine_id for item in client.list_routines("d")] == ["f"]
    assert (routine.type_, routine.body, routine.arguments[0].name) == ("SCALAR_FUNCTION", "x + y", "x")
    client.delete_routine("d.f")
    assert list(client.list_routines("d")) == []
