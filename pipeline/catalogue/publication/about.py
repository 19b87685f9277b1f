"""What only those who publish a catalogue can say of it: title, creators, licence, DOI."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from pipeline.config import StrictModel

_ORCID = re.compile(r"(?:https?://orcid\.org/)?(\d{4}-\d{4}-\d{4}-\d{3}[\dX])")
_DOI = re.compile(r"(?:doi:|https?://(?:dx\.)?doi\.org/)?(10\.\d{4,9}/\S+)", re.IGNORECASE)
_IVOID = re.compile(r"ivo://[\w.-]{3,}(?:/[^\s?#]+)*")

LICENCES = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "CC-BY-NC-4.0": "https://creativecommons.org/licenses/by-nc/4.0/",
    "ODbL-1.0": "https://opendatacommons.org/licenses/odbl/1-0/",
    "ODC-By-1.0": "https://opendatacommons.org/licenses/by/1-0/",
    "PDDL-1.0": "https://opendatacommons.org/licenses/pddl/1-0/",
}
"""Licences of data by their SPDX identifiers, and where each is to be read."""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _some_words(text: str) -> str:
    if not text.strip():
        raise ValueError("expected some words, and it is empty")
    return _one_line(text)


def _orcid(text: str) -> str:
    match = _ORCID.fullmatch(text.strip())
    if text and (match is None or _check_digit(match[1]) != match[1][-1]):
        raise ValueError(
            f"expected an ORCID whose check digit is right, such as 0000-0002-1825-0097, not {text!r}"
        )
    return match[1] if match else ""


def _check_digit(orcid: str) -> str:
    """ISO/IEC 7064, MOD 11-2."""
    total = 0
    for digit in orcid.replace("-", "")[:-1]:
        total = (total + int(digit)) * 2
    result = (12 - total % 11) % 11
    return "X" if result == 10 else str(result)


def _doi(text: str) -> str:
    match = _DOI.fullmatch(text.strip())
    if text and match is None:
        raise ValueError(f"expected a DOI, such as 10.5281/zenodo.1234567, not {text!r}")
    return match[1] if match else ""


def _licence(text: str) -> str:
    known = {name.lower(): name for name in LICENCES}
    if text.lower() not in known:
        raise ValueError(f"expected one of {', '.join(LICENCES)}, not {text!r}")
    return known[text.lower()]


def _ivoid(text: str) -> str:
    if text and not _IVOID.fullmatch(text):
        raise ValueError(f"expected an IVOA identifier, such as ivo://your.institute/galaxies, not {text!r}")
    return text


Line = Annotated[str, AfterValidator(_one_line)]
Words = Annotated[str, AfterValidator(_some_words)]


class Creator(StrictModel):
    """One of those whose catalogue it is.

    Attributes
    ----------
    name
        Of a person ``Family, Given``; without a comma it is a group or an institute.
    orcid
        Of a person.
    affiliation
        Where a person works.
    """

    name: Words
    orcid: Annotated[str, AfterValidator(_orcid)] = ""
    affiliation: Line = ""

    @property
    def family_and_given(self) -> tuple[str, str] | None:
        """The names of a person; None of a group."""
        family, comma, given = (part.strip() for part in self.name.partition(","))
        return (family, given) if comma and family and given else None

    @property
    def in_words(self) -> str:
        """As one writes it in a sentence."""
        names = self.family_and_given
        return " ".join(reversed(names)) if names else self.name


class About(StrictModel):
    """What those who publish a catalogue say of it.

    Attributes
    ----------
    title
        Title of the catalogue, in one line.
    creators
        Its authors: a list of ``{name: "Family, Given", orcid: …, affiliation: …}``.
    licence
        Its licence: ``CC-BY-4.0``, ``CC0-1.0``, ``CC-BY-SA-4.0``, ``CC-BY-NC-4.0``, ``ODbL-1.0``,
        ``ODC-By-1.0`` or ``PDDL-1.0``.
    description
        What it contains, in a few sentences.
    doi
        Its DOI, once it is reserved.
    version
        Version of the publication, such as ``1.0`` or ``DR2``; by default that of the catalogue's snapshot.
    publisher
        Where it is published, such as ``Zenodo``; by default the first creator.
    url
        Where the folder will be on the web.
    ivoid
        IVOA identifier of the progressive catalogue, if your institute has a naming authority.
    """

    title: Words
    creators: Annotated[tuple[Creator, ...], Field(min_length=1)]
    licence: Annotated[str, AfterValidator(_licence)]
    description: Line = ""
    doi: Annotated[str, AfterValidator(_doi)] = ""
    version: Line = ""
    publisher: Line = ""
    url: Annotated[str, Field(pattern=r"^(https?://\S+)?$")] = ""
    ivoid: Annotated[str, AfterValidator(_ivoid)] = ""

    @property
    def creators_in_words(self) -> str:
        """All of them, as one writes them in a sentence."""
        return ", ".join(creator.in_words for creator in self.creators)

    @property
    def slug(self) -> str:
        """The title as a word."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-") or "catalogue"

    @property
    def place(self) -> str:
        """Where it is published."""
        return self.publisher or self.creators[0].in_words
