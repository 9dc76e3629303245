"""Objects are files: what others write there, what a kill or a full disk leaves, what must not be reached."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from google.api_core.exceptions import BadRequest, Conflict, Forbidden, GoogleAPICallError, NotFound
from google.cloud import storage
from localgcp.storage import Server, start

from tests.localgcp.storage.conftest import PROJECT, connect


class TestFilesFromOutside:
    def test_they_are_objects_at_once(self, bucket: storage.Bucket, folder: Path) -> None:
        (folder / "first" / "job").mkdir()
        (folder / "first" / "job" / "out.json").write_text("{}")
        (folder / "first" / "job" / "model").write_bytes(b"\0")
        found = {blob.name: blob for blob in bucket.list_blobs()}
        assert set(found) == {"job/out.json", "job/model"}
        blob = found["job/out.json"]
        assert (blob.content_type, blob.size, blob.metageneration) == ("application/json", 2, 1)
        assert found["job/model"].content_type == "application/octet-stream"
        changed = os.stat(folder / "first" / "job" / "out.json").st_mtime_ns
        assert blob.generation == changed // 1000
        assert blob.download_as_text() == "{}"

    def test_an_object_that_they_replace_has_a_new_generation_and_no_old_metadata(
        self, bucket: storage.Bucket, folder: Path
    ) -> None:
        blob = bucket.blob("a")
        blob.metadata = {"k": "v"}
        blob.upload_from_string("one")
        (folder / "first" / "a").write_text("two")
        found = bucket.get_blob("a")
        assert found.generation > blob.generation and found.metadata is None
        assert found.crc32c != blob.crc32c and found.download_as_text() == "two"
        with pytest.raises(GoogleAPICallError):
            bucket.blob("a").upload_from_string("three", if_generation_match=blob.generation)

    def test_their_checksums_are_computed_once(
        self, bucket: storage.Bucket, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from localgcp.storage import files

        (folder / "first" / "a").write_text("one")
        sums = [bucket.get_blob("a").crc32c]
        monkeypatch.setattr(files, "digest_of", None)
        sums += [bucket.get_blob("a").crc32c, next(iter(bucket.list_blobs())).crc32c]
        assert len(set(sums)) == 1
        (folder / "first" / "a").write_text("other")
        with pytest.raises(BadRequest, match="fault of the local server"):
            bucket.get_blob("a")

    def test_one_that_goes_is_gone(self, bucket: storage.Bucket, folder: Path) -> None:
        bucket.blob("a").upload_from_string("x")
        (folder / "first" / "a").unlink()
        assert list(bucket.list_blobs()) == [] and not bucket.blob("a").exists()

    def test_their_metadata_can_be_set(self, bucket: storage.Bucket, folder: Path) -> None:
        (folder / "first" / "a.csv").write_text("one")
        blob = bucket.get_blob("a.csv")
        blob.metadata = {"k": "v"}
        blob.patch()
        found = bucket.get_blob("a.csv")
        assert (found.metadata, found.generation, found.metageneration) == ({"k": "v"}, blob.generation, 2)
        bucket.copy_blob(found, bucket, "copy")
        assert bucket.get_blob("copy").content_type == "text/csv"

    def test_empty_folders_are_no_objects_and_not_in_the_way(self, bucket: storage.Bucket, folder: Path) -> None:
        (folder / "first" / "a" / "b").mkdir(parents=True)
        assert list(bucket.list_blobs()) == []
        bucket.blob("a/b").upload_from_string("x")
        assert [blob.name for blob in bucket.list_blobs()] == ["a/b"]

    def test_names_that_no_object_can_have_are_not_listed(self, bucket: storage.Bucket, folder: Path) -> None:
        (folder / "first" / "a\nb").touch()
        (folder / "first" / os.fsdecode(b"\xff")).touch()
        assert list(bucket.list_blobs()) == []


def test_an_object_that_is_replaced_while_it_is_opened(
    bucket: storage.Bucket, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at its metadata and the opening of its file; the client checks one against the other."""
    from localgcp.storage.objects import Objects

    bucket.blob("a").upload_from_string("old")
    (folder / "new").write_text("the new one")
    find, found = Objects.find, []

    def find_and_replace(self: Objects, *arguments: str) -> object:
        found.append(find(self, *arguments))
        if len(found) == 1:
            os.replace(folder / "new", folder / "first" / "a")
        return found[-1]

    monkeypatch.setattr(Objects, "find", find_and_replace)
    assert bucket.blob("a").download_as_bytes() == b"the new one" and len(found) == 2


class TestPaths:
    @pytest.mark.parametrize(
        "name",
        [
            "../second/x",
            "..",
            ".",
            "a/../../second/x",
            "/etc/x",
            "a//b",
            "a/./b",
            "a\0b",
            "a\nb",
            "../.meta/x",
            "x" * 256,
        ],
    )
    def test_a_name_that_leads_elsewhere_is_refused(
        self, client: storage.Client, bucket: storage.Bucket, folder: Path, name: str
    ) -> None:
        client.create_bucket("second").blob("x").upload_from_string("secret")
        before = sorted(folder.rglob("*"))
        with pytest.raises(BadRequest, match="Invalid object name"):
            bucket.blob(name).upload_from_string("bad")
        with pytest.raises(BadRequest, match="Invalid object name"):
            bucket.blob(name, chunk_size=262144).upload_from_filename(__file__)
        if name not in (".", ".."):  # these the client's HTTP library takes out of a path
            with pytest.raises(BadRequest, match="Invalid object name"):
                bucket.copy_blob(client.bucket("second").blob("x"), bucket, name)
        assert [path for path in sorted(folder.rglob("*")) if path not in before] == []

    @pytest.mark.parametrize("path", ["b/first/o/%2E%2E%2Fsecond%2Fx", "b/first/o/..%2fsecond%2fx", "b/..%2Fother/o/x"])
    def test_nor_can_it_be_read(
        self, client: storage.Client, bucket: storage.Bucket, server: Server, folder: Path, path: str
    ) -> None:
        client.create_bucket("second").blob("x").upload_from_string("secret")
        (folder.parent / "other").mkdir()
        (folder.parent / "other" / "x").write_text("secret")
        answer = requests.get(f"{server.url}/storage/v1/{path}?alt=media", timeout=5)
        assert answer.status_code == 400 and "secret" not in answer.text

    def test_the_side_folder_is_no_bucket(self, client: storage.Client, bucket: storage.Bucket, server: Server) -> None:
        assert [each.name for each in client.list_buckets()] == ["first"]
        assert requests.get(f"{server.url}/storage/v1/b/.meta/o", timeout=5).status_code == 400

    def test_links_are_not_followed(self, client: storage.Client, bucket: storage.Bucket, folder: Path) -> None:
        outside = folder.parent / "outside"
        outside.mkdir()
        (outside / "secret").write_text("secret")
        (folder / "first" / "file").symlink_to(outside / "secret")
        (folder / "first" / "folder").symlink_to(outside)
        (folder / "linked").symlink_to(outside)
        assert list(bucket.list_blobs()) == [] and list(bucket.list_blobs(prefix="folder/")) == []
        for name in ("file", "folder/secret"):
            with pytest.raises(Forbidden, match="symbolic link"):
                bucket.blob(name).download_as_bytes()
            with pytest.raises(Forbidden, match="symbolic link"):
                bucket.blob(name).upload_from_string("bad")
            with pytest.raises(Forbidden, match="symbolic link"):
                bucket.blob(name).delete()
        with pytest.raises(NotFound):
            client.bucket("linked").blob("secret").download_as_bytes()
        assert (outside / "secret").read_text() == "secret"

    def test_an_object_and_a_folder_of_the_same_name(self, bucket: storage.Bucket) -> None:
        bucket.blob("a").upload_from_string("x")
        with pytest.raises(Conflict, match="'a' is an object"):
            bucket.blob("a/b/c").upload_from_string("y")
        with pytest.raises(Conflict, match="'a' is an object"):
            bucket.blob("a/").upload_from_string("")
        bucket.blob("b/c").upload_from_string("x")
        with pytest.raises(Conflict, match="folder of other objects"):
            bucket.blob("b").upload_from_string("y")
        assert [blob.name for blob in bucket.list_blobs()] == ["a", "b/c"]
        assert not bucket.blob("a/b").exists()

    def test_names_that_a_disk_takes_for_one(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """As on macOS: there the server finds out by itself."""
        from localgcp.storage.records import Records

        original = Records.__init__

        def folding(self: Records, where: Path) -> None:
            original(self, where)
            assert not self.folds_names, "run this on a disk that tells A and a apart"
            self.folds_names = True

        monkeypatch.setattr(Records, "__init__", folding)
        with start(folder, PROJECT) as server:
            bucket = connect(server.url).create_bucket("first")
            bucket.blob("Data/é").upload_from_string("x")
            for name in ("data/é", "Data/É", "Data/e\u0301"):
                with pytest.raises(Conflict, match="the same name as"):
                    bucket.blob(name).upload_from_string("y")
                assert not bucket.blob(name).exists()
            bucket.blob("Data/é").upload_from_string("z")
            assert bucket.blob("Data/é").download_as_text() == "z"


SERVE = """
import os, sys, time
from pathlib import Path
from localgcp.storage import start
{more}
server = start(Path(sys.argv[1]))
print(server.url, flush=True)
time.sleep(60)
"""


@contextmanager
def served(folder: Path, more: str = "") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server in a process of its own, and its address."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE.format(more=more), str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


DIE = """
done = 0
for name in {functions!r}:
    def dying(*arguments, _original=getattr(os, name), **named):
        global done
        if threading.current_thread() is not threading.main_thread() and armed.exists():
            done += 1
            if done == {count}:
                os.kill(os.getpid(), 9)
        return _original(*arguments, **named)
    setattr(os, name, dying)
"""


class TestKills:
    def test_in_the_middle_of_a_resumable_upload(self, folder: Path) -> None:
        with served(folder) as (process, url):
            bucket = connect(url).create_bucket("first")
            bucket.blob("a").upload_from_string("old", content_type="text/x-old")
            session = bucket.blob("a").create_resumable_upload_session(size=600_000)
            headers = {"Content-Range": "bytes 0-262143/600000"}
            assert requests.put(session, b"x" * 262144, headers=headers, timeout=5).status_code == 308
            process.send_signal(signal.SIGKILL)
            process.wait()
        with start(folder) as server:
            bucket = connect(server.url).bucket("first")
            assert [(blob.name, blob.content_type) for blob in bucket.list_blobs()] == [("a", "text/x-old")]
            assert bucket.blob("a").download_as_text() == "old"
            # The upload lives on under the new address, as it would in the service.
            session = server.url + session[session.index("/upload") :]
            rest = {"Content-Range": "bytes 262144-599999/600000"}
            assert requests.put(session, b"x" * 337_856, headers=rest, timeout=5).status_code == 200
            assert bucket.blob("a").download_as_bytes() == b"x" * 600_000

    @pytest.mark.parametrize("count", range(1, 7))
    def test_before_every_step_of_an_upload(self, folder: Path, tmp_path: Path, count: int) -> None:
        """Old content with old metadata, or new with new: never a mixture, and never nothing."""
        armed = tmp_path / "armed"
        functions = ["replace", "fsync", "utime"]
        more = f"import threading\narmed = Path({str(armed)!r})" + DIE.format(functions=functions, count=count)
        with served(folder, more) as (process, url):
            bucket = connect(url).create_bucket("first")
            blob = bucket.blob("a")
            blob.metadata = {"is": "old"}
            blob.upload_from_string("old", content_type="text/x-old")
            armed.touch()
            headers = {"Content-Type": "text/x-new"}
            upload = f"{url}/upload/storage/v1/b/first/o?uploadType=media&name=a"
            try:
                answered = requests.post(upload, b"new!", headers=headers, timeout=5).status_code
            except requests.ConnectionError:
                answered = None
            # Five steps: the draft, its time, the record's draft, the record, and the object itself.
            assert (answered is None) == (count <= 5)
            process.wait(5) if answered is None else None
        with start(folder) as server:
            found = connect(server.url).bucket("first").get_blob("a")
            state = (found.download_as_text(), found.content_type, found.metadata)
            old, new = ("old", "text/x-old", {"is": "old"}), ("new!", "text/x-new", None)
            assert state == (new if answered == 200 else old)

    def test_a_client_that_goes_in_the_middle(self, bucket: storage.Bucket, server: Server) -> None:
        bucket.blob("a").upload_from_string("old")
        with socket.create_connection(("127.0.0.1", int(server.url.rsplit(":", 1)[1]))) as raw:
            head = "POST /upload/storage/v1/b/first/o?uploadType=media&name=a HTTP/1.1\r\nHost: {}\r\n"
            raw.sendall((head.format(server.url[7:]) + "Content-Length: 100\r\n\r\nonly this").encode())
        time.sleep(0.2)
        assert bucket.blob("a").download_as_text() == "old"


class TestDisks:
    def test_a_full_one_leaves_the_old_object_and_is_reported_at_once(self, folder: Path) -> None:
        limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))"
        with served(folder, limit) as (_, url):
            bucket = connect(url).create_bucket("first")
            bucket.blob("a").upload_from_string("old")
            for blob in (bucket.blob("a"), bucket.blob("a", chunk_size=262144)):
                began = time.perf_counter()
                with pytest.raises(GoogleAPICallError, match="disk that holds the bucket is full"):
                    blob.upload_from_string(b"x" * 300_000)
                assert time.perf_counter() - began < 1
            assert bucket.blob("a").download_as_text() == "old"
            assert [path.name for path in (folder / ".meta" / "drafts").iterdir()] == []

    def test_an_error_names_no_path_of_this_machine(self, bucket: storage.Bucket, server: Server, folder: Path) -> None:
        bucket.blob("a").upload_from_string("x")
        answers = [
            requests.get(f"{server.url}/storage/v1/b/first/o/{name}", timeout=5).text
            for name in ("a%2Fb", "x" * 300, "missing")
        ]
        assert all(str(folder) not in answer for answer in answers)


def test_a_restart_keeps_metadata(folder: Path) -> None:
    with start(folder) as server:
        bucket = connect(server.url).create_bucket("first")
        bucket.labels = {"k": "v"}
        bucket.patch()
        blob = bucket.blob("a")
        blob.metadata, blob.content_language = {"k": "v"}, "de"
        blob.upload_from_string("x", content_type="text/x-own")
        blob.patch()
        before = bucket.get_blob("a")._properties
        bucket_before = dict(connect(server.url).get_bucket("first")._properties)
    with start(folder) as server:
        found = connect(server.url).bucket("first").get_blob("a")
        links = {"selfLink", "mediaLink"}
        assert {k: v for k, v in found._properties.items() if k not in links} == {
            k: v for k, v in before.items() if k not in links
        }
        again = dict(connect(server.url).get_bucket("first")._properties)
        assert again.pop("selfLink") != bucket_before.pop("selfLink") and again == bucket_before


def test_two_servers_on_one_folder_do_not_lose_a_write(folder: Path) -> None:
    """Each adds to a counter, reading it and writing it back under a precondition."""
    with served(folder) as (_, one), start(folder) as other:
        bucket = connect(other.url).create_bucket("first")
        bucket.blob("counter").upload_from_string("0")

        def add(url: str) -> None:
            mine = connect(url).bucket("first")
            added = 0
            while added < 10:
                blob = mine.get_blob("counter")
                try:
                    value = int(blob.download_as_text())
                    blob.upload_from_string(str(value + 1), if_generation_match=blob.generation)
                except (GoogleAPICallError, NotFound):
                    continue
                added += 1

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(add, [one, other.url] * 2))
        assert bucket.blob("counter").download_as_text() == "40"
