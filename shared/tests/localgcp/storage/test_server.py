"""The server: who is answered, what is refused, and how quickly."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from google.api_core.exceptions import MethodNotImplemented
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.storage import transfer_manager
from google.cloud.storage.exceptions import InvalidResponse
from localgcp.storage import Server, start


def _lifecycle(bucket: storage.Bucket) -> None:
    bucket.add_lifecycle_delete_rule(age=3)
    bucket.patch()


def _versioning(bucket: storage.Bucket) -> None:
    bucket.versioning_enabled = True
    bucket.patch()


def _retention(bucket: storage.Bucket) -> None:
    bucket.retention_period = 100
    bucket.patch()


def _hold(bucket: storage.Bucket) -> None:
    blob = bucket.blob("a")
    blob.temporary_hold = True
    blob.patch()


def _key(bucket: storage.Bucket) -> None:
    bucket.blob("b", encryption_key=b"0" * 32).upload_from_string("x")


def _parts(bucket: storage.Bucket) -> None:
    transfer_manager.upload_chunks_concurrently(
        __file__, bucket.blob("b"), chunk_size=256, worker_type=transfer_manager.THREAD
    )


REFUSED: dict[str, Callable[[storage.Bucket], object]] = {
    "IAM": lambda bucket: bucket.get_iam_policy(),
    "permissions": lambda bucket: bucket.test_iam_permissions(["storage.objects.get"]),
    "ACLs of a bucket": lambda bucket: bucket.acl.reload(),
    "ACLs of an object": lambda bucket: bucket.blob("a").acl.reload(),
    "a predefined ACL": lambda bucket: bucket.blob("b").upload_from_string("x", predefined_acl="publicRead"),
    "a resumable one": lambda bucket: bucket.blob("b").create_resumable_upload_session(predefined_acl="publicRead"),
    "public": lambda bucket: bucket.blob("a").make_public(),
    "notifications": lambda bucket: list(bucket.list_notifications()),
    "HMAC": lambda bucket: bucket.client.create_hmac_key("x@example.com"),
    "lifecycle": _lifecycle,
    "versioning": _versioning,
    "retention": _retention,
    "a hold": _hold,
    "soft delete": lambda bucket: list(bucket.list_blobs(soft_deleted=True)),
    "restore": lambda bucket: bucket.restore_blob("a", generation=1),
    "managed folders": lambda bucket: list(bucket.list_blobs(include_folders_as_prefixes=True)),
    "a key": _key,
    "Cloud KMS": lambda bucket: bucket.blob("b", kms_key_name="k").upload_from_string("x"),
    "the XML API's parts": _parts,
}


@pytest.mark.parametrize("what", list(REFUSED))
def test_what_is_not_emulated_is_refused_at_once(bucket: storage.Bucket, what: str) -> None:
    bucket.blob("a").upload_from_string("x")
    began = time.perf_counter()
    with pytest.raises((MethodNotImplemented, InvalidResponse)) as caught:
        REFUSED[what](bucket)
    assert "UNIMPLEMENTED" in caught.value.response.text and "not emulated locally" in caught.value.response.text
    assert time.perf_counter() - began < 1
    assert [blob.name for blob in bucket.list_blobs()] == ["a"]


def test_a_signed_url(bucket: storage.Bucket, server: Server) -> None:
    for path in ("/first/a", "/first/a?X-Goog-Signature=00", "/storage/v1/b/first/o/a?X-Goog-Signature=00"):
        answer = requests.get(server.url + path, timeout=5)
        assert answer.status_code == 501 and "UNIMPLEMENTED" in answer.json()["error"]["message"]
    with pytest.raises(AttributeError, match="credentials"):
        bucket.blob("a").generate_signed_url(expiration=timedelta(hours=1))


def test_switched_off_is_not_refused(client: storage.Client, bucket: storage.Bucket) -> None:
    bucket.versioning_enabled = False
    bucket.lifecycle_rules = []
    bucket.patch()
    assert client.get_bucket("first").versioning_enabled is False


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://page.example"}, {"Host": "page.example"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_a_web_page_is_refused(bucket: storage.Bucket, server: Server, headers: dict[str, str]) -> None:
    bucket.blob("a").upload_from_string("secret")
    read = requests.get(f"{server.url}/storage/v1/b/first/o/a?alt=media", headers=headers, timeout=5)
    assert read.status_code == 403 and "secret" not in read.text
    write = f"{server.url}/upload/storage/v1/b/first/o?uploadType=media&name=b"
    assert requests.post(write, b"x", headers=headers, timeout=5).status_code == 403
    assert not bucket.blob("b").exists()


def test_a_body_that_is_no_json(bucket: storage.Bucket, server: Server) -> None:
    for body in (b"{", b"[]", b"\xff"):
        answer = requests.post(f"{server.url}/storage/v1/b", body, timeout=5)
        assert answer.status_code == 400 and "Parse Error" in answer.json()["error"]["message"]
    upload = f"{server.url}/upload/storage/v1/b/first/o?uploadType=multipart"
    headers = {"Content-Type": "multipart/related; boundary=b"}
    for body in (b"", b"--b\r\n\r\n{}\r\n--b--", b"no boundary at all"):
        answer = requests.post(upload, body, headers=headers, timeout=5)
        assert answer.status_code == 400 and "two parts" in answer.text


def test_the_emulator_variable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with start(folder) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        client = storage.Client(credentials=AnonymousCredentials())
        client.create_bucket("first").blob("a").upload_from_string("x")
        assert [bucket.name for bucket in client.list_buckets()] == ["first"]
        assert client.bucket("first").blob("a").download_as_bytes() == b"x"


def test_starts_within_a_second_and_stops_twice(folder: Path) -> None:
    began = time.perf_counter()
    server = start(folder)
    assert requests.get(f"{server.url}/storage/v1/b", timeout=5).json() == {"kind": "storage#buckets", "items": []}
    assert time.perf_counter() - began < 1
    server.stop()
    server.stop()


def test_a_stopped_server_answers_nobody_not_even_on_a_kept_connection(folder: Path) -> None:
    server = start(folder)
    with requests.Session() as session:
        assert session.get(f"{server.url}/storage/v1/b", timeout=5).status_code == 200
        server.stop()
        with pytest.raises(requests.ConnectionError):
            session.get(f"{server.url}/storage/v1/b", timeout=5)


def test_no_status_that_the_client_retries_is_ever_sent() -> None:
    from google.cloud.storage.retry import _RETRYABLE_STATUS_CODES
    from localgcp.storage import errors

    made = [
        errors.invalid(""),
        errors.forbidden(""),
        errors.unimplemented(""),
        errors.conflict(""),
        errors.condition_failed(),
        *(errors.from_os(OSError(number, "x")) for number in range(1, 132)),
    ]
    assert {error.status for error in made}.isdisjoint(_RETRYABLE_STATUS_CODES)
