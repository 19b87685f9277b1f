"""Conditions on columns: what they mean to Arrow, and that nothing else is understood."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pipeline.catalogue.where import parse_where
from pipeline.errors import InputError

ROWS = pa.record_batch(
    {
        "object_id": ["a", "b", "c", "d"],
        "bar_yes": pa.array([0.1, 0.4, 0.8, None], pa.float32()),
        "answer": ["yes", "no", None, "yes"],
        "class": ["Spiral", "Round", "a class", None],
        "ra": [-1.0, 0.0, 1.0, 2.0],
    }
)
TAGS = {"ring": ["a", "c"], "merger": ["c", "gone"]}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("bar_yes > 0.3", "bc"),
        ("0.3 < bar_yes", "bc"),
        ("0.3 < bar_yes <= 0.5", "b"),
        ("not bar_yes > 0.3", "a"),
        ("bar_yes > 0.3 and answer == 'no' or ra == -1", "ab"),
        ("bar_yes > 0.3 and (answer == 'no' or ra >= 1)", "bc"),
        ("answer in ('yes', 'maybe')", "ad"),
        ('answer not in ["yes"]', "bc"),
        ("ra != 0 and ra < 2", "ac"),
        ("tag == 'ring'", "ac"),
        ("tag != 'ring'", "bd"),
        ("tag in ('ring', 'merger') and ra < 1", "a"),
        ("\n bar_yes > 0.3\n", "bc"),
        ("class == 'Spiral' or 'a class' == class", "ac"),
        ("class in ('Spiral', 'Round') and not(class != 'Round')", "b"),
    ],
)
def test_what_it_means(text: str, wanted: str) -> None:
    condition = parse_where(text, ROWS.schema, TAGS)
    assert "".join(ROWS.filter(condition.holds(ROWS))["object_id"].to_pylist()) == wanted
    assert set(condition.columns) <= set(ROWS.schema.names)
    assert not len(condition.holds(ROWS[:0]))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("bar > 0.5", "there is no column 'bar' (but 'bar_yes')"),
        ("beauty > 0.5", "there is no column 'beauty';"),
        ("class > 3", "'class' is a text, and 3 a number"),
        ("class > (3", ""),
        ("tag == 'spiral'", "there is no tag 'spiral'; there are merger, ring"),
        ("tag > 'ring'", "tags can be compared by"),
        ("bar_yes > bar_yes", "compares no column with a value"),
        ("1 > 2", "compares no column with a value"),
        ("bar_yes", "compares nothing"),
        ("__import__('os').system('true')", "compares nothing"),
        ("bar_yes > open('x')", "is neither a number nor a text"),
        ("bar_yes > -'x'", "is neither a number nor a text"),
        ("bar_yes > 'much'", "'bar_yes' is a number, and 'much' a text"),
        ("answer == 3", "'answer' is a text, and 3 a number"),
        ("answer in 'yes'", "is no list of values"),
        ("bar_yes is 1", "compares no column with a value"),
        ("bar_yes >", "invalid syntax"),
        ("", "invalid syntax"),
        ("(" * 500 + "ra > 1" + ")" * 500, "where="),
        ("ra > 1 and " * 300 + "ra > 1", "it is too long"),
        ("ra > 1\0", "where="),
    ],
)
def test_what_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_where(text, ROWS.schema, TAGS)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "expected such as where=" in str(refused.value)
