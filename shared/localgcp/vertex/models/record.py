"""A model with all its versions as one record, so that an alias moves in one step, also for a server that is killed."""

from __future__ import annotations

from collections.abc import Iterable

from google.cloud.aiplatform_v1.types import ListModelVersionsResponse

from localgcp.vertex.errors import not_found
from localgcp.vertex.messages import Message, copied, new_id, now, raw

DEFAULT = "default"
# What all versions of a model share; the rest is a version's own.
_SHARED = ("display_name", "description", "encryption_spec", "create_time", "update_time")


class Record:
    """What the store keeps of a model: a list whose first is the head, with what the versions share; they follow.

    The head's version_id is the last number that was given: the number of a version that was deleted is not given
    again. Labels are of both: the head has those of the model, a version its own.
    """

    def __init__(self, kept: Message) -> None:
        self.kept = kept

    @classmethod
    def new(cls, name: str, first: Message) -> Record:
        """The record of a model without a version; `first` says what its versions will share."""
        record = cls(ListModelVersionsResponse(models=[{"name": name, "version_id": "0"}]))
        _copy_fields(first, record.head, _SHARED)
        record.head.create_time = record.head.update_time = now()
        return record

    @property
    def head(self) -> Message:
        return self.kept.models[0]

    @property
    def name(self) -> str:
        return str(self.head.name)

    @property
    def versions(self) -> list[Message]:
        """As they are kept, without what they share, oldest first."""
        return list(self.kept.models)[1:]

    def find(self, version: str) -> Message:
        """A version as it is kept, by its id or an alias; the default one for "". Raises VertexError."""
        wanted = version or DEFAULT
        for kept in self.versions:
            if wanted == kept.version_id or wanted in kept.version_aliases:
                return kept
        raise not_found(f"{self.name}@{version}")

    def whole(self, version: Message) -> Message:
        """A version as the service answers it: with what is shared, and the labels of both."""
        answer = copied(version)
        _copy_fields(self.head, answer, ("name", *_SHARED))
        answer.labels = {**self.head.labels, **version.labels}
        return answer

    def append(self, version: Message, aliases: Iterable[str]) -> Message:
        """Adds a version with the next number and gives it as it is kept; the first one is the default."""
        self.head.version_id = str(int(self.head.version_id) + 1)
        version = copied(version)
        for field in ("name", "version_aliases", *_SHARED):
            raw(version).ClearField(field)
        version.version_id, version.version_create_time = self.head.version_id, now()
        is_first = not self.versions
        self.kept.models.append(version)
        self.move_aliases(version.version_id, [DEFAULT, *aliases] if is_first else aliases)
        added = self.find(version.version_id)
        self.stamp(added)
        return added

    def remove(self, version: Message) -> None:
        """Removes a version; where it was the default, the newest that is left becomes it."""
        was_default, number = DEFAULT in version.version_aliases, version.version_id
        position = next(i for i, kept in enumerate(self.kept.models) if i and kept.version_id == number)
        del raw(self.kept).models[position]
        self.head.update_time = now()
        if was_default:
            self.move_aliases(self.versions[-1].version_id, [DEFAULT])

    def move_aliases(self, version: str, aliases: Iterable[str], removed: Iterable[str] = ()) -> None:
        """Gives the version of that id aliases, from whichever has them now, and takes some from it."""
        gained, lost = list(dict.fromkeys(aliases)), set(removed)
        for kept in self.versions:
            before = list(kept.version_aliases)
            if kept.version_id == version:
                after = [alias for alias in dict.fromkeys([*before, *gained]) if alias not in lost]
            else:
                after = [alias for alias in before if alias not in gained]
            if after != before:
                kept.version_aliases = after
                self.stamp(kept)

    def stamp(self, *versions: Message) -> None:
        """Marks versions, and with them the model, as changed."""
        moment = self.head.update_time = now()
        for version in versions:
            version.version_update_time, version.etag = moment, new_id()


def _copy_fields(source: Message, target: Message, fields: Iterable[str]) -> None:
    plain, holder = raw(source), raw(target)
    for field in fields:
        holder.ClearField(field)
        if plain.DESCRIPTOR.fields_by_name[field].message_type is None:
            setattr(holder, field, getattr(plain, field))
        elif plain.HasField(field):
            getattr(holder, field).CopyFrom(getattr(plain, field))
