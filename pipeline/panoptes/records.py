"""What a push writes down beside the manifest: its plan, its subject set, and who of the plan has which id.

The ledger is a sequence of numbered files, each written only if there is none of its number. The first entry
that names a subject counts, so of two who send at the same time each can tell which subjects are the ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import ValidationError

from pipeline import storage
from pipeline.config import StrictModel
from pipeline.errors import InputError

Record = TypeVar("Record", bound=StrictModel)


class Plan(StrictModel):
    """What is to be sent where; written once.

    Attributes
    ----------
    push
        Digest of manifest, project and subject set: of the same folder to the same place it's the same.
    project
        Id of the project.
    given_set
        Id of the subject set that the user named; None if the push makes its own.
    manifest
        sha256 of the manifest.
    newest
        Id of the project's newest subject before anything was sent: what this push makes has higher ids.
    subjects
        Identity of each line's subject, see `identity`.
    pictures
        sha256 of each line's picture.
    """

    push: str
    project: int
    given_set: int | None
    manifest: str
    newest: int
    subjects: tuple[str, ...]
    pictures: tuple[str, ...]


class SubjectSet(StrictModel):
    """Which subject set it is."""

    id: int


class Entry(StrictModel):
    """One file of the ledger: the ids of subjects that are made and have their pictures, by identity."""

    subjects: dict[str, int]


def state_uri(folder: str) -> str:
    """Where a push of a folder of subjects keeps its records."""
    return storage.join(folder, "zooniverse")


def read_record(uri: str, kind: type[Record]) -> Record | None:
    """A record, or None if it isn't there.

    Raises
    ------
    InputError
        If it's damaged.
    """
    if not storage.exists(uri):
        return None
    try:
        return kind.model_validate_json(storage.read_bytes(uri))
    except ValidationError as error:
        raise InputError(
            f"{uri} is damaged: {error.errors()[0]['msg']}; put the folder `zooniverse` away and push again: "
            "what was sent is found at the Zooniverse"
        ) from error


def write_once(uri: str, record: Record) -> Record:
    """Write a record if there is none; the one that's there from then on."""
    if storage.create(uri, record.model_dump_json().encode()):
        return record
    there = read_record(uri, type(record))
    assert there is not None
    return there


class Ledger:
    """Who of the plan has which id.

    Attributes
    ----------
    subjects
        Ids by identity.
    """

    def __init__(self, state: str) -> None:
        self._folder = storage.join(state, "ledger")
        self.subjects: dict[str, int] = {}
        self._next = 0
        self._read_on()

    def add(self, made: Mapping[str, int]) -> dict[str, int]:
        """Enter subjects.

        Returns
        -------
        dict
            Those that count; the others were entered with another id before.
        """
        while new := {key: number for key, number in made.items() if key not in self.subjects}:
            if storage.create(self._uri(), Entry(subjects=new).model_dump_json().encode()):
                self._next += 1
                self.subjects |= new
                break
            self._read_on()
        return {key: number for key, number in made.items() if self.subjects[key] == number}

    def _read_on(self) -> None:
        numbers = {storage.name(file.uri) for file in storage.list_files(self._folder, ".json")}
        while storage.name(self._uri()) in numbers:
            entry = read_record(self._uri(), Entry)
            assert entry is not None
            self.subjects = entry.subjects | self.subjects
            self._next += 1

    def _uri(self) -> str:
        return storage.join(self._folder, f"{self._next:06d}.json")
