"""Runs: what they log, and that they go on as if nothing had happened."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboardX.proto.event_pb2 import Event

from pipeline.evaluation import rmse
from pipeline.training import LabelledGalaxies, RunSettings, Trainer, evaluate, newest_checkpoint, train
from pipeline.training.augmentation import Augmentation
from pipeline.tree import DecisionTree
from tests.training.small import made_galaxies, recipe, trainer, weights

RULE = recipe(examples=160, average_decay=0.9, augmentation=Augmentation())


@pytest.fixture(scope="module")
def galaxies(tree: DecisionTree) -> LabelledGalaxies:
    return made_galaxies(tree)


@pytest.fixture(scope="module")
def expected(
    galaxies: LabelledGalaxies, tree: DecisionTree, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[tuple[Any, ...]], torch.Tensor]:
    """The curve and the weights of a training that nothing disturbed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    undisturbed = trainer(tree, galaxies, RULE)
    log = train(undisturbed, galaxies[:5], settings(tmp_path_factory.mktemp("undisturbed")))
    torch.set_num_threads(threads)
    assert [row["seen"] for row in log] == list(range(16, 161, 16))
    return curve(log), weights(undisturbed.result())


def check_same(resumed: Trainer, log: list[dict[str, Any]], expected: tuple[Any, torch.Tensor]) -> None:
    assert curve(log) == expected[0]
    assert torch.equal(weights(resumed.result()), expected[1])


def settings(folder: Path) -> RunSettings:
    return RunSettings(str(folder), log_every=16, evaluate_every=64, checkpoint_every=32)


def curve(log: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What of the log doesn't depend on the machine's speed."""
    kept = ("seen", "loss", "learning_rate", "gradient_norm", "dead_questions", "rmse", "rmse_by_question")
    return [tuple(row.get(name) for name in kept) for row in log]


class Killed(Exception):
    """In the place of a process's end."""


def test_a_run_that_was_cut_off_goes_on_as_if_nothing_had_happened(
    galaxies: LabelledGalaxies, tree: DecisionTree, tmp_path: Path, expected: Any
) -> None:
    shown: list[int] = []

    def die(at: int) -> Any:
        def progress(seen: int) -> None:
            shown.append(seen)
            if seen == at:
                raise Killed

        return progress

    for at in (56, 120):
        with pytest.raises(Killed):
            train(trainer(tree, galaxies, RULE), galaxies[:5], settings(tmp_path), progress=die(at))
    resumed = trainer(tree, galaxies, RULE)
    log = train(resumed, galaxies[:5], settings(tmp_path), progress=shown.append)
    check_same(resumed, log, expected)
    # What was shown since the last checkpoint was lost with it, and is shown again; nothing else is.
    assert shown == [*range(8, 57, 8), *range(40, 121, 8), *range(104, 161, 8)]


def test_a_checkpoint_by_time_keeps_the_steps_that_are_not_logged_yet(
    galaxies: LabelledGalaxies, tree: DecisionTree, tmp_path: Path, expected: Any
) -> None:
    often = dataclasses.replace(settings(tmp_path), checkpoint_seconds=0.0)

    def die(seen: int) -> None:
        if seen == 56:
            raise Killed

    with pytest.raises(Killed):
        train(trainer(tree, galaxies, RULE), galaxies[:5], often, progress=die)
    checkpoint = newest_checkpoint(often.checkpoints)
    assert checkpoint is not None
    assert checkpoint.seen == 48
    resumed = trainer(tree, galaxies, RULE)
    check_same(resumed, train(resumed, galaxies[:5], settings(tmp_path)), expected)


@pytest.mark.parametrize(
    ("stage", "number", "kept"), [("galaxies", 6, 40), ("backward", 8, 56), ("update", 7, 56)]
)
def test_a_training_that_is_asked_to_end_keeps_every_whole_step(
    stage: str,
    number: int,
    kept: int,
    galaxies: LabelledGalaxies,
    tree: DecisionTree,
    tmp_path: Path,
    expected: Any,
) -> None:
    """By SIGTERM in the middle of a step: it is left, or, once weights are being changed, completed."""
    stopped, entered = trainer(tree, galaxies, RULE), 0

    @contextlib.contextmanager
    def signalled(name: str) -> Iterator[None]:
        nonlocal entered
        entered += name == stage
        if name == stage and entered == number:
            signal.raise_signal(signal.SIGTERM)
        yield

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    stopped.stage = signalled
    before = signal.signal(signal.SIGTERM, end)
    try:
        with pytest.raises(SystemExit) as stop:
            train(stopped, galaxies[:5], settings(tmp_path))
    finally:
        assert signal.signal(signal.SIGTERM, before) is end
    assert stop.value.code == 143
    checkpoint = newest_checkpoint(settings(tmp_path).checkpoints)
    assert checkpoint is not None
    assert checkpoint.seen == kept
    resumed = trainer(tree, galaxies, RULE)
    check_same(resumed, train(resumed, galaxies[:5], settings(tmp_path)), expected)


def test_a_checkpoint_is_written_when_one_is_wanted(
    galaxies: LabelledGalaxies, tree: DecisionTree, tmp_path: Path
) -> None:
    """As the driver of several workers does before it ends."""
    one, asked = trainer(tree, galaxies, RULE), iter([False, True, False])

    def die(seen: int) -> None:
        if seen == 24:
            raise Killed

    with pytest.raises(Killed):
        train(one, galaxies[:5], settings(tmp_path), progress=die, wanted=lambda: next(asked))
    checkpoint = newest_checkpoint(settings(tmp_path).checkpoints)
    assert checkpoint is not None
    assert checkpoint.seen == 8


def test_a_wish_is_answered_at_once_where_the_last_step_is_kept_already(
    galaxies: LabelledGalaxies, tree: DecisionTree, tmp_path: Path
) -> None:
    one, events = trainer(tree, galaxies, RULE), []

    def wanted() -> bool:
        return one.seen == 32  # when a checkpoint has just been written with the log's row

    def progress(seen: int) -> None:
        events.append(f"step {seen}")
        if seen == 40:
            raise Killed

    with pytest.raises(Killed):
        train(
            one,
            galaxies[:5],
            settings(tmp_path),
            progress=progress,
            wanted=wanted,
            kept=lambda: events.append("kept"),
        )
    assert events == ["step 8", "step 16", "step 24", "step 32", "kept", "step 40"]


def test_a_torn_checkpoint_is_passed_over_with_a_word(
    galaxies: LabelledGalaxies, tree: DecisionTree, tmp_path: Path, expected: Any
) -> None:
    train(trainer(tree, galaxies, RULE), galaxies[:5], settings(tmp_path))
    newest = max((tmp_path / "checkpoints").iterdir(), key=lambda path: path.name)
    newest.write_bytes(newest.read_bytes()[:1000])
    said: list[str] = []
    resumed = trainer(tree, galaxies, RULE)
    log = train(resumed, galaxies[:5], settings(tmp_path), warn=said.append)
    check_same(resumed, log, expected)
    (message,) = said
    assert newest.name in message
    assert "passed over for one of 128 examples" in message


def test_the_log_tells_what_a_person_wants_to_know(
    galaxies: LabelledGalaxies, tree: DecisionTree, tmp_path: Path
) -> None:
    log = train(trainer(tree, galaxies, RULE), galaxies[:5], settings(tmp_path))
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert rows == log
    assert {"loss", "learning_rate", "gradient_norm", "dead_questions", "examples_per_second"} <= rows[
        0
    ].keys()
    assert 0 <= rows[0]["waiting_ratio"] < 1
    assert [row["seen"] for row in rows if "rmse" in row] == [64, 128, 160]
    assert set(rows[-1]["rmse_by_question"]) == set(tree.slices)
    (events,) = (tmp_path / "tensorboard").iterdir()
    tags = _scalars(events.read_bytes())
    assert tags["loss", 16] == pytest.approx(rows[0]["loss"], rel=1e-6)
    assert tags["rmse_by_question/bar", 160] == pytest.approx(rows[-1]["rmse_by_question"]["bar"], rel=1e-6)


def _scalars(events: bytes) -> dict[tuple[str, int], float]:
    """Of a TensorBoard file: records of length, its checksum, an event, its checksum."""
    found, place = {}, 0
    while place < len(events):
        length = int.from_bytes(events[place : place + 8], "little")
        event = Event.FromString(events[place + 12 : place + 12 + length])
        found |= {(value.tag, event.step): value.simple_value for value in event.summary.value}
        place += length + 16
    return found


def test_scores_are_of_the_votes_there_are(galaxies: LabelledGalaxies, tree: DecisionTree) -> None:
    network = trainer(tree, galaxies, RULE).result()
    whole = evaluate(network, galaxies)
    votes = galaxies.votes.clone()
    votes[::2, 3:] = torch.nan
    masked = LabelledGalaxies(galaxies.ids, galaxies.regions, votes, galaxies.weights)
    part = evaluate(network, masked)
    assert part["rmse_by_question"]["smooth_or_featured"] == whole["rmse_by_question"]["smooth_or_featured"]
    assert part["rmse"] != whole["rmse"]
    assert evaluate(network, galaxies[:0]) == {}
    mean = galaxies.votes.mean(0, keepdim=True).expand_as(votes)
    assert rmse(mean, votes) == pytest.approx(float((mean - votes)[~votes.isnan()].square().mean().sqrt()))
