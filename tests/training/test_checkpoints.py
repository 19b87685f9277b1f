"""Checkpoints: the newest whole one wins."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.errors import InputError
from pipeline.training.checkpoints import newest_checkpoint, save_checkpoint


def save(folder: Path, seen: int) -> Path:
    tensors = {"network.last": torch.full((3, 2), float(seen)).T, "seen": torch.tensor(seen)}
    save_checkpoint(str(folder), seen, tensors, [{"seen": seen, "loss": 0.1}])
    return max(folder.iterdir(), key=lambda path: path.name)


def test_the_newest_wins_and_two_are_kept(tmp_path: Path) -> None:
    assert newest_checkpoint(str(tmp_path / "none")) is None
    for seen in (50, 100, 1000, 20000):
        save(tmp_path, seen)
    found = newest_checkpoint(str(tmp_path))
    assert found is not None
    assert found.seen == 20000
    assert found.log == [{"seen": 20000, "loss": 0.1}]
    assert torch.equal(found.tensors["network.last"], torch.full((2, 3), 20000.0))
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("damage", ["truncated", "emptied", "flipped", "strange"])
def test_one_that_is_torn_is_passed_over(damage: str, tmp_path: Path) -> None:
    save(tmp_path, 100)
    newest = save(tmp_path, 200)
    content = bytearray(newest.read_bytes())
    if damage == "truncated":
        newest.write_bytes(content[:-7])
    elif damage == "emptied":
        newest.write_bytes(b"")
    elif damage == "flipped":
        content[-3] ^= 1
        newest.write_bytes(content)
    else:
        newest = newest.rename(tmp_path / "zzz.safetensors")
    found = newest_checkpoint(str(tmp_path))
    assert found is not None
    assert found.seen == 100
    assert found.passed_over == (str(newest),)


def test_where_none_is_whole_the_run_is_not_begun_anew(tmp_path: Path) -> None:
    save(tmp_path, 100).write_bytes(b"torn")
    with pytest.raises(InputError, match="is not a whole checkpoint, and neither is an older one; remove"):
        newest_checkpoint(str(tmp_path))
