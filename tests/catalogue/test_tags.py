"""Tables of tags: what they say, and what is wrong with others."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.catalogue.tags import read_tags
from pipeline.errors import InputError


def test_tags_and_their_galaxies(tmp_path: Path) -> None:
    file = tmp_path / "tags.csv"
    file.write_text('who,object_id,tag\nme,7,ring\nme,007,ring\nyou,7,ring\n,7,"\'=odd"\n')
    assert read_tags(str(file)) == {"ring": ["7", "007"], "=odd": ["7"]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("object_id\n7\n", "has no column 'tag'"),
        ("", "is not a CSV of tags"),
        ("object_id,tag\n7,ring\n8,\n", "line 3: '8' alone; expected an id and a tag"),
        ('object_id,tag\n7,"ring\n', "is not a CSV of tags"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "tags.csv"
    file.write_text(text)
    with pytest.raises(InputError) as refused:
        read_tags(str(file))
    assert reason in str(refused.value)
