"""Editions of a published catalogue: folders that never change, of which one is the current one.

An edition's folder bears the digest of all that decides its files, and a file there is whole: one that a
killed call has left behind is good. ``current.json`` says which edition counts, and is written last, in one
step. Whoever reads an edition thus never sees another's files, on a disk and in an object store alike.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from typing import IO, TypeVar

from pydantic import ValidationError

from pipeline import storage
from pipeline.config import StrictModel
from pipeline.errors import InputError

Record = TypeVar("Record", bound=StrictModel)

VERSION = 1
"""Raise it when files of before can't be taken into a new edition any more."""

MANIFEST = "manifest.json"
CURRENT = "current"
"""Name of the link to the current edition, where a store has links."""

_OWN = ("current.json", "lease.json")


class PublishedFile(StrictModel):
    """A file of an edition.

    Attributes
    ----------
    key
        Digest of what it was made from; empty for a file that each edition has anew.
    """

    size: int
    sha256: str
    key: str = ""


class Manifest(StrictModel):
    """The files of an edition, by their paths in it.

    Attributes
    ----------
    catalogue_version
        Version of the catalogue that they show.
    galaxies
        How many it has.
    written
        When the edition was made, in UTC.
    """

    version: int = VERSION
    edition: str
    catalogue_version: int | None
    galaxies: int
    written: str
    files: dict[str, PublishedFile]


class Current(StrictModel):
    """Which edition counts.

    Attributes
    ----------
    edition, folder
        Its name, and its folder from here.
    manifest_sha256
        Of its manifest.
    previous
        The one before, which stays for those who are reading it.
    """

    version: int = VERSION
    edition: str
    folder: str
    manifest_sha256: str
    previous: str | None = None


def folder_of(edition: str) -> str:
    """Where an edition lies, from the publication's folder."""
    return f"editions/{edition}"


def check_folder(out: str) -> None:
    """Make sure that a folder is free, or holds a publication.

    Raises
    ------
    InputError
        If it holds something else.
    """
    if not storage.exists(out) or storage.exists(storage.join(out, "current.json")):
        return
    root = f"{out.rstrip('/')}/"
    for file in storage.list_files(out):
        name = file.uri.removeprefix("file://").rpartition(root.removeprefix("file://"))[2]
        if not name.startswith(("editions/", ".")) and name not in _OWN:
            raise InputError(
                f"{out} holds other files, such as {name}; name a new folder, or one published before"
            )


def read_current(out: str) -> Current | None:
    """Which edition counts; None where there is none yet.

    Raises
    ------
    InputError
        If that can't be read, or is of another version.
    """
    uri = storage.join(out, "current.json")
    if not storage.exists(uri):
        return None
    current = _read(Current, uri)
    if current.version != VERSION:
        raise InputError(f"{uri} is of version {current.version}; expected {VERSION}: name a new folder")
    return current


def read_manifest(out: str, edition: str) -> Manifest | None:
    """The files of an edition; None where it isn't whole."""
    uri = storage.join(out, folder_of(edition), MANIFEST)
    return _read(Manifest, uri) if storage.exists(uri) else None


def make_current(out: str, edition: str) -> None:
    """Have an edition count from now on, and remove those that are neither it nor the one before."""
    before = read_current(out)
    manifest = storage.read_bytes(storage.join(out, folder_of(edition), MANIFEST))
    previous = None
    if before is not None:
        previous = before.previous if before.edition == edition else before.edition
    current = Current(
        edition=edition,
        folder=folder_of(edition),
        manifest_sha256=hashlib.sha256(manifest).hexdigest(),
        previous=previous,
    )
    if current != before:
        uri = storage.join(out, "current.json")
        storage.write_bytes(uri, f"{current.model_dump_json(indent=1)}\n".encode())
    storage.symlink(storage.join(out, CURRENT), folder_of(edition))
    for name in _editions(out) - {edition, previous}:
        storage.remove_folder(storage.join(out, folder_of(name)))


def _read(model: type[Record], uri: str) -> Record:
    try:
        return model.model_validate_json(storage.read_bytes(uri))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{uri} is damaged ({where}: {first['msg']}); put it back, or remove it to publish from the start"
        ) from error


def _editions(out: str) -> set[str]:
    names = (
        file.uri.rpartition("/editions/")[2] for file in storage.list_files(storage.join(out, "editions"))
    )
    return {name.partition("/")[0] for name in names}


class Edition:
    """An edition in the making: its files so far, of which what hasn't changed comes from the one before.

    Attributes
    ----------
    files
        What it has.
    written
        How many of them, and how many bytes, this call wrote.
    """

    def __init__(self, out: str, name: str, before: Manifest | None) -> None:
        self.name = name
        self.uri = storage.join(out, folder_of(name))
        self.files: dict[str, PublishedFile] = {}
        self.written, self.written_bytes = 0, 0
        self._before = before
        self._out = out
        self._there = _sizes(out, name)
        self._sizes_before = _sizes(out, before.edition) if before else {}

    def place(self, name: str) -> str:
        """URI of a file of it."""
        return storage.join(self.uri, name)

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """A file of it, to be read."""
        uri = self.place(name)
        fs, path = storage.filesystem(uri)
        with storage.explained("read", uri), fs.open(path, "rb") as stream:
            yield stream

    def take(self, name: str, key: str) -> bool:
        """Whether a file needn't be made: it is there, or the edition before has it, made from the same."""
        if name in self._there:
            self.files[name] = self._described(name, key)
            return True
        if self._before is None:
            return False
        old = self._before.files.get(name)
        if old is None or not key or old.key != key or self._sizes_before.get(name) != old.size:
            return False
        storage.copy(storage.join(self._out, folder_of(self._before.edition), name), self.place(name))
        self.files[name] = old
        return True

    def put(self, name: str, data: bytes, key: str = "") -> None:
        """Write a small file."""
        storage.write_bytes(self.place(name), data)
        digest = hashlib.sha256(data).hexdigest()
        self._note(name, PublishedFile(size=len(data), sha256=digest, key=key))

    @contextlib.contextmanager
    def make(self, name: str, key: str = "") -> Iterator[IO[bytes]]:
        """A stream that becomes a file when the block ends well."""
        with storage.open_new(self.place(name)) as stream:
            yield stream
        self.add(name, key)

    def add(self, name: str, key: str = "") -> None:
        """Take note of a file that was just written in its place."""
        self._note(name, self._described(name, key))

    def seal(self, catalogue_version: int | None, galaxies: int, written: str) -> None:
        """Remove what killed writes have left, and write the manifest, by which the edition is whole."""
        for name in self._there.keys() - self.files.keys():
            storage.remove(self.place(name))
        manifest = Manifest(
            edition=self.name,
            catalogue_version=catalogue_version,
            galaxies=galaxies,
            written=written,
            files=dict(sorted(self.files.items())),
        )
        storage.write_bytes(self.place(MANIFEST), f"{manifest.model_dump_json(indent=1)}\n".encode())

    def _described(self, name: str, key: str) -> PublishedFile:
        size, digest = 0, hashlib.sha256()
        with self.open(name) as stream:
            while data := stream.read(1 << 22):
                digest.update(data)
                size += len(data)
        return PublishedFile(size=size, sha256=digest.hexdigest(), key=key)

    def _note(self, name: str, file: PublishedFile) -> None:
        self.files[name] = file
        self.written += 1
        self.written_bytes += file.size


def _sizes(out: str, edition: str) -> dict[str, int]:
    """The files that lie in an edition's folder, and how large they are."""
    files = storage.list_files(storage.join(out, folder_of(edition)))
    return {file.uri.rpartition(f"/{folder_of(edition)}/")[2]: file.size for file in files}
