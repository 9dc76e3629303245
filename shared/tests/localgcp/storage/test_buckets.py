"""Buckets through the real client."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.api_core.exceptions import BadRequest, Conflict, MethodNotImplemented, NotFound, PreconditionFailed
from google.cloud import storage


def test_made_listed_and_deleted(client: storage.Client, folder: Path) -> None:
    made = client.create_bucket("one", location="europe-west1")
    client.create_bucket("two")
    assert (made.location, made.location_type, made.storage_class) == ("EUROPE-WEST1", "region", "STANDARD")
    assert client.get_bucket("two").location_type == "multi-region"
    assert [bucket.name for bucket in client.list_buckets()] == ["one", "two"]
    assert [bucket.name for bucket in client.list_buckets(prefix="t")] == ["two"]
    assert [bucket.name for bucket in client.list_buckets(page_size=1)] == ["one", "two"]
    assert client.lookup_bucket("three") is None and client.bucket("one").exists()
    made.delete()
    assert not (folder / "one").exists()
    with pytest.raises(NotFound, match="bucket does not exist"):
        client.get_bucket("one")


def test_a_second_of_the_same_name(client: storage.Client) -> None:
    client.create_bucket("one")
    with pytest.raises(Conflict, match="you already own it"):
        client.create_bucket("one")


def test_one_that_is_not_empty(client: storage.Client, bucket: storage.Bucket, folder: Path) -> None:
    bucket.blob("a/b").upload_from_string("x")
    with pytest.raises(Conflict, match="not empty"):
        bucket.delete()
    bucket.blob("a/b").delete()
    bucket.blob("a/").upload_from_string("")
    with pytest.raises(Conflict, match="not empty"):
        bucket.delete()
    bucket.delete(force=True)
    (folder / "first" / "empty" / "folders").mkdir(parents=True)
    client.bucket("first").delete()
    assert not (folder / "first").exists()


def test_labels(client: storage.Client, bucket: storage.Bucket) -> None:
    bucket.labels = {"team": "a", "cost": "b"}
    bucket.patch()
    bucket.labels = {"team": "c"}  # the client sends None for what is gone
    bucket.patch()
    found = client.get_bucket("first")
    assert (found.labels, found.metageneration) == ({"team": "c"}, 3)
    found.update()
    assert client.get_bucket("first").labels == {"team": "c"}


def test_conditions(bucket: storage.Bucket) -> None:
    bucket.labels = {"a": "b"}
    with pytest.raises(PreconditionFailed):
        bucket.patch(if_metageneration_match=5)
    with pytest.raises(PreconditionFailed):
        bucket.delete(if_metageneration_match=5)


def test_a_folder_that_something_else_has_made(client: storage.Client, folder: Path) -> None:
    (folder / "from-outside").mkdir(parents=True)
    (folder / "Not A Bucket").mkdir()
    assert [bucket.name for bucket in client.list_buckets()] == ["from-outside"]
    found = client.get_bucket("from-outside")
    assert found.time_created == client.get_bucket("from-outside").time_created


def test_projects_see_their_own(server: object, client: storage.Client) -> None:
    client.create_bucket("mine")
    client.create_bucket("theirs", project="another-project")
    assert [bucket.name for bucket in client.list_buckets()] == ["mine"]
    assert [bucket.name for bucket in client.list_buckets(project="another-project")] == ["theirs"]
    assert client.get_service_account_email() == "service-local@local-project.iam.gserviceaccount.com"


@pytest.mark.parametrize("name", ["Upper", "ab", "-a-", "a..b", ".meta", "a" * 64, "a b c"])
def test_a_name_that_cannot_be(client: storage.Client, name: str) -> None:
    bucket = client.bucket("good")
    bucket.name = name
    with pytest.raises((BadRequest, ValueError)):
        client.create_bucket(bucket)
    with pytest.raises(BadRequest, match="Invalid bucket name"):
        bucket.reload()


def test_uniform_access_can_be_switched_on_and_not_off(bucket: storage.Bucket) -> None:
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.iam_configuration.public_access_prevention = "enforced"
    bucket.patch()
    bucket.reload()
    assert bucket.iam_configuration.public_access_prevention == "enforced"
    bucket.iam_configuration.uniform_bucket_level_access_enabled = False
    with pytest.raises(MethodNotImplemented, match="a bucket with ACLs"):
        bucket.patch()


def test_what_cannot_change(bucket: storage.Bucket) -> None:
    bucket._patch_property("location", "EU")
    with pytest.raises(BadRequest, match="location cannot be changed"):
        bucket.patch()
    bucket.reload()
    bucket.storage_class = "WARM"
    with pytest.raises(BadRequest, match="Invalid storage class"):
        bucket.patch()
