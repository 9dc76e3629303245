"""Objects through the real client: uploads, downloads, metadata, preconditions, copies."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import google_crc32c
import pytest
import requests
from google.api_core.exceptions import (
    BadRequest,
    Conflict,
    NotFound,
    NotModified,
    PreconditionFailed,
    RequestRangeNotSatisfiable,
)
from google.cloud import storage
from google.cloud.storage import transfer_manager
from localgcp.storage import Server

BIG = hashlib.shake_256(b"seed").digest(30 << 20)


def crc32c(data: bytes) -> str:
    return base64.b64encode(google_crc32c.Checksum(data).digest()).decode()


def put(bucket: storage.Bucket, name: str, content: str = "content", **more: Any) -> storage.Blob:
    blob = bucket.blob(name)
    blob.upload_from_string(content, **more)
    return blob


class TestUploads:
    def test_what_is_uploaded_is_a_file_and_comes_back(self, bucket: storage.Bucket, folder: Any) -> None:
        blob = put(bucket, "a/ü b+%?#.txt", "grüße", content_type="text/x-own")
        assert (folder / "first" / "a" / "ü b+%?#.txt").read_text(encoding="utf-8") == "grüße"
        found = bucket.get_blob("a/ü b+%?#.txt")
        assert found.download_as_text(encoding="utf-8") == "grüße"
        assert (found.size, found.content_type, found.metageneration) == (7, "text/x-own", 1)
        assert found.crc32c == crc32c("grüße".encode())
        assert found.md5_hash == base64.b64encode(hashlib.md5("grüße".encode()).digest()).decode()
        assert found.generation == blob.generation and found.time_created == blob.updated
        assert found.storage_class == "STANDARD"

    def test_thirty_megabytes_go_up_and_down(self, bucket: storage.Bucket, folder: Any) -> None:
        blob = bucket.blob("big")
        blob.upload_from_file(io.BytesIO(BIG))
        assert (folder / "first" / "big").read_bytes() == BIG
        assert bucket.blob("big").download_as_bytes() == BIG

    @pytest.mark.parametrize("size", [0, 1, 262144, 262145, 3 * 262144])
    def test_in_chunks(self, bucket: storage.Bucket, size: int) -> None:
        blob = bucket.blob("chunks", chunk_size=262144)
        blob.upload_from_file(io.BytesIO(BIG[:size]), size=None, content_type="text/x-own")
        assert bucket.blob("chunks").download_as_bytes() == BIG[:size]
        known = bucket.blob("known", chunk_size=262144)
        known.upload_from_file(io.BytesIO(BIG[:size]), size=size)
        assert bucket.get_blob("known").crc32c == crc32c(BIG[:size])

    def test_written_and_read_as_a_file(self, bucket: storage.Bucket) -> None:
        lines = [f"line {number}\n" for number in range(100_000)]
        with bucket.blob("lines").open("w", chunk_size=262144) as file:
            file.writelines(lines)
        with bucket.blob("lines").open("r", chunk_size=262144) as file:
            assert list(file) == lines

    def test_a_resumable_upload_is_taken_up_again(self, bucket: storage.Bucket, server: Server) -> None:
        url = bucket.blob("resumed").create_resumable_upload_session(size=600_000)
        assert requests.put(url, headers={"Content-Range": "bytes */600000"}, timeout=5).status_code == 308
        half = requests.put(url, BIG[:262144], headers={"Content-Range": "bytes 0-262143/600000"}, timeout=5)
        assert (half.status_code, half.headers["Range"]) == (308, "bytes=0-262143")
        asked = requests.put(url, headers={"Content-Range": "bytes */*"}, timeout=5)
        assert (asked.status_code, asked.headers["Range"]) == (308, "bytes=0-262143")
        assert not bucket.blob("resumed").exists()
        gap = requests.put(url, b"x", headers={"Content-Range": "bytes 400000-400000/600000"}, timeout=5)
        assert gap.status_code == 400 and "only 262144 bytes have come" in gap.text
        rest = {"Content-Range": "bytes 262144-599999/600000"}
        assert requests.put(url, BIG[262144:600_000], headers=rest, timeout=5).status_code == 200
        assert bucket.blob("resumed").download_as_bytes() == BIG[:600_000]
        again = requests.put(url, headers={"Content-Range": "bytes */600000"}, timeout=5)
        assert again.json()["size"] == "600000"

    def test_a_cancelled_upload_is_gone(self, bucket: storage.Bucket) -> None:
        url = bucket.blob("a").create_resumable_upload_session()
        assert requests.delete(url, timeout=5).status_code == 499
        assert requests.put(url, b"x", timeout=5).status_code == 404
        assert not bucket.blob("a").exists()

    def test_a_plain_media_upload(self, bucket: storage.Bucket, server: Server) -> None:
        url = f"{server.url}/upload/storage/v1/b/first/o?uploadType=media&name=plain"
        answer = requests.post(url, b"\r\n--x\r\n", headers={"Content-Type": "text/x-own"}, timeout=5)
        assert answer.json()["contentType"] == "text/x-own"
        assert bucket.blob("plain").download_as_bytes() == b"\r\n--x\r\n"

    @pytest.mark.parametrize("line", [b"\r\n", b"\n"])
    def test_content_that_looks_like_the_end_of_a_part(
        self, bucket: storage.Bucket, server: Server, line: bytes
    ) -> None:
        content = b"\r\n\r\n--\r\n--near\n\r"
        body = line.join(
            [b"--near-by", b"content-type: application/json", b"", b'{"name": "odd"}', b"--near-by", b"", content]
        )
        body += line + b"--near-by--"
        url = f"{server.url}/upload/storage/v1/b/first/o?uploadType=multipart"
        headers = {"Content-Type": 'multipart/related; boundary="near-by"'}
        assert requests.post(url, body, headers=headers, timeout=5).status_code == 200
        assert bucket.blob("odd").download_as_bytes() == content

    def test_of_thirty_two_at_once_none_is_lost(self, bucket: storage.Bucket) -> None:
        names = [f"at-once/{number % 4}/{number}" for number in range(32)]
        with ThreadPoolExecutor(32) as pool:
            list(pool.map(lambda name: put(bucket, name, name * 1000), names))
        assert sorted(blob.name for blob in bucket.list_blobs()) == sorted(names)
        assert all(bucket.blob(name).download_as_text() == name * 1000 for name in names)

    def test_of_many_that_want_to_be_the_first_one_is(self, bucket: storage.Bucket) -> None:
        def try_it(number: int) -> str | None:
            try:
                put(bucket, "first", str(number), if_generation_match=0)
            except PreconditionFailed:
                return None
            return str(number)

        with ThreadPoolExecutor(16) as pool:
            winners = [winner for winner in pool.map(try_it, range(16)) if winner]
        assert [bucket.blob("first").download_as_text()] == winners

    def test_many_files_by_the_transfer_manager(self, bucket: storage.Bucket, tmp_path: Any) -> None:
        for number in range(5):
            (tmp_path / f"{number}.txt").write_text(str(number))
        names = [f"{number}.txt" for number in range(5)]
        results = transfer_manager.upload_many_from_filenames(
            bucket, names, source_directory=str(tmp_path), worker_type=transfer_manager.THREAD
        )
        assert results == [None] * 5
        assert [blob.content_type for blob in bucket.list_blobs()] == ["text/plain"] * 5

    def test_content_that_is_not_what_its_checksum_says(self, bucket: storage.Bucket, server: Server) -> None:
        put(bucket, "a", "old")
        wrong = bucket.blob("a")
        wrong.md5_hash = base64.b64encode(hashlib.md5(b"other").digest()).decode()
        with pytest.raises(BadRequest, match="doesn't match calculated MD5"):
            wrong.upload_from_string("new")
        url = bucket.blob("a").create_resumable_upload_session()
        answer = requests.put(url, b"new", headers={"X-Goog-Hash": f"crc32c={crc32c(b'old')}"}, timeout=5)
        assert answer.status_code == 400 and "doesn't match calculated CRC32C" in answer.text
        assert bucket.blob("a").download_as_text() == "old"

    def test_an_upload_to_no_bucket(self, client: storage.Client) -> None:
        with pytest.raises(NotFound, match="bucket does not exist"):
            put(client.bucket("missing"), "a")
        with pytest.raises(NotFound, match="bucket does not exist"):
            client.bucket("missing").blob("a", chunk_size=262144).upload_from_file(io.BytesIO(BIG[:600_000]))


class TestDownloads:
    @pytest.mark.parametrize(
        ("start", "end", "expected"), [(0, 3, b"0123"), (4, None, b"456789"), (8, 100, b"89"), (-3, None, b"789")]
    )
    def test_a_range(self, bucket: storage.Bucket, start: int, end: int | None, expected: bytes) -> None:
        blob = put(bucket, "digits", "0123456789")
        assert blob.download_as_bytes(start=start, end=end) == expected

    def test_a_range_outside(self, bucket: storage.Bucket) -> None:
        with pytest.raises(RequestRangeNotSatisfiable):
            put(bucket, "digits", "0123456789").download_as_bytes(start=10)

    def test_in_chunks(self, bucket: storage.Bucket) -> None:
        bucket.blob("big").upload_from_string(BIG[:1_000_000])
        assert bucket.blob("big", chunk_size=262144).download_as_bytes() == BIG[:1_000_000]

    def test_what_is_not_there(self, bucket: storage.Bucket) -> None:
        with pytest.raises(NotFound, match="No such object: first/missing"):
            bucket.blob("missing").download_as_bytes()
        assert bucket.get_blob("missing") is None and not bucket.blob("missing").exists()

    def test_a_generation(self, bucket: storage.Bucket) -> None:
        old = put(bucket, "a", "old").generation
        new = put(bucket, "a", "new").generation
        assert new > old
        assert bucket.blob("a", generation=new).download_as_text() == "new"
        with pytest.raises(NotFound):
            bucket.blob("a", generation=old).download_as_text()

    def test_what_is_being_read_stays_what_it_was(self, bucket: storage.Bucket) -> None:
        """A reader of 30 MB gets one of the two contents whole, however often they are exchanged meanwhile."""
        other = BIG[::-1]
        bucket.blob("a").upload_from_string(BIG)
        stop = threading.Event()

        def exchange() -> None:
            while not stop.is_set():
                bucket.blob("a").upload_from_string(other)
                bucket.blob("a").upload_from_string(BIG)

        writer = threading.Thread(target=exchange)
        writer.start()
        try:
            # The client itself checks the checksum that was announced.
            for _ in range(5):
                assert bucket.blob("a").download_as_bytes() in (BIG, other)
        finally:
            stop.set()
            writer.join()

    def test_gzip_is_kept_and_taken_off_for_who_does_not_know_it(self, bucket: storage.Bucket, server: Server) -> None:
        blob = bucket.blob("zipped")
        blob.content_encoding = "gzip"
        blob.upload_from_string(gzip.compress(b"text"), content_type="text/plain")
        assert bucket.blob("zipped").download_as_bytes() == b"text"
        assert gzip.decompress(bucket.blob("zipped").download_as_bytes(raw_download=True)) == b"text"
        url = f"{server.url}/download/storage/v1/b/first/o/zipped?alt=media"
        assert requests.get(url, headers={"Accept-Encoding": "identity"}, timeout=5).content == b"text"

    def test_headers_carry_the_metadata(self, bucket: storage.Bucket, server: Server) -> None:
        blob = bucket.blob("a")
        blob.cache_control, blob.content_disposition = "no-store", 'attachment; filename="ü.txt"'
        blob.upload_from_string("x")
        answer = requests.get(f"{server.url}/download/storage/v1/b/first/o/a?alt=media", timeout=5)
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Disposition"].encode("latin-1").decode() == 'attachment; filename="ü.txt"'


class TestMetadata:
    def test_patch_changes_what_it_names(self, bucket: storage.Bucket) -> None:
        blob = bucket.blob("a")
        blob.metadata = {"one": "1", "two": "2"}
        blob.upload_from_string("x", content_type="text/x-own")
        changed = bucket.get_blob("a")
        changed.metadata = {"one": None, "three": "3"}
        changed.cache_control = "no-store"
        changed.patch()
        found = bucket.get_blob("a")
        assert found.metadata == {"two": "2", "three": "3"}
        assert (found.cache_control, found.content_type, found.metageneration) == ("no-store", "text/x-own", 2)
        assert found.generation == blob.generation and found.updated > found.time_created
        assert found.download_as_text() == "x"

    def test_update_replaces_all(self, bucket: storage.Bucket) -> None:
        blob = bucket.blob("a")
        blob.metadata, blob.cache_control = {"one": "1"}, "no-store"
        blob.upload_from_string("x")
        found = bucket.get_blob("a")
        found._properties.pop("cacheControl")
        found.metadata = {"two": "2"}
        found.update()
        again = bucket.get_blob("a")
        assert (again.metadata, again.cache_control, again.crc32c) == ({"two": "2"}, None, blob.crc32c)

    def test_a_new_upload_has_none_of_the_old_metadata(self, bucket: storage.Bucket) -> None:
        blob = bucket.blob("a")
        blob.metadata = {"one": "1"}
        blob.upload_from_string("x")
        put(bucket, "a", "y")
        assert bucket.get_blob("a").metadata is None

    def test_the_storage_class(self, client: storage.Client) -> None:
        cold = client.bucket("cold")
        cold.storage_class = "NEARLINE"
        client.create_bucket(cold)
        blob = put(cold, "a")
        assert blob.storage_class == "NEARLINE"
        blob.update_storage_class("ARCHIVE")
        found = cold.get_blob("a")
        assert (found.storage_class, found.download_as_text()) == ("ARCHIVE", "content")

    def test_a_header_cannot_be_smuggled_in(self, bucket: storage.Bucket) -> None:
        blob = bucket.blob("a")
        blob.cache_control = "no-store\r\nX-Other: 1"
        with pytest.raises(BadRequest, match="control character"):
            blob.upload_from_string("x")

    def test_custom_time(self, bucket: storage.Bucket, server: Server) -> None:
        url = f"{server.url}/storage/v1/b/first/o/a"
        put(bucket, "a")
        assert requests.patch(url, json={"customTime": "2026-01-31T12:00:00Z"}, timeout=5).status_code == 200
        assert bucket.get_blob("a").custom_time.year == 2026
        assert requests.patch(url, json={"customTime": "tomorrow"}, timeout=5).status_code == 400


class TestPreconditions:
    def test_of_an_upload(self, bucket: storage.Bucket) -> None:
        first = put(bucket, "a", "1", if_generation_match=0)
        with pytest.raises(PreconditionFailed):
            put(bucket, "a", "2", if_generation_match=0)
        with pytest.raises(PreconditionFailed):
            put(bucket, "a", "2", if_generation_match=first.generation - 1)
        put(bucket, "a", "3", if_generation_match=first.generation)
        assert bucket.blob("a").download_as_text() == "3"

    def test_of_a_resumable_upload_hold_when_it_ends(self, bucket: storage.Bucket) -> None:
        url = bucket.blob("a").create_resumable_upload_session(if_generation_match=0)
        put(bucket, "a", "meanwhile")
        assert requests.put(url, b"late", timeout=5).status_code == 412
        assert bucket.blob("a").download_as_text() == "meanwhile"

    def test_of_reading(self, bucket: storage.Bucket) -> None:
        blob = put(bucket, "a")
        with pytest.raises(NotModified):
            bucket.blob("a").reload(if_generation_not_match=blob.generation)
        with pytest.raises(PreconditionFailed):
            bucket.blob("a").download_as_bytes(if_generation_match=1)
        with pytest.raises(PreconditionFailed):
            bucket.blob("a").reload(if_metageneration_match=7)
        assert bucket.blob("a").download_as_text(if_metageneration_match=1) == "content"

    def test_of_deleting_and_patching(self, bucket: storage.Bucket) -> None:
        blob = put(bucket, "a")
        blob.metadata = {"k": "v"}
        with pytest.raises(PreconditionFailed):
            blob.patch(if_metageneration_match=2)
        blob.patch(if_metageneration_match=1)
        with pytest.raises(PreconditionFailed):
            blob.delete(if_generation_match=blob.generation - 1)
        blob.delete(if_generation_match=blob.generation)
        assert not blob.exists()

    def test_that_are_no_numbers(self, bucket: storage.Bucket, server: Server) -> None:
        put(bucket, "a")
        answer = requests.get(f"{server.url}/storage/v1/b/first/o/a?ifGenerationMatch=x", timeout=5)
        assert answer.status_code == 400 and "ifGenerationMatch" in answer.text


class TestCopies:
    def test_a_copy_has_content_and_metadata(self, client: storage.Client, bucket: storage.Bucket) -> None:
        blob = bucket.blob("a/b")
        blob.metadata = {"k": "v"}
        blob.upload_from_string("x", content_type="text/x-own")
        other = client.create_bucket("second")
        copy = bucket.copy_blob(blob, other, "c/d")
        assert (copy.metadata, copy.content_type, copy.crc32c) == ({"k": "v"}, "text/x-own", blob.crc32c)
        assert other.blob("c/d").download_as_text() == "x" and blob.exists()

    def test_a_rewrite_is_done_at_once(self, bucket: storage.Bucket) -> None:
        blob = put(bucket, "a", "0123456789")
        target = bucket.blob("b")
        target.content_type, target.metadata = "text/x-new", {"new": "1"}
        assert target.rewrite(blob) == (None, 10, 10)
        found = bucket.get_blob("b")
        assert (found.content_type, found.metadata, found.download_as_text()) == (
            "text/x-new",
            {"new": "1"},
            "0123456789",
        )

    def test_a_rewrite_with_conditions(self, bucket: storage.Bucket) -> None:
        blob = put(bucket, "a")
        with pytest.raises(PreconditionFailed):
            bucket.blob("b").rewrite(blob, if_source_generation_match=blob.generation - 1)
        with pytest.raises(PreconditionFailed):
            bucket.blob("b").rewrite(blob, if_generation_match=7)
        assert not bucket.blob("b").exists()

    def test_renamed_and_moved(self, bucket: storage.Bucket) -> None:
        bucket.rename_blob(put(bucket, "a", "1"), "b")
        assert [blob.name for blob in bucket.list_blobs()] == ["b"]
        moved = bucket.move_blob(bucket.blob("b"), "c")
        assert moved.download_as_text() == "1"
        assert [blob.name for blob in bucket.list_blobs()] == ["c"]

    def test_a_missing_source(self, bucket: storage.Bucket) -> None:
        with pytest.raises(NotFound):
            bucket.copy_blob(bucket.blob("missing"), bucket, "b")

    def test_composed(self, bucket: storage.Bucket) -> None:
        parts = [put(bucket, f"part-{number}", str(number) * 3) for number in range(3)]
        whole = bucket.blob("whole")
        whole.content_type = "text/x-own"
        whole.compose(parts)
        found = bucket.get_blob("whole")
        assert found.download_as_text() == "000111222"
        assert (found.component_count, found.md5_hash, found.content_type) == (3, None, "text/x-own")
        assert found.crc32c == crc32c(b"000111222")
        found.compose([found, parts[0]])
        assert bucket.get_blob("whole").component_count == 4

    def test_composed_with_conditions(self, bucket: storage.Bucket) -> None:
        parts = [put(bucket, "a"), put(bucket, "b")]
        with pytest.raises(PreconditionFailed):
            bucket.blob("c").compose(parts, if_source_generation_match=[parts[0].generation, 5])
        with pytest.raises(NotFound):
            bucket.blob("c").compose([parts[0], bucket.blob("missing")])
        assert not bucket.blob("c").exists()


class TestBatches:
    def test_delete_blobs(self, bucket: storage.Bucket) -> None:
        for number in range(5):
            put(bucket, f"{number}")
        bucket.delete_blobs([f"{number}" for number in range(4)])
        assert [blob.name for blob in bucket.list_blobs()] == ["4"]
        with pytest.raises(NotFound):
            bucket.delete_blobs(["4", "missing"])

    def test_a_batch_does_the_others_when_one_fails(self, client: storage.Client, bucket: storage.Bucket) -> None:
        put(bucket, "ü"), put(bucket, "b")
        with pytest.raises(NotFound, match="No such object: first/missing"), client.batch():
            bucket.blob("missing").delete()
            bucket.blob("ü").delete()
        assert [blob.name for blob in bucket.list_blobs()] == ["b"]

    def test_a_batch_of_changes(self, client: storage.Client, bucket: storage.Bucket) -> None:
        blobs = [put(bucket, name) for name in ("a", "b")]
        with client.batch():
            for blob in blobs:
                blob.metadata = {"k": "ü"}
                blob.patch()
        assert [blob.metadata for blob in blobs] == [{"k": "ü"}] * 2
        assert [blob.metadata for blob in bucket.list_blobs()] == [{"k": "ü"}] * 2

    def test_an_upload_is_no_part_of_one(self, server: Server, bucket: storage.Bucket) -> None:
        inner = "POST /upload/storage/v1/b/first/o?uploadType=media&name=a HTTP/1.1\r\n\r\nx"
        body = f"--b\r\nContent-Type: application/http\r\n\r\n{inner}\r\n--b--"
        headers = {"Content-Type": "multipart/mixed; boundary=b"}
        answer = requests.post(f"{server.url}/batch/storage/v1", body, headers=headers, timeout=5)
        assert answer.status_code == 400 and json.loads(answer.text)["error"]["code"] == 400


def test_deleted(bucket: storage.Bucket, folder: Any) -> None:
    blob = put(bucket, "a/b/c")
    blob.delete()
    assert list((folder / "first").iterdir()) == []
    with pytest.raises(NotFound):
        blob.delete()


def test_a_folder_marker_and_objects_below_it(bucket: storage.Bucket, folder: Any) -> None:
    put(bucket, "a/", "")
    assert (folder / "first" / "a").is_dir()
    put(bucket, "a/b").delete()
    assert [(blob.name, blob.size) for blob in bucket.list_blobs()] == [("a/", 0)]
    assert bucket.blob("a/").download_as_bytes() == b""
    marker = bucket.get_blob("a/")
    marker.metadata = {"k": "v"}
    marker.patch()
    assert bucket.get_blob("a/").metadata == {"k": "v"} and bucket.get_blob("a/").generation == marker.generation
    with pytest.raises(BadRequest, match="has no content"):
        put(bucket, "b/", "x")
    with pytest.raises(Conflict, match="folder of other objects"):
        put(bucket, "a", "x")
    bucket.blob("a/").delete()
    assert list((folder / "first").iterdir()) == []
