"""The command line as its user meets it: exit status, one line on standard error, nothing written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer

from jobs.cli import app, main
from jobs.verb import Verb
from pipeline.settings_help import settings_of

ROOT = Path(__file__).resolve().parents[2]


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    out, err = capsys.readouterr()
    return int(str(stop.value.code or 0)), out, err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("classify", "'input' is missing; give it as input=VALUE"),
        ("classify inptu=a output=b", "unknown key 'inptu'; did you mean 'input'?"),
        ("classify input=a output=b transforms=3", "transforms=3: Input should be 60 or 1"),
        ("classify input=a output=b unit_rows=0", "unit_rows=0"),
        ("classify input=/no/such/place output=b", "/no/such/place"),
        ("classify input=nowhere://x output=b", "nowhere://x"),
        (
            "classify input=a output=b weights=/no/such.safetensors",
            "there are no weights /no/such.safetensors; name a weight file",
        ),
        ("classify input=a output=b tree=/no/such.yaml", "cannot read /no/such.yaml"),
        ("classify --config /no/such.yaml", "cannot read /no/such.yaml"),
        ("classify --config nothing", "no file nothing, and none of the jobs that come along"),
        ("classify input=a output=b tree=nothing", "expected a file's path, or one of efigi, galaxy_zoo_1"),
        ("train data=a output=b tree=[efigi,nothing]", "there is no file nothing"),
        ("classify input", "'input' is not of the form key=value"),
        ("clasify", "Did you mean 'classify'?"),
        ("classify --fast", "No such option: --fast"),
        ("ingest images /no/such/folder output=b", "/no/such/folder"),
        ("ingest images", "Missing argument"),
        ("ingest hubble", "'output' is missing"),
        ("export /no/such/catalogue out.csv", "/no/such/catalogue is not a catalogue"),
        ("export a b --format xls", "format='xls'"),
        ("export a b cone=1,2", "cone='1,2': expected RA,DEC,RADIUS in degrees"),
        ("export a b cone=1,95,1", "declination 95; expected -90 to 90 degrees"),
        ("export a b box=1,2,3,3", "box='1,2,3,3'"),
        ("export a b pixels=5", "pixels='5': expected ORDER/PIXEL"),
        ("export a b cone=1,2,3 box=1,2,3,4", "cone and box are given; expected one region at most"),
        ("export a b partition_rows=9", "partition_rows is of format=hats, and the format is csv"),
        ("export a b partition_rows=0 --format hats", "partition_rows=0"),
        ("export a b radius=1", "unknown key 'radius'"),
        ("train data=/no/such output=b", "/no/such/training_solutions_rev1.csv"),
        ("train output=b", "'data' is missing"),
        ("verify", "Missing argument"),
        ("verify /no/such/output", "/no/such/output is no output of classify"),
        ("verify /no/such/output tree=/no/such.yaml", "cannot read /no/such.yaml"),
        ("verify /no/such/output deep=true", "unknown key 'deep'"),
        ("status /no/such/output", "/no/such/output is no output of classify"),
        ("vacuum /no/such/output", "/no/such/output is no output of classify"),
        ("vacuum a grace=1y", "grace='1y'"),
        ("vacuum a grace=24", "expected a number and s, m, h, d or w, such as 90m, 24h or 7d"),
        ("vacuum a parts=some", "parts='some'"),
        ("bench averaging precision=half", "precision='half'"),
    ],
)
def test_bad_usage_is_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: str,
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, *words.split())
    assert status == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("tuningfork: ")
    assert expected in err
    assert list(tmp_path.iterdir()) == []


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "--help")
    assert status == 0
    for verb in ("ingest", "classify", "verify", "status", "vacuum", "train", "export", "bench"):
        assert verb in out


def test_print_config_is_a_config_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, out, _ = run(capsys, "classify", "input=2024", "output=b", "transforms=1", "--print-config")
    assert status == 0
    file = tmp_path / "again.yaml"
    file.write_text(out)
    assert run(capsys, "classify", "--config", str(file), "--print-config")[1] == out


def test_a_folder_may_be_named_like_a_number(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "2024").mkdir()
    (tmp_path / "2024" / "a.png").write_bytes(b"")
    status, out, err = run(capsys, "ingest", "images", "2024", "output=set")
    assert (status, err) == (0, "")
    assert "1 cutouts" in out


def test_the_package_is_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jobs", "classify", "--config", "hubble", "--print-config"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "title: The Hubble deep field" in done.stdout


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = "import sys, jobs.cli; print([m for m in ('torch', 'ray', 'pyarrow') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def verbs(group: Any) -> Iterator[Any]:
    """Every verb, those of groups too."""
    for command in group.commands.values():
        yield from verbs(command) if hasattr(command, "commands") else [command]


def test_help_tells_each_setting(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    status, out, _ = run(capsys, "classify", "--help")
    assert status == 0
    (line,) = (line for line in out.splitlines() if "unit_rows" in line)
    assert "whole number; more than 0 and at most 4,096; default 256" in line
    assert "Most galaxies in a work unit" in line


def test_each_setting_of_each_verb_has_a_meaning() -> None:
    commands = [verb for verb in verbs(typer.main.get_command(app)) if isinstance(verb, Verb)]
    assert len(commands) > 15
    for command in commands:
        model = command.model()
        assert model is not None
        assert [each.name for each in settings_of(model) if not each.meaning and not each.parts] == []
        assert set(command.arguments) <= model.model_fields.keys()


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version") == (0, f"tuningfork {version('tuningfork')}\n", "")
