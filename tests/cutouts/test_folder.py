import fsspec
import numpy as np
import pytest
from PIL import Image

from pipeline.config import load_config
from pipeline.cutouts import folder, list_shards, read_rows
from pipeline.cutouts.ingest import IngestHubbleConfig, IngestImagesConfig, ingest_hubble, ingest_images
from pipeline.errors import InputError


@pytest.fixture
def images(tmp_path):
    """A folder of five files that look like images by name, two of them bad, and one that doesn't."""
    directory = tmp_path / "images"
    (directory / "deep").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(directory / "b.JPG", format="JPEG")
    Image.fromarray(pixels).save(directory / "a.1.png")
    Image.fromarray(pixels).save(directory / "deep" / "c.jpeg")
    (directory / "empty.jpg").write_bytes(b"")
    (directory / "text.png").write_text("no image")
    (directory / "notes.txt").write_text("no image by name either")
    return directory


def ingest(images, tmp_path, text=None):
    positions = None
    if text is not None:
        positions = tmp_path / "positions.csv"
        positions.write_text(text)
    config = load_config(
        IngestImagesConfig,
        overrides=[f"input={images}", f"output={tmp_path / 'out'}", f"positions={positions or 'null'}"],
    )
    result = ingest_images(config)
    rows = [row for s in list_shards(result.output) for row in read_rows(s.uri, 0, s.rows).to_pylist()]
    return result, rows


def test_files_travel_unopened_in_order(images, tmp_path):
    result, rows = ingest(images, tmp_path)
    assert [row["object_id"] for row in rows] == ["a.1", "b", "c", "empty", "text"]
    names = ["a.1.png", "b.JPG", "deep/c.jpeg", "empty.jpg", "text.png"]
    assert [row["image"] for row in rows] == [(images / name).read_bytes() for name in names]
    for column in ("ra", "dec", "x", "y", "radius", "frame_pixels", "center_x", "center_y"):
        assert {row[column] for row in rows} == {None}
    assert result.cutouts == 5
    assert result.created
    assert result.warnings == ()


def test_a_link_to_nothing_is_refused_before_anything_is_written(images, tmp_path):
    (images / "lost.jpg").symlink_to(tmp_path / "absent.jpg")
    with pytest.raises(InputError, match=r"lost\.jpg is a link to nothing"):
        ingest(images, tmp_path)
    assert not (tmp_path / "out").exists()


def test_files_of_one_stem_both_travel(images, tmp_path):
    (images / "deep" / "b.png").write_bytes((images / "a.1.png").read_bytes())
    _, rows = ingest(images, tmp_path)
    assert [row["object_id"] for row in rows].count("b") == 2


def test_positions_are_matched_with_or_without_suffix(images, tmp_path):
    text = "\ufeffname,note,ra,dec\nb.JPG,x,10.5,-20\na.1, ,359.99, 89.5\nelsewhere,,1,2\nfar.png,,1,2\n"
    result, rows = ingest(images, tmp_path, text)
    found = {row["object_id"]: (row["ra"], row["dec"]) for row in rows}
    assert found == {
        "b": (10.5, -20.0),
        "a.1": (359.99, 89.5),
        "c": (None, None),
        "empty": (None, None),
        "text": (None, None),
    }
    assert result.warnings == ("3 images have no position", "2 positions name no image")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no column 'name' .its first line is empty"),
        (
            "name,ra\nb,1\n",
            "no column 'dec' .its first line is name, ra.*expected name .or object_id, or objid., ra, dec",
        ),
        ("name,ra,dec\nb,ten,2\n", "line 2: ra is 'ten'; expected degrees from 0 to 360"),
        ("name,ra,dec\na.1,3,4\nb,1,\n", "line 3: dec is ''; expected degrees from -90 to 90"),
        ("name,ra,dec\nb,1\n", "line 2: dec is None; expected degrees"),
        ("name,ra,dec\nb,361,2\n", "ra is '361'; expected degrees from 0 to 360"),
        ("name,ra,dec\nb,1,-90.5\n", "dec is '-90.5'; expected degrees"),
        ("name,ra,dec\nb,nan,2\n", "ra is 'nan'; expected degrees"),
        ("name,ra,dec\nb,1,2\nb.JPG,1,3\n", "line 3: 'b' has a second position"),
        ("name,ra,dec\nzz,1,2\n", "a position for none of the 5 images: it names 'zz', for one"),
        ("name,ra,dec\n", "none of the 5 images: it has no rows"),
    ],
)
def test_positions_that_are_unusable(images, tmp_path, text, complaint):
    with pytest.raises(InputError, match=complaint):
        ingest(images, tmp_path, text)
    assert not (tmp_path / "out").exists()


def test_positions_that_are_no_text(images, tmp_path):
    config = IngestImagesConfig(
        input=str(images), output=str(tmp_path / "out"), positions=str(images / "a.1.png")
    )
    with pytest.raises(InputError, match="not a CSV file in UTF-8"):
        ingest_images(config)
    with pytest.raises(InputError, match="it doesn't exist"):
        ingest_images(config.model_copy(update={"positions": str(tmp_path / "gone.csv")}))


def test_folders_without_images(images, tmp_path):
    with pytest.raises(InputError, match="gone doesn't exist"):
        ingest(tmp_path / "gone", tmp_path)
    with pytest.raises(InputError, match="is a file; name the folder"):
        ingest(images / "b.JPG", tmp_path)
    for path in list(images.rglob("*.*")):
        if path.suffix != ".txt":
            path.unlink()
    with pytest.raises(InputError, match="holds no image among its 1 files"):
        ingest(images, tmp_path)


def test_a_huge_file_is_refused(images, tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "MAX_FILE_BYTES", 500)
    with pytest.raises(InputError, match=r"a\.1\.png has \d+ bytes; at most 500"):
        ingest(images, tmp_path)


def test_the_second_run_does_nothing_and_a_changed_folder_is_refused(images, tmp_path):
    ingest(images, tmp_path)
    again, rows = ingest(images, tmp_path)
    assert not again.created
    assert again.summary == f"{tmp_path / 'out'}: already there, 5 cutouts, nothing to do"
    assert len(rows) == 5
    (images / "new.png").write_bytes(b"x")
    with pytest.raises(InputError, match="with another files, fingerprint; choose another output"):
        ingest(images, tmp_path)


def test_an_output_in_use_is_refused(images, tmp_path):
    ingest(images, tmp_path)
    with pytest.raises(
        InputError, match=r"holds a cutout set of .*images; choose another output for skimage"
    ):
        ingest_hubble(IngestHubbleConfig(output=str(tmp_path / "out")))
    with pytest.raises(InputError, match=r"holds other files, such as .*a\.1\.png"):
        ingest_hubble(IngestHubbleConfig(output=str(images)))


def test_an_ingest_that_was_cut_short_is_finished(images, tmp_path):
    ingest(images, tmp_path)
    (tmp_path / "out" / "survey.json").unlink()
    result, rows = ingest(images, tmp_path)
    assert result.created
    assert len(rows) == 5


def test_a_folder_in_another_store(tmp_path):
    memory = fsspec.filesystem("memory")
    root = f"memory://{tmp_path.name}"
    memory.pipe_file(f"/{tmp_path.name}/in/one.png", b"1")
    memory.pipe_file(f"/{tmp_path.name}/in/two.png", b"2")
    result = ingest_images(IngestImagesConfig(input=f"{root}/in", output=f"{root}/out"))
    (shard,) = list_shards(result.output)
    assert read_rows(shard.uri, 0, 2)["image"].to_pylist() == [b"1", b"2"]


def test_positions_go_by_the_ids_of_sdss(tmp_path):
    path = tmp_path / "positions.csv"
    path.write_text("objID,ra,dec\n1237648720693755918,10.5,-3\n")
    assert folder.read_positions(str(path)) == {"1237648720693755918": (10.5, -3.0)}
