from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from pipeline.catalogue import catalogue_schema
from pipeline.digest import digest
from pipeline.errors import InputError
from pipeline.protocol.fingerprint import SCHEMA_VERSION
from pipeline.protocol.records import QUARANTINE_SCHEMA
from pipeline.tree import DecisionTree


def test_columns_in_order(tree: DecisionTree) -> None:
    names = catalogue_schema(tree).names
    assert names[:3] == ["object_id", "ra", "dec"]
    assert names[3:40] == list(tree.columns)
    assert names[40:42] == ["class", "class_confidence"]
    assert names[42:44] == ["smooth_or_featured_answer", "smooth_or_featured_agreement"]
    assert names[-5:] == ["run", "weights", "input", "content", "stale"]
    assert len(names) == 3 + 37 + 2 + 2 * 11 + 5


def test_other_columns_are_another_version(tree: DecisionTree) -> None:
    def digest_of(catalogue: pa.Schema) -> str:
        fields = [*catalogue, *QUARANTINE_SCHEMA]
        return digest([(field.name, str(field.type), field.nullable) for field in fields])[:12]

    versions = {1: "64dc08694913", 2: "117a4f42b714"}
    expected = versions[SCHEMA_VERSION]
    assert digest_of(catalogue_schema(tree)) == expected, "columns changed: raise SCHEMA_VERSION"
    assert digest_of(catalogue_schema(tree, classes=False)) == versions[1]


def test_a_key_that_collides_is_named(tree: DecisionTree) -> None:
    first, *others = tree.questions
    answers = (replace(first.answers[0], key="agreement"), *first.answers[1:])
    bad = replace(tree, questions=(replace(first, answers=answers), *others), classes=())
    with pytest.raises(InputError, match="'smooth_or_featured_agreement'"):
        catalogue_schema(bad)
