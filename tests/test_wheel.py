"""The wheel holds what the code reads, and nothing that it doesn't."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.support.wheel import ROOT, bare_environment, install_wheel


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that has the wheel; its ``bin``."""
    return install_wheel(wheel, tmp_path_factory.mktemp("installed") / "environment")


def files_below(folder: str) -> set[str]:
    paths = [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    return {path.relative_to(ROOT).as_posix() for path in paths if "__pycache__" not in path.parts}


def test_the_wheel_holds_every_file_that_the_code_reads(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    held = {name for name in names if not name.startswith("tuningfork-")}
    code = files_below("pipeline") | files_below("jobs")
    alias = {name for name in code if name.startswith("pipeline/face/tuningfork/")}
    mapped = {f"pipeline/{name}" for name in files_below("configs")}
    mapped |= {name.removeprefix("pipeline/face/") for name in alias}
    assert held == code - alias | mapped


def test_shipped_files_are_named_shortly_where_only_the_wheel_is(installed: Path, tmp_path: Path) -> None:
    words = ["input=a", "output=b", "tree=efigi", "survey=sdss", "weights=compact", "--print-config"]
    done = subprocess.run(
        [installed / "tuningfork", "classify", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    configs = next(installed.parent.glob("lib/python*/site-packages/pipeline/configs"))
    assert f"tree: {configs}/trees/efigi.yaml" in done.stdout
    assert f"survey: {configs}/surveys/sdss.yaml" in done.stdout
    assert f"weights: {configs}/weights/compact.safetensors" in done.stdout


def test_the_face_goes_by_the_name_of_the_project(installed: Path, tmp_path: Path) -> None:
    code = """
import pipeline, sys, tuningfork
assert "torch" not in sys.modules
from tuningfork import Classifier, open_catalogue
assert Classifier is pipeline.Classifier and open_catalogue is pipeline.open_catalogue
assert set(tuningfork.__all__) == set(pipeline.__all__) < set(dir(tuningfork))
Classifier(transforms=1)
"""
    subprocess.run([installed / "python", "-c", code], cwd=tmp_path, check=True)


def test_what_an_installed_wheel_submits_needs_nothing_installed(installed: Path, tmp_path: Path) -> None:
    submit = """
import shutil
from jobs.job_settings import config_model, settings_for_cluster
from jobs.submit import _working_dir
from pipeline.config import load_config
config = load_config(config_model("classify"), None, ["input=s3://a", "output=s3://b", "tree=efigi"])
with _working_dir(settings_for_cluster(config)) as folder:
    shutil.copytree(folder, "job")
"""
    subprocess.run([installed / "python", "-c", submit], cwd=tmp_path, check=True)
    bare = bare_environment(tmp_path / "node") / "python"
    words = ["classify", "--config", "submitted.yaml", "--print-config"]
    done = subprocess.run(
        [bare, "-m", "jobs.cli", *words], cwd=tmp_path / "job", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "tree: pipeline/configs/trees/efigi.yaml" in done.stdout
    assert f"weights: {tmp_path}/job/pipeline/configs/weights/compact.safetensors" in done.stdout
    assert (tmp_path / "job" / "pipeline" / "configs" / "trees" / "efigi.yaml").is_file()
