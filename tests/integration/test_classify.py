"""The main job as its user runs it: a real Ray, real files, good galaxies among bad ones."""

from __future__ import annotations

import re
import shutil
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import simplejpeg
import torch

from pipeline.averaging import naive_average
from pipeline.catalogue import answer_matrix, catalogue_schema
from pipeline.geometry import averaging_transforms, reach
from pipeline.images import cut_region, decode_image
from pipeline.network import DEFAULT_WEIGHTS, RegionBatch, ViewpointSampler, load_network
from pipeline.tree import load_tree
from tests.support.command import tuningfork_here
from tests.support.galaxies import galaxy, png
from tests.support.tables import snapshot


def jpeg(pixels: np.ndarray) -> bytes:
    return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=95)


def bad_images() -> dict[str, tuple[bytes, str]]:
    """File name → content, and the reason for which it must be quarantined."""
    good = galaxy(99)
    huge = bytearray(png(good[:16, :16]))
    huge[16:24] = (30_000).to_bytes(4, "big") * 2
    huge[29:33] = zlib.crc32(huge[12:29]).to_bytes(4, "big")
    alpha = np.dstack([good, np.full(good.shape[:2], 128, np.uint8)])
    return {
        "truncated.jpg": (jpeg(good)[:5000], "truncated"),
        "truncated.png": (png(good)[:20_000], "truncated"),
        "empty.jpg": (b"", "empty"),
        "text.jpg": (b"This is no picture.\n", "not_an_image"),
        "one_pixel.png": (png(good[:1, :1]), "too_small"),
        "huge.png": (bytes(huge), "too_large"),
        "grey.jpg": (jpeg_grey(good), "grey"),
        "grey.png": (png(good[..., 0]), "grey"),
        "rgba.png": (png(alpha), "alpha"),
    }


def jpeg_grey(pixels: np.ndarray) -> bytes:
    return simplejpeg.encode_jpeg(np.ascontiguousarray(pixels[..., :1]), colorspace="GRAY")


SETTINGS = ("unit_rows=5", "precision=float32")


@dataclass(frozen=True)
class Output:
    folder: Path
    good: dict[str, np.ndarray]
    first: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Output:
    """Classify 12 good galaxies of three sizes among nine bad images and one repeated name."""
    folder = tmp_path_factory.mktemp("survey")
    images = folder / "images"
    (images / "again").mkdir(parents=True)
    sizes = [424, 423, 200]
    good = {f"g{i:02d}": galaxy(i, sizes[i % 3]) for i in range(12)}
    for name, pixels in good.items():
        (images / f"{name}.png").write_bytes(png(pixels))
    for name, (data, _) in bad_images().items():
        (images / name).write_bytes(data)
    (images / "zz_again").mkdir()
    (images / "zz_again" / "g03.png").write_bytes(png(galaxy(77)))
    (folder / "positions.csv").write_text("name,ra,dec\ng00,150.5,-2.25\n")
    made = tuningfork_here(
        "ingest", "images", "images", "output=cutouts", "positions=positions.csv", cwd=folder
    )
    assert made.returncode == 0, made.stderr
    first = tuningfork_here("classify", "input=cutouts", "output=out", *SETTINGS, cwd=folder)
    assert first.returncode == 0, first.stderr
    return Output(folder, good, first)


def test_every_good_galaxy_is_in_the_catalogue_once(output: Output) -> None:
    table = snapshot(str(output.folder / "out/catalogue"))
    assert sorted(table["object_id"].to_pylist()) == sorted(output.good)
    position = {row["object_id"]: (row["ra"], row["dec"]) for row in table.to_pylist()}
    assert position["g00"] == (150.5, -2.25)
    assert position["g01"] == (None, None)


def test_every_bad_image_is_quarantined_once_with_its_reason(output: Output) -> None:
    (file,) = (output.folder / "out/runs").glob("*/quarantine.parquet")
    rows = pq.read_table(file).to_pylist()
    expected = {name.split(".")[0]: [] for name in bad_images()} | {"g03": ["duplicate_object_id"]}
    for name, (_, reason) in bad_images().items():
        expected[name.split(".")[0]].append(reason)
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["object_id"], []).append(row["reason"])
    # Two files share a stem: the first of them counts, so the second is a duplicate.
    for name in ("truncated", "grey"):
        assert found.pop(name)[1:] == ["duplicate_object_id"]
        expected.pop(name)
    assert found == expected
    assert all(len(row["message"]) > 10 for row in rows)


def test_the_answers_are_those_of_sixty_passes(output: Output) -> None:
    tree = load_tree()
    network, _ = load_network(DEFAULT_WEIGHTS, tree)
    table = snapshot(str(output.folder / "out/catalogue"))
    assert table.schema.names == catalogue_schema(tree).names
    answers = dict(zip(table["object_id"].to_pylist(), answer_matrix(tree, table), strict=True))
    for name in ("g02",):
        region = cut_region(decode_image(png(output.good[name])), reach(1 / 1.2))
        batch = RegionBatch(
            torch.from_numpy(region.pixels.copy())[None],
            torch.tensor([region.center], dtype=torch.float64),
            torch.tensor([region.scale], dtype=torch.float64),
        )
        expected = naive_average(network, ViewpointSampler(), batch, averaging_transforms())[0].numpy()
        assert np.abs(answers[name] - expected).max() < 1e-5
    assert np.std(np.stack(list(answers.values())), axis=0).max() > 0.01


def test_a_complete_run_is_not_run_again(output: Output) -> None:
    before = {path: path.stat().st_mtime_ns for path in (output.folder / "out").rglob("*") if path.is_file()}
    again = tuningfork_here("classify", "input=cutouts", "output=out", *SETTINGS, cwd=output.folder)
    assert again.returncode == 0
    assert "is complete" in again.stdout
    assert "Nothing to do" in again.stdout
    after = {path: path.stat().st_mtime_ns for path in (output.folder / "out").rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.long
def test_a_run_with_units_missing_continues(output: Output) -> None:
    """With its commit and two ledger entries gone, a run does just those units again and ends the same."""
    work = output.folder / "continued"
    shutil.copytree(output.folder / "out", work)
    before = snapshot(str(work / "catalogue")).sort_by("object_id")
    shutil.rmtree(work / "catalogue")
    for index in (0, 2):
        next(work.glob(f"runs/*/ledger/{index:08d}.json")).unlink()
    result = tuningfork_here("classify", "input=cutouts", "output=continued", *SETTINGS, cwd=output.folder)
    assert result.returncode == 0, result.stderr
    assert "3 of 5 units are done" in result.stdout
    assert snapshot(str(work / "catalogue")).sort_by("object_id").equals(before)


def test_another_setting_is_refused(output: Output) -> None:
    result = tuningfork_here(
        "classify", "input=cutouts", "output=out", *SETTINGS, "transforms=1", cwd=output.folder
    )
    assert result.returncode == 2
    assert "transforms (was 60, is 1)" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_dry_run_tells_the_cost_and_writes_nothing(output: Output) -> None:
    words = ["classify", "input=cutouts", "output=dry", "--dry-run"]
    given = tuningfork_here(*words, "rate=0.01", "model_actors=2", cwd=output.folder)
    assert given.returncode == 0, given.stderr
    assert "22 galaxies in 1 shards" in given.stdout
    assert "(as given): 0.611 actor-hours in all, 0.306 hours with model_actors=2" in given.stdout
    measured = tuningfork_here(*words, "transforms=1", cwd=output.folder)
    assert re.search(
        r"At [0-9,.]+ galaxies/s .* \(measured on this machine, .*-hours in all", measured.stdout
    )
    assert not (output.folder / "dry").exists()


def test_the_report_shows_every_galaxy(output: Output) -> None:
    page = (output.folder / "out/report.html").read_text()
    assert all(name in page for name in output.good)


def test_what_is_said(output: Output) -> None:
    assert "12 galaxies classified" in output.first.stdout
    assert "10 quarantined" in output.first.stdout
    assert "galaxies/s" in output.first.stderr


def test_a_missing_column_is_one_line(output: Output) -> None:
    cutouts = output.folder / "no_image"
    cutouts.mkdir()
    pq.write_table(
        pq.read_table(output.folder / "cutouts/cutouts-00000.parquet").drop(["image"]), cutouts / "a.parquet"
    )
    result = tuningfork_here("classify", "input=no_image", "output=none", cwd=output.folder)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "has no column 'image'" in result.stderr
    assert not (output.folder / "none").exists()
