"""What publishers say: checked before any work, and understood in the forms that people write it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from jobs.publish import PublishConfig
from pipeline.catalogue.publication import About, Creator
from pipeline.config import load_config
from pipeline.errors import InputError

SAID = {"title": "T", "creators": [{"name": "Müller, Ana"}], "licence": "cc-by-4.0"}


def about(**said: object) -> About:
    return About.model_validate(SAID | said)


def test_forms_that_people_write() -> None:
    found = about(doi="https://doi.org/10.5281/zenodo.1", title="Two\n lines")
    assert (found.licence, found.doi, found.title) == ("CC-BY-4.0", "10.5281/zenodo.1", "Two lines")
    creator = Creator(name="Müller, Ana", orcid="https://orcid.org/0000-0002-1694-233X")
    assert (creator.orcid, creator.in_words) == ("0000-0002-1694-233X", "Ana Müller")
    assert Creator(name="The Group").family_and_given is None
    assert found.place == "Ana Müller"
    assert about(title="Ω").slug == "catalogue"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"licence": "mine"}, "expected one of CC0-1.0, CC-BY-4.0"),
        ({"doi": "zenodo.1"}, "expected a DOI, such as"),
        ({"creators": []}, "at least 1 item"),
        (
            {"creators": [{"name": "A", "orcid": "0000-0002-1825-0098"}]},
            "an ORCID whose check digit is right",
        ),
        ({"ivoid": "galaxies"}, "expected an IVOA identifier"),
        ({"url": "example.org"}, "should match pattern"),
        ({"title": "  "}, "expected a text"),
    ],
)
def test_what_cant_be(said: dict[str, object], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        about(**said)


def test_what_must_be_said_is_asked_for() -> None:
    with pytest.raises(InputError, match="title"):
        load_config(PublishConfig, None, ["licence=CC0-1.0"], {"catalogue": "c", "out": "o"})
    words = ["title=T", "licence=CC0-1.0", 'creators=[{name: "Müller, Ana"}]', "tables=[]"]
    config = load_config(PublishConfig, None, words, {"catalogue": "c", "out": "o"})
    assert (config.creators[0].in_words, config.tables) == ("Ana Müller", ())
