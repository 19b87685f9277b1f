"""The subjects that `triage` wrote: a manifest and pictures, each with an identity of its own."""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline import storage
from pipeline.digest import digest
from pipeline.errors import InputError

PICTURE = "image"
GALAXY = "#object_id"
MOST_BYTES = 1_000_000
"""Of a picture: the Zooniverse's own limit."""

_JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True)
class Row:
    """A line of the manifest.

    Attributes
    ----------
    image
        Where its picture is, below the manifest's folder.
    metadata
        What the Zooniverse is to keep of it, as text.
    """

    image: str
    metadata: dict[str, str]

    @property
    def galaxy(self) -> str:
        """The galaxy's `object_id`."""
        return storage.unguarded(self.metadata[GALAXY])


@dataclass(frozen=True)
class Manifest:
    """All lines of a manifest.

    Attributes
    ----------
    folder
        URI of the folder that holds it.
    sha256
        Of its bytes.
    """

    folder: str
    sha256: str
    rows: tuple[Row, ...]


def read_manifest(folder: str) -> Manifest:
    """Read ``manifest.csv``.

    Raises
    ------
    InputError
        If it isn't there, has not the columns of one of `triage`, no line, or one that can't be used.
    """
    uri = storage.join(folder, "manifest.csv")
    if not storage.exists(uri):
        raise InputError(f"{folder} has no manifest.csv; expected the folder `subjects` that `triage` wrote")
    data = storage.read_bytes(uri)
    try:
        lines = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{uri} can't be read as CSV: {error}; run `triage` again") from error
    header = lines[0] if lines else []
    if not {PICTURE, GALAXY} <= set(header) or len(set(header)) < len(header):
        raise InputError(
            f"{uri} has columns {', '.join(header)}; expected {PICTURE}, {GALAXY} among them, each once"
        )
    if len(lines) < 2:
        raise InputError(f"{uri} names no subject; nothing is to be sent")
    rows = tuple(_row(uri, number, header, cells) for number, cells in enumerate(lines[1:], 2))
    return Manifest(folder, hashlib.sha256(data).hexdigest(), rows)


def read_picture(folder: str, row: Row) -> bytes:
    """The picture of a subject.

    Raises
    ------
    InputError
        If it isn't there, no JPEG, or larger than the Zooniverse takes.
    """
    uri = storage.join(folder, row.image)
    data = storage.read_bytes(uri)
    if not data.startswith(_JPEG):
        raise InputError(f"{uri} is no JPEG, though the manifest names it as the picture of {row.galaxy!r}")
    if len(data) > MOST_BYTES:
        raise InputError(f"{uri} has {len(data):,} bytes; the Zooniverse takes {MOST_BYTES:,}")
    return data


def identity(push: str, row: Row, sha256: str) -> str:
    """What tells a subject from all others: a digest of its push, its metadata and its picture."""
    return digest(push, row.image, row.metadata, sha256)[:32]


def _row(uri: str, number: int, header: list[str], cells: list[str]) -> Row:
    if len(cells) != len(header):
        raise InputError(f"{uri}, row {number} has {len(cells)} cells; expected {len(header)}")
    metadata = dict(zip(header, cells, strict=True))
    image = metadata.pop(PICTURE)
    path = PurePosixPath(image)
    if not image or path.is_absolute() or ".." in path.parts or "://" in image:
        raise InputError(
            f"{uri}, row {number} names picture {image!r}; expected one below the manifest's folder"
        )
    return Row(image, metadata)
