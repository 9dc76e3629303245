"""Lists of objects: prefixes, delimiters, pages, globs, and parts of a resource."""

from __future__ import annotations

import pytest
import requests
from google.api_core.exceptions import BadRequest, NotFound
from google.cloud import storage
from localgcp.storage import Server
from localgcp.storage.listing import glob_pattern

NAMES = ["a.txt", "a/1.csv", "a/2.csv", "a/b/3.csv", "ab.txt", "b/4.txt", "é/5.txt"]


@pytest.fixture
def full(bucket: storage.Bucket) -> storage.Bucket:
    for name in NAMES:
        bucket.blob(name).upload_from_string("x")
    return bucket


def names(bucket: storage.Bucket, **query: object) -> list[str]:
    return [blob.name for blob in bucket.list_blobs(**query)]


def test_in_the_order_of_their_bytes(full: storage.Bucket) -> None:
    assert names(full) == sorted(NAMES, key=lambda name: name.encode())


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("a", ["a.txt", "a/1.csv", "a/2.csv", "a/b/3.csv", "ab.txt"]),
        ("a/", ["a/1.csv", "a/2.csv", "a/b/3.csv"]),
        ("a/b", ["a/b/3.csv"]),
        ("a/b/3.csv", ["a/b/3.csv"]),
        ("a/b/3.csv/", []),
        ("é/", ["é/5.txt"]),
        ("missing/x", []),
        ("../", []),
        ("/", []),
        ("a//", []),
    ],
)
def test_a_prefix(full: storage.Bucket, prefix: str, expected: list[str]) -> None:
    assert names(full, prefix=prefix) == expected


@pytest.mark.parametrize(
    ("prefix", "items", "prefixes"),
    [
        ("", ["a.txt", "ab.txt"], {"a/", "b/", "é/"}),
        ("a/", ["a/1.csv", "a/2.csv"], {"a/b/"}),
        ("a", ["a.txt", "ab.txt"], {"a/"}),
        ("a/b/", ["a/b/3.csv"], set()),
    ],
)
def test_a_delimiter(full: storage.Bucket, prefix: str, items: list[str], prefixes: set[str]) -> None:
    found = full.list_blobs(prefix=prefix, delimiter="/")
    assert [blob.name for blob in found] == items and found.prefixes == prefixes


def test_another_delimiter(full: storage.Bucket) -> None:
    found = full.list_blobs(delimiter=".")
    assert list(found) == []
    assert found.prefixes == {"a.", "a/1.", "a/2.", "a/b/3.", "ab.", "b/4.", "é/5."}


def test_markers_and_a_trailing_delimiter(full: storage.Bucket) -> None:
    full.blob("a/").upload_from_string("")
    assert names(full, prefix="a/", delimiter="/") == ["a/", "a/1.csv", "a/2.csv"]
    assert "a/" not in names(full, delimiter="/")
    assert "a/" in names(full, delimiter="/", include_trailing_delimiter=True)
    assert names(full, prefix="a/")[0] == "a/"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_pages(full: storage.Bucket, size: int) -> None:
    assert names(full, page_size=size) == sorted(NAMES)
    found = full.list_blobs(delimiter="/", page_size=size)
    assert [blob.name for blob in found] == ["a.txt", "ab.txt"] and found.prefixes == {"a/", "b/", "é/"}


def test_a_page_token(full: storage.Bucket, server: Server) -> None:
    url = f"{server.url}/storage/v1/b/first/o"
    first = requests.get(url, {"maxResults": "2", "delimiter": "/"}, timeout=5).json()
    assert [item["name"] for item in first["items"]] == ["a.txt"] and first["prefixes"] == ["a/"]
    rest = requests.get(url, {"delimiter": "/", "pageToken": first["nextPageToken"]}, timeout=5).json()
    assert [item["name"] for item in rest["items"]] == ["ab.txt"] and rest["prefixes"] == ["b/", "é/"]
    assert "nextPageToken" not in rest
    wrong = requests.get(url, {"pageToken": "?"}, timeout=5)
    assert wrong.status_code == 400 and "pageToken" in wrong.text


def test_versions_are_the_live_ones(full: storage.Bucket) -> None:
    full.blob("a.txt").upload_from_string("again")
    assert names(full, versions=True) == sorted(NAMES)


def test_max_results(full: storage.Bucket) -> None:
    assert names(full, max_results=3) == NAMES[:3]


def test_offsets(full: storage.Bucket) -> None:
    assert names(full, start_offset="a/2.csv", end_offset="b/4.txt") == ["a/2.csv", "a/b/3.csv", "ab.txt"]


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("*.txt", ["a.txt", "ab.txt"]),
        ("**.txt", ["a.txt", "ab.txt", "b/4.txt", "é/5.txt"]),
        ("**/*.csv", ["a/1.csv", "a/2.csv", "a/b/3.csv"]),
        ("a/*.csv", ["a/1.csv", "a/2.csv"]),
        ("a/[!1].csv", ["a/2.csv"]),
        ("a?txt", ["a.txt"]),
        ("{a,b}/*", ["a/1.csv", "a/2.csv", "b/4.txt"]),
        ("{a.txt,**/5.txt}", ["a.txt", "é/5.txt"]),
    ],
)
def test_a_glob(full: storage.Bucket, glob: str, expected: list[str]) -> None:
    assert names(full, match_glob=glob) == expected


@pytest.mark.parametrize(("glob", "name"), [("a[*]b", "a*b"), (r"a\*b", "a*b"), ("a.b", "a.b"), ("[a-c]", "b")])
def test_a_glob_that_takes_characters_as_they_are(glob: str, name: str) -> None:
    assert glob_pattern(glob).fullmatch(name)
    assert not glob_pattern(glob).fullmatch("axb") and not glob_pattern(glob).fullmatch("a/b")


@pytest.mark.parametrize("glob", ["[a", "{a", "a}"])
def test_a_glob_that_is_none(full: storage.Bucket, glob: str) -> None:
    with pytest.raises(BadRequest, match="matchGlob"):
        names(full, match_glob=glob)


def test_parts_of_a_resource(full: storage.Bucket, server: Server) -> None:
    url = f"{server.url}/storage/v1/b/first/o"
    assert requests.get(url, {"fields": "items(name,size),prefixes", "prefix": "ab"}, timeout=5).json() == {
        "items": [{"name": "ab.txt", "size": "1"}]
    }
    assert requests.get(url, {"fields": "items/name", "prefix": "ab"}, timeout=5).json() == {
        "items": [{"name": "ab.txt"}]
    }
    for wrong in ("items(", "items)", ",", "a/"):
        answer = requests.get(url, {"fields": wrong}, timeout=5)
        assert answer.status_code == 400 and "field selection" in answer.text
    assert [blob.name for blob in full.list_blobs(fields="items(name),nextPageToken", page_size=2)] == sorted(NAMES)


def test_a_bucket_that_is_none(client: storage.Client) -> None:
    with pytest.raises(NotFound):
        list(client.list_blobs("missing"))
