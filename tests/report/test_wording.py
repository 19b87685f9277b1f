from __future__ import annotations

import pytest

from pipeline.report import wording
from pipeline.tree import MorphologyClass
from tests.support.catalogues import TREE


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0, "0%"),
        (0.0004, "<0.1%"),
        (0.034, "3.4%"),
        (0.41, "41%"),
        (0.995, "99.5%"),
        (0.9999, ">99.9%"),
        (1, "100%"),
    ],
)
def test_percent(share: float, words: str) -> None:
    assert wording.percent(share) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(8.44, "8.4 s"), (200, "3 min 20 s"), (3599.7, "1 h 0 min"), (7500, "2 h 5 min")]
)
def test_duration(seconds: float, words: str) -> None:
    assert wording.duration(seconds) == words


@pytest.mark.parametrize(
    ("per_second", "words"),
    [(None, "–"), (2350.0, "2,350 / s"), (4.32, "4.3 / s"), (0.5, "30.0 / min"), (0.0, "0.0 / h")],
)
def test_rate(per_second: float | None, words: str) -> None:
    assert wording.rate(per_second) == words


def test_codes_of_classes_are_unique() -> None:
    codes = wording.class_codes(TREE.classes)
    assert dict(zip([c.name for c in TREE.classes], codes, strict=True))["Barred spiral"] == "BS"
    twins = [
        MorphologyClass(name, "#000000", frozenset()) for name in ("Big spiral", "Blue spiral", "Bright star")
    ]
    assert wording.class_codes(twins) == ("BS", "BS2", "BS3")


def test_ink_can_be_read_on_every_class_colour() -> None:
    assert wording.ink_on("#f0e442") == "#000000"
    assert wording.ink_on("#0072b2") == "#ffffff"
