"""Load jobs through the real client: data frames, CSV, JSON and Parquet files."""

from __future__ import annotations

import datetime as dt
import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from google.api_core.exceptions import BadRequest, Conflict, NotFound
from google.cloud import bigquery
from localgcp.bigquery import start

from tests.localgcp.bigquery.conftest import connect

FIELD = bigquery.SchemaField


def load(client: bigquery.Client, text: str | bytes, table: str = "d.t", **settings: Any) -> bigquery.LoadJob:
    data = text.encode() if isinstance(text, str) else text
    job = client.load_table_from_file(io.BytesIO(data), table, job_config=bigquery.LoadJobConfig(**settings))
    job.result()
    return job


def rows(client: bigquery.Client, sql: str = "SELECT * FROM d.t") -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in client.query(sql).result()]


def types(client: bigquery.Client) -> list[tuple[str, str]]:
    return [(field.name, field.field_type) for field in client.get_table("d.t").schema]


class TestDataFrames:
    def test_types(self, client: bigquery.Client) -> None:
        frame = pd.DataFrame(
            {
                "i": [1, 2],
                "f": [1.5, None],
                "s": ["a", None],
                "b": [True, False],
                "t": pd.to_datetime(["2024-01-01", "2024-01-02"], utc=True),
                "d": [dt.date(2024, 1, 1), None],
                "l": [[1, 2], []],
                "c": pd.Categorical(["x", "y"]),
            }
        )
        job = client.load_table_from_dataframe(frame, "d.t")
        job.result()
        assert job.output_rows == 2
        assert types(client) == [
            ("i", "INTEGER"),
            ("f", "FLOAT"),
            ("s", "STRING"),
            ("b", "BOOLEAN"),
            ("t", "TIMESTAMP"),
            ("d", "DATE"),
            ("l", "INTEGER"),
            ("c", "STRING"),
        ]
        moment = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
        assert rows(client, "SELECT * FROM d.t WHERE i = 1") == [
            (1, 1.5, "a", True, moment, dt.date(2024, 1, 1), [1, 2], "x")
        ]

    def test_append_truncate_empty(self, client: bigquery.Client) -> None:
        frame = pd.DataFrame({"a": [1, 2]})
        for disposition, count in ((None, 2), ("WRITE_APPEND", 4), ("WRITE_TRUNCATE", 2)):
            config = bigquery.LoadJobConfig(write_disposition=disposition)
            client.load_table_from_dataframe(frame, "d.t", job_config=config).result()
            assert client.get_table("d.t").num_rows == count
        with pytest.raises(Conflict, match=r"Already Exists: Table local-project:d.t"):
            config = bigquery.LoadJobConfig(write_disposition="WRITE_EMPTY")
            client.load_table_from_dataframe(frame, "d.t", job_config=config).result()
        other = bigquery.LoadJobConfig(schema=[FIELD("a", "STRING")])
        with pytest.raises(BadRequest, match="Field a has changed type from INTEGER to STRING"):
            client.load_table_from_dataframe(pd.DataFrame({"a": ["x"]}), "d.t", job_config=other).result()

    def test_a_large_frame_comes_in_pieces(self, client: bigquery.Client) -> None:
        """More than the client sends in one request."""
        frame = pd.DataFrame({"s": [f"{i:032d}" for i in range(300_000)]})
        client.load_table_from_dataframe(frame, "d.t", job_config=bigquery.LoadJobConfig()).result()
        assert client.get_table("d.t").num_rows == 300_000

    def test_partitioned(self, client: bigquery.Client) -> None:
        frame = pd.DataFrame({"day": [dt.date(2024, 1, 1)], "k": ["a"]})
        config = bigquery.LoadJobConfig(
            schema=[FIELD("day", "DATE")],
            time_partitioning=bigquery.TimePartitioning(field="day"),
            clustering_fields=["k"],
        )
        client.load_table_from_dataframe(frame, "d.t", job_config=config).result()
        assert client.get_table("d.t").time_partitioning.field == "day"

    def test_missing_dataset(self, client: bigquery.Client) -> None:
        with pytest.raises(NotFound, match="Not found: Dataset local-project:nothing"):
            client.load_table_from_dataframe(pd.DataFrame({"a": [1]}), "nothing.t").result()


class TestCsv:
    SCHEMA = [
        FIELD("i", "INT64"),
        FIELD("f", "FLOAT64"),
        FIELD("s", "STRING"),
        FIELD("b", "BOOL"),
        FIELD("t", "TIMESTAMP"),
    ]

    def test_with_a_schema(self, client: bigquery.Client) -> None:
        text = 'i,f,s,b,t\n1,1.5,"a, ""b""\nc",true,2024-01-01 00:00:00 UTC\n,,,,\n'
        job = load(client, text, schema=self.SCHEMA, skip_leading_rows=1, allow_quoted_newlines=True)
        moment = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
        assert rows(client) == [(1, 1.5, 'a, "b"\nc', True, moment), (None, None, "", None, None)]
        assert job.output_rows == 2

    def test_autodetect(self, client: bigquery.Client) -> None:
        load(client, "id,species,mass,day\n1,Adelie,3750.5,2024-01-01\n2,Gentoo,,2024-01-02\n", autodetect=True)
        assert types(client) == [("id", "INTEGER"), ("species", "STRING"), ("mass", "FLOAT"), ("day", "DATE")]
        assert rows(client)[1] == (2, "Gentoo", None, dt.date(2024, 1, 2))

    def test_autodetect_without_a_header(self, client: bigquery.Client) -> None:
        load(client, "1,2.5\n2,3.5\n", autodetect=True)
        assert types(client) == [("int64_field_0", "INTEGER"), ("double_field_1", "FLOAT")]

    def test_options(self, client: bigquery.Client) -> None:
        schema = [FIELD("a", "INT64"), FIELD("b", "STRING")]
        load(client, "1|x\nNA|NA\n3\n", schema=schema, field_delimiter="|", null_marker="NA", allow_jagged_rows=True)
        assert rows(client) == [(1, "x"), (None, None), (3, None)]

    def test_a_value_of_another_type(self, client: bigquery.Client) -> None:
        schema = [FIELD("a", "INT64"), FIELD("b", "STRING")]
        message = "Error while reading data, error message: Could not parse 'x' as INT64 for field a \\(position 0\\)"
        with pytest.raises(BadRequest, match=message):
            load(client, "1,a\nx,b\n", schema=schema)
        with pytest.raises(NotFound):
            client.get_table("d.t")
        job = load(client, "1,a\nx,b\n", schema=schema, max_bad_records=1)
        assert rows(client) == [(1, "a")] and job.output_rows == 1

    def test_required(self, client: bigquery.Client) -> None:
        with pytest.raises(BadRequest, match="Required field a cannot be null"):
            load(client, '1\n""\n', schema=[FIELD("a", "INT64", "REQUIRED")])

    def test_no_schema(self, client: bigquery.Client) -> None:
        with pytest.raises(BadRequest, match="No schema specified on job or table"):
            load(client, "1\n")

    def test_columns_that_do_not_fit(self, client: bigquery.Client) -> None:
        with pytest.raises(BadRequest, match=r"Error while reading data, error message: .*"):
            load(client, "1,2,3\n", schema=[FIELD("a", "INT64")])

    def test_the_tables_schema_is_used(self, client: bigquery.Client) -> None:
        client.query("CREATE TABLE d.t (a INT64, b STRING)").result()
        load(client, "7,x\n")
        assert rows(client) == [(7, "x")]


class TestJson:
    JSON = "NEWLINE_DELIMITED_JSON"

    def test_nested(self, client: bigquery.Client) -> None:
        schema = [
            FIELD("a", "INT64"),
            FIELD("r", "RECORD", "REPEATED", fields=[FIELD("x", "STRING")]),
            FIELD("j", "JSON"),
        ]
        text = '{"a": 1, "r": [{"x": "q"}], "j": {"k": [1]}}\n{"a": "2"}\n'
        load(client, text, schema=schema, source_format=self.JSON)
        assert rows(client) == [(1, [{"x": "q"}], {"k": [1]}), (2, [], None)]

    def test_autodetect(self, client: bigquery.Client) -> None:
        load(client, '{"a": 1, "b": {"c": [1.5]}}\n{"a": 2}\n', autodetect=True, source_format=self.JSON)
        assert types(client) == [("a", "INTEGER"), ("b", "RECORD")]
        assert rows(client)[0] == (1, {"c": [1.5]})

    def test_load_table_from_json(self, client: bigquery.Client) -> None:
        config = bigquery.LoadJobConfig(schema=[FIELD("a", "INT64"), FIELD("b", "STRING")])
        client.load_table_from_json([{"a": 1, "b": "x"}, {"a": 2, "b": None}], "d.t", job_config=config).result()
        assert rows(client) == [(1, "x"), (2, None)]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('{"a": "x"}', "Cannot convert value to integer \\(bad value\\): x"),
            ('{"a": 1, "z": 2}', "No such field: z."),
            ('{"a": 1}\n{"a": ', "JSON parsing error in row 2"),
        ],
    )
    def test_errors(self, client: bigquery.Client, text: str, message: str) -> None:
        with pytest.raises(BadRequest, match=message):
            load(client, text, schema=[FIELD("a", "INT64")], source_format=self.JSON)

    def test_options(self, client: bigquery.Client) -> None:
        text = '{"a": 1, "z": 2}\n{"a": "x"}\n'
        settings = {"schema": [FIELD("a", "INT64")], "source_format": self.JSON}
        load(client, text, ignore_unknown_values=True, max_bad_records=1, **settings)
        assert rows(client) == [(1,)]


class TestParquet:
    def test_without_a_schema(self, client: bigquery.Client) -> None:
        table = pa.table({"i": pa.array([1], pa.int32()), "f": pa.array([1.5], pa.float32()), "s": [{"x": "a"}]})
        buffer = io.BytesIO()
        parquet.write_table(table, buffer)
        load(client, buffer.getvalue(), source_format="PARQUET")
        assert types(client) == [("i", "INTEGER"), ("f", "FLOAT"), ("s", "RECORD")]
        assert rows(client) == [(1, 1.5, {"x": "a"})]

    def test_lists_need_their_option(self, client: bigquery.Client) -> None:
        buffer = io.BytesIO()
        parquet.write_table(pa.table({"l": [[1, 2]]}), buffer)
        with pytest.raises(BadRequest, match="UNIMPLEMENTED: Parquet lists without enable_list_inference"):
            load(client, buffer.getvalue(), source_format="PARQUET")

    def test_no_parquet(self, client: bigquery.Client) -> None:
        with pytest.raises(BadRequest, match="Error while reading data, error message: Invalid Parquet file"):
            load(client, "nothing", source_format="PARQUET")


def test_other_formats_and_options_are_refused(client: bigquery.Client) -> None:
    for settings in ({"source_format": "AVRO"}, {"source_format": "ORC"}, {"autodetect": True, "encoding": "UTF-16BE"}):
        with pytest.raises(BadRequest, match="UNIMPLEMENTED"):
            load(client, "1\n", **settings)
    with pytest.raises(BadRequest, match="UNIMPLEMENTED: loading from gs:// URIs without a local bucket"):
        client.load_table_from_uri("gs://bucket/file.csv", "d.t").result()


def test_from_local_buckets(tmp_path: Path) -> None:
    bucket = tmp_path / "buckets" / "lab"
    bucket.mkdir(parents=True)
    for part in (1, 2):
        (bucket / f"part-{part}.json").write_text(json.dumps({"a": part}) + "\n")
    with start(None, buckets=tmp_path / "buckets") as server:
        client = connect(server.url)
        client.create_dataset("d")
        config = bigquery.LoadJobConfig(source_format="NEWLINE_DELIMITED_JSON", autodetect=True)
        job = client.load_table_from_uri("gs://lab/part-*.json", "d.t", job_config=config)
        job.result()
        assert (job.input_files, job.output_rows) == (2, 2)
        assert sorted(rows(client)) == [(1,), (2,)]
        with pytest.raises(NotFound, match=r"Not found: URI gs://lab/nothing.json"):
            client.load_table_from_uri("gs://lab/nothing.json", "d.t", job_config=config).result()
        with pytest.raises(BadRequest, match="Invalid value for sourceUris"):
            client.load_table_from_uri("gs://../secret.json", "d.t", job_config=config).result()
