"""The fastest variant is taken, what fails is left out, and the choice outlives the process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton")

from triton.runtime.errors import OutOfResources

from pipeline.averaging.kernels import NoVariantError, choice
from pipeline.averaging.kernels.cache import cache_folder, write_whole
from pipeline.averaging.kernels.layout import Step, Work


def adding(times: int) -> Callable[[], Work]:
    """A variant that adds so often."""

    def work(source: Tensor, target: Tensor, sets: int) -> None:
        for _ in range(times):
            target += source

    return lambda: work


def failing(error: Exception) -> Callable[[], Work]:
    """A variant that can't be compiled."""

    def prepare() -> Work:
        raise error

    return prepare


def tried(work: Work) -> Tensor:
    target = torch.zeros(1)
    work(torch.ones(1), target, 1)
    return target


def additions(call: Callable[[], object]) -> float:
    """In the place of a stopwatch, what the work itself counts."""
    return float(call())  # type: ignore[arg-type]


def step(**variants: Callable[[], Work]) -> Step:
    return Step("a step", (1, 2), 3, variants)


OUT_OF_SHARED = OutOfResources(300_000, 232_448, "shared memory")


def test_the_fastest_is_taken_and_remembered(tmp_path: Path) -> None:
    memory = tmp_path / "deep" / "choice.json"
    name, work = choice.fastest(step(slow=adding(3), fast=adding(1), mid=adding(2)), tried, memory, additions)
    assert (name, float(tried(work))) == ("fast", 1.0)
    assert [path.name for path in memory.parent.iterdir()] == ["choice.json"]
    again = step(slow=adding(3), fast=adding(9), mid=failing(AssertionError("isn't prepared")))
    assert choice.fastest(again, tried, memory, additions)[0] == "fast"


def test_what_fails_is_left_out(tmp_path: Path) -> None:
    variants = step(large=failing(OUT_OF_SHARED), broken=failing(RuntimeError("launch")), plain=adding(1))
    memory = tmp_path / "choice.json"
    assert choice.fastest(variants, tried, memory, additions)[0] == "plain"
    assert json.loads(memory.read_text()) == "plain"


def test_a_choice_for_want_of_memory_is_not_remembered(tmp_path: Path) -> None:
    variants = step(usual=failing(torch.OutOfMemoryError("CUDA out of memory")), plain=adding(1))
    memory = tmp_path / "choice.json"
    assert choice.fastest(variants, tried, memory, additions)[0] == "plain"
    assert not memory.exists()


def test_a_remembered_variant_that_fails_now_is_chosen_anew(tmp_path: Path) -> None:
    memory = tmp_path / "choice.json"
    memory.write_text('"large"')
    variants = step(large=failing(OUT_OF_SHARED), slow=adding(2), fast=adding(1))
    assert choice.fastest(variants, tried, memory, additions)[0] == "fast"
    assert json.loads(memory.read_text()) == "fast"


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"{", b'"gone"', b"[1]", b"7"])
def test_a_damaged_memory_is_as_none(content: bytes, tmp_path: Path) -> None:
    memory = tmp_path / "choice.json"
    memory.write_bytes(content)
    assert choice.fastest(step(slow=adding(2), fast=adding(1)), tried, memory, additions)[0] == "fast"
    assert json.loads(memory.read_text()) == "fast"


def test_a_memory_that_cannot_be_written_is_as_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    for memory in (tmp_path / "file" / "choice.json", None):
        assert choice.fastest(step(slow=adding(2), fast=adding(1)), tried, memory, additions)[0] == "fast"


def test_no_variant_is_an_error_that_tells_why() -> None:
    variants = step(kernel=failing(RuntimeError("Failed to find C compiler")), other=failing(OUT_OF_SHARED))
    with pytest.raises(NoVariantError, match="for a step: RuntimeError: Failed to find C compiler"):
        choice.fastest(variants, tried, None, additions)


def test_no_variant_for_want_of_memory_is_that_error() -> None:
    short = failing(torch.OutOfMemoryError("CUDA out of memory"))
    variants = step(broken=failing(RuntimeError("launch")), usual=short)
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        choice.fastest(variants, tried, None, additions)


def test_where_there_is_no_gpu_the_first_one_is_taken() -> None:
    variants = step(first=adding(2), second=adding(1))
    assert choice.choose(variants, tried, torch.device("cpu"), torch.float16, 1)[0] == "first"


def test_the_memory_is_in_the_cache_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "tuningfork" / "kernels"
    assert len({choice._memory("H100", 1), choice._memory("H100", 2), choice._memory("H100", 1)}) == 2
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # which the standard says to ignore
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "tuningfork" / "kernels"


def test_a_choice_is_for_a_chunk_and_a_version_of_the_library(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA H100")
    monkeypatch.setattr(choice, "by_events", additions)

    def choices(sets: int, cudnn: int) -> int:
        """How many are remembered once there was one for these."""
        monkeypatch.setattr(torch.backends.cudnn, "version", lambda: cudnn)
        variants = step(slow=adding(2), fast=adding(1))
        assert choice.choose(variants, tried, torch.device("cuda"), torch.float16, sets)[0] == "fast"
        return len(list(cache_folder().iterdir()))

    assert choices(480, 91_000) == 1
    assert choices(3840, 91_000) == 2
    assert choices(480, 92_000) == 3
    assert choices(480, 91_000) == 3


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write_whole(tmp_path / "taken", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
