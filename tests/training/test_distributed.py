"""Several workers on Ray: the same weights as one, however they get their galaxies."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from safetensors.torch import load_file

from pipeline.streaming import connect
from pipeline.training.distributed import _AtTimes, _Board, _wait_for_checkpoint
from pipeline.tree import DecisionTree
from tests.support.command import tuningfork_here as tuningfork
from tests.training.small import log_of, write_training


def weights_of(output: Path) -> torch.Tensor:
    """All that the last checkpoint holds of the network; the weight file is rounded to 16 bits."""
    newest = max((output / "small.run" / "checkpoints").iterdir(), key=lambda path: path.name)
    tensors = load_file(newest)
    return torch.cat([tensors[name].flatten() for name in sorted(tensors) if name.startswith("network.")])


@pytest.fixture(scope="module")
def one(tree: DecisionTree, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """Words of the command line, and what one worker made by them: twenty steps without dropout."""
    folder = tmp_path_factory.mktemp("one")
    words = write_training(folder, tree, examples=160, augmentation={}, average_decay=0.9)
    done = tuningfork(*words, f"output={folder}/out", cwd=folder)
    assert done.returncode == 0, done.stderr
    return words, folder / "out"


@pytest.mark.parametrize("cached", ["true", pytest.param("false", marks=pytest.mark.long)])
def test_two_workers_give_the_weights_of_one(
    cached: str, one: tuple[list[str], Path], tmp_path: Path
) -> None:
    """Perturbed alike; the images come from memory or anew in each pass."""
    words, expected = one
    output = tmp_path / "two"
    done = tuningfork(*words, f"output={output}", "workers=2", f"cached={cached}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert ("decoded once" if cached == "true" else "decoded anew") in done.stdout
    torch.testing.assert_close(weights_of(output), weights_of(expected), rtol=1e-3, atol=1e-5)
    for first, second in zip(log_of(expected), log_of(output), strict=True):
        assert second["seen"] == first["seen"]
        assert second["loss"] == pytest.approx(first["loss"], rel=1e-4)
    assert second["rmse"] == pytest.approx(first["rmse"], rel=1e-4)


def test_more_workers_than_there_is_room_for_are_refused(tree: DecisionTree, tmp_path: Path) -> None:
    words = write_training(tmp_path, tree)
    done = tuningfork(*words, f"output={tmp_path}/out", "workers=1000", cwd=tmp_path)
    assert done.returncode == 2
    (message,) = done.stderr.strip().splitlines()
    assert "workers is 1000, and the cluster has 0 GPUs" in message


@pytest.mark.long
def test_a_wish_for_a_checkpoint_is_heard_however_long_a_step_takes() -> None:
    connect()
    try:
        board: Any = ray.remote(num_cpus=0)(_Board).remote()
        times = _AtTimes(board, first=True)
        ray.get(board.want.remote())
        heard = []
        for seen in range(4):
            times.tell(seen)
            heard.append(times.wanted())
            time.sleep(1.0)  # a step
        assert sum(heard) == 1
    finally:
        ray.shutdown()


@pytest.mark.long
def test_who_wants_a_checkpoint_waits_until_the_last_step_is_kept_and_no_longer() -> None:
    """A worker that has written one after its last step answers all the same."""
    connect()
    try:
        board: Any = ray.remote(num_cpus=0)(_Board).remote()
        times, over = _AtTimes(board, first=True), threading.Event()

        def work() -> None:
            while not over.wait(0.1):
                times.tell(8)
                if times.wanted():
                    times.keep()

        worker = threading.Thread(target=work)
        worker.start()
        while not ray.get(board.seen.remote()):
            time.sleep(0.1)
        _wait_for_checkpoint(board)
        assert ray.get(board.is_kept.remote())
        over.set()
        worker.join()
    finally:
        ray.shutdown()
