"""JPEGs decoded in the model stage: the same answers as ever, and nobody else's fault."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import simplejpeg
import torch
from numpy.typing import NDArray
from torch import Tensor

from jobs.bench.timing import pictures
from pipeline.errors import InputError
from pipeline.images import decode_image
from pipeline.images.jpeg import check_jpeg, plain_jpeg
from pipeline.network import DEFAULT_WEIGHTS
from pipeline.protocol import RunLayout, WorkUnit
from pipeline.protocol.records import read_ledger
from pipeline.streaming import regions
from pipeline.streaming.decode import DECODED_SCHEMA, DecodeActor, decode_unit
from pipeline.streaming.decoders import (
    CpuDecoder,
    Decoder,
    KeptJpegs,
    NvjpegDecoder,
    cut_jpegs,
    decode_in_halves,
    gpu_decodes,
)
from pipeline.streaming.model import ANSWERED_COLUMNS, ModelActor
from pipeline.streaming.regions import RegionPart, good_rows, images_of, region_parts
from pipeline.streaming.rows import DecodeSettings
from pipeline.streaming.sink import write_unit
from pipeline.tree import GALAXY_ZOO_2, load_tree
from tests.support.jpegs import broken, jpeg, write_every_kind

UNTIMED = [name for name in ANSWERED_COLUMNS if name != "decode_seconds"]


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_every_kind(tmp_path_factory.mktemp("cutouts"))


def unit(shard: str) -> WorkUnit:
    return WorkUnit(0, shard, 0, 23, (22,))


def kept(shard: str) -> pa.Table:
    return decode_unit(unit(shard), settings=DecodeSettings(keep_jpegs=True))


def model(transforms: int = 60) -> ModelActor:
    return ModelActor(DEFAULT_WEIGHTS, str(GALAXY_ZOO_2), transforms, "float32", 1, "cpu", "gpu")


def all_parts(batch: pa.Table, decoder: Decoder) -> list[RegionPart]:
    return [part for rows, side in good_rows(batch) for part in region_parts(batch, rows, side, decoder)]


def replaced(batch: pa.Table, row: int, data: bytes) -> pa.Table:
    """A batch in which a row's JPEG is another: what decode actors found of it doesn't hold."""
    values = batch["pixels"].to_pylist()
    values[row] = data
    column = pa.array(values, pa.large_binary())
    return batch.set_column(batch.schema.get_field_index("pixels"), "pixels", column)


def test_just_plain_jpegs_go_as_they_are(shard: str) -> None:
    before, after = decode_unit(unit(shard)).to_pylist(), kept(shard)
    assert after.schema == DECODED_SCHEMA
    encoded = [row["row"] for row in after.to_pylist() if row["jpeg"] is not None]
    assert encoded == [0, 1, 2, 13, 14, 15, 19]
    for old, new in zip(before, after.to_pylist(), strict=True):
        assert old["jpeg"] is None
        for name in set(DECODED_SCHEMA.names) - {"pixels", "jpeg", "decode_seconds"}:
            assert old[name] == new[name], (old["row"], name)
        assert (old["pixels"] == new["pixels"]) == (new["jpeg"] is None)
    rejected = {row["row"]: row["reason"] for row in before if row["reason"]}
    assert rejected == {
        4: "grey",
        5: "cmyk",
        7: "truncated",
        8: "truncated",
        9: "damaged",
        10: "too_large",
        11: "empty",
        12: "empty",
        16: "bad_center",
        17: "bad_frame",
        18: "no_object_id",
        21: "not_an_image",
        22: "duplicate_object_id",
    }


def test_recentring_networks_need_pixels(shard: str) -> None:
    own = decode_unit(unit(shard), settings=DecodeSettings((2.0,), keep_jpegs=True))
    assert own["jpeg"].null_count == len(own)


def test_a_child_process_keeps_them_too(shard: str) -> None:
    actor = DecodeActor(isolated=True, settings=DecodeSettings(keep_jpegs=True))
    isolated = actor(pa.Table.from_pylist([asdict(unit(shard))]))
    assert isolated.drop(["decode_seconds"]) == kept(shard).drop(["decode_seconds"])


@pytest.mark.parametrize("at_once", [512, 3])
def test_regions_are_those_of_the_decode_stage(
    shard: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also at the border, where they are reflected, and of pictures of several sizes at once."""
    monkeypatch.setattr(regions, "_MOST_ROWS", at_once)
    before, after = decode_unit(unit(shard)), kept(shard)
    seen = []
    for part in all_parts(after, CpuDecoder()):
        assert len(part.rows) <= at_once
        side = part.pixels.shape[1]
        np.testing.assert_array_equal(part.pixels.numpy(), images_of(before["pixels"], part.rows, side))
        seen += part.rows.tolist()
    assert sorted(seen) == [0, 1, 2, 3, 6, 13, 14, 15, 19, 20]


@pytest.mark.parametrize("transforms", [60, 1])
def test_answers_are_the_same_bit_by_bit(shard: str, transforms: int) -> None:
    stage = model(transforms)
    usual, own = stage(decode_unit(unit(shard))), stage(kept(shard))
    assert own["probabilities"] == usual["probabilities"]
    assert own.select(UNTIMED) == usual.select(UNTIMED)


def test_two_units_at_a_time_are_kept_apart(shard: str) -> None:
    stage, batch = model(1), kept(shard)
    expected = stage(batch)["probabilities"]
    answers: dict[int, pa.ChunkedArray] = {}

    def call(number: int) -> None:
        answers[number] = stage(batch)["probabilities"]

    threads = [threading.Thread(target=call, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answers[number] for number in range(4)] == [expected] * 4


@pytest.mark.parametrize(
    ("data", "reason"), [(broken(jpeg(1, "444")), "damaged"), (jpeg(1, "444")[:-300], "truncated")]
)
def test_what_turns_out_damaged_there_is_quarantined_alone(shard: str, data: bytes, reason: str) -> None:
    with pytest.raises(Exception, match="can't be decoded") as caught:
        decode_image(data)
    stage, batch = model(1), kept(shard)
    usual, own = stage(batch).to_pylist(), stage(replaced(batch, 1, data)).to_pylist()
    assert (own[1]["reason"], own[1]["message"]) == (reason, str(caught.value))
    for row in set(range(len(own))) - {1}:
        for name in (*UNTIMED, "probabilities"):
            if usual[row][name] != own[row][name]:  # a smaller batch rounds otherwise
                assert name == "probabilities"
                assert np.abs(np.subtract(usual[row][name], own[row][name])).max() < 1e-6


class Limited:
    """Decodes all of a batch or nothing, as nvJPEG's binding does, and counts how often it is asked."""

    device = torch.device("cpu")

    def __init__(self, change: Callable[[int, Tensor], Tensor]) -> None:
        self._change, self.calls, self._count = change, 0, itertools.count()

    def at_work(self) -> AbstractContextManager[None]:
        return nullcontext()

    def decode(self, jpegs: Sequence[NDArray[np.uint8]]) -> list[Tensor | None]:
        return decode_in_halves(jpegs, self._together)

    def _together(self, jpegs: Sequence[NDArray[np.uint8]]) -> list[Tensor]:
        self.calls += 1
        if any(len(data) % 2 for data in jpegs):
            raise RuntimeError("Failed to decode batch: 4")
        pictures = [torch.from_numpy(decode_image(data.tobytes())).permute(2, 0, 1) for data in jpegs]
        return [self._change(next(self._count), picture) for picture in pictures]


def test_a_batch_that_fails_is_halved_down_to_what_is_refused(shard: str) -> None:
    decoder = Limited(lambda _, picture: picture)
    before, after = decode_unit(unit(shard)), kept(shard)
    lengths = [len(row["pixels"]) for row in after.to_pylist() if row["jpeg"]]
    assert 0 < sum(length % 2 for length in lengths) < len(lengths)
    for part in all_parts(after, decoder):
        assert not part.problems
        side = part.pixels.shape[1]
        np.testing.assert_array_equal(part.pixels.numpy(), images_of(before["pixels"], part.rows, side))
    assert decoder.calls > 1


def test_one_bad_picture_of_many_costs_few_calls() -> None:
    calls = []

    def together(jpegs: Sequence[NDArray[np.uint8]]) -> list[Tensor]:
        calls.append(len(jpegs))
        if any(data[0] == 77 for data in jpegs):
            raise RuntimeError("Failed to decode batch: 6")
        return [torch.from_numpy(data) for data in jpegs]

    jpegs = [np.array([number % 256], np.uint8) for number in range(200)]
    decoded = decode_in_halves(jpegs, together)
    assert [None if picture is None else int(picture) for picture in decoded] == [
        None if number == 77 else number for number in range(200)
    ]
    assert len(calls) <= 2 * 8 + 1
    assert decode_in_halves([], together) == []


def test_a_gpu_that_fails_is_not_taken_for_a_bad_picture() -> None:
    def together(jpegs: Sequence[NDArray[np.uint8]]) -> list[Tensor]:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(torch.AcceleratorError):
        decode_in_halves([np.zeros(1, np.uint8)] * 4, together)


CHANGES: dict[str, Callable[[int, Tensor], Tensor]] = {
    "black": lambda number, picture: picture * (number % 2),
    "another picture": lambda number, picture: picture.roll(60 * (number % 2), dims=2),
    "turned": lambda number, picture: picture[:, :, :-1] if number % 2 else picture,
    "grey": lambda number, picture: picture[:1] if number % 2 else picture,
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_picture_that_came_out_wrong_is_decoded_by_the_cpu(kind: str, shard: str) -> None:
    before, after = decode_unit(unit(shard)), kept(shard)
    for part in all_parts(after, Limited(CHANGES[kind])):
        side = part.pixels.shape[1]
        np.testing.assert_array_equal(part.pixels.numpy(), images_of(before["pixels"], part.rows, side))


def test_the_ledger_says_how_many_were_left_to_the_cpu(shard: str, tmp_path: Path) -> None:
    """Of seven plain JPEGs: those that came out black."""
    stage, layout = model(1), RunLayout(str(tmp_path / "out"), "run")
    write_unit(stage(kept(shard)), layout, load_tree(), "w" * 64)
    assert read_ledger(layout)[0].left_to_cpu == 0
    stage._decoder = Limited(lambda _, picture: picture * 0)
    other = RunLayout(str(tmp_path / "other"), "run")
    write_unit(stage(kept(shard)), other, load_tree(), "w" * 64)
    assert read_ledger(other)[0].left_to_cpu == 7


class Swapping(CpuDecoder):
    """Gives each picture in the place of the one before it, without a word."""

    def decode(self, jpegs: Sequence[NDArray[np.uint8]]) -> list[Tensor | None]:
        decoded = super().decode(jpegs)
        return decoded[1:] + decoded[:1]


def test_galaxies_that_are_swapped_for_their_neighbours_are_noticed() -> None:
    """Nearly all: some of these are two faint ones on an empty sky, which real pictures don't have."""
    data = [simplejpeg.encode_jpeg(picture.numpy(), 90) for picture in pictures(40, 424)]
    plain = [jpeg for jpeg in map(plain_jpeg, data) if jpeg is not None]
    side, corner = np.full(40, 424), np.full(40, 0)
    kept = KeptJpegs(
        [np.frombuffer(jpeg.stripped, np.uint8) for jpeg in plain],
        side,
        side,
        corner,
        corner,
        np.stack([check_jpeg(jpeg) for jpeg in plain]),
    )
    assert cut_jpegs(Swapping(), kept, 424).left_to_cpu > 35
    usual = cut_jpegs(CpuDecoder(), kept, 424)
    assert usual.left_to_cpu == 0
    np.testing.assert_array_equal(usual.pixels.numpy(), np.stack([decode_image(jpeg) for jpeg in data]))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_none_decodes_and_it_is_said() -> None:
    assert not gpu_decodes()
    with pytest.raises(InputError, match=r"decoder=gpu, and this machine's GPU can't .* say decoder=cpu"):
        NvjpegDecoder()


@pytest.mark.skipif(not gpu_decodes(), reason="there is no GPU that decodes")
def test_the_gpu_decodes_nearly_the_same(shard: str) -> None:
    before, after = decode_unit(unit(shard)), kept(shard)
    for part in all_parts(after, NvjpegDecoder()):
        side = part.pixels.shape[1]
        expected = images_of(before["pixels"], part.rows, side).astype(int)
        assert np.abs(part.pixels.cpu().numpy() - expected).max() <= 9
