"""Keys that someone writes into a URI: refused, and repeated nowhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from jobs.cli import main
from pipeline.errors import redacted
from tests.support.command import ROOT

SECRET = "wJalr/XUt+nFEMI@K7"
URIS = (f"s3://AKIA123:{SECRET}@bucket/key", f"http://user:{SECRET}@host:8080/a", f"s3://{SECRET[:5]}@bucket")


@pytest.mark.parametrize("uri", URIS)
@pytest.mark.parametrize(
    "words",
    [
        ["classify", "input={}", "output=out"],
        ["classify", "input=in", "output={}"],
        ["classify", "input=in", "output=out", "weights={}"],
        ["classify", "input=in", "output=out", "unit_rows={}"],
        ["classify", "input=in", "output=out", "{}"],
        ["classify", "input=in", "output=out", "--print-config", "survey={}"],
        ["refresh", "--config", "{}"],
        ["train", "data={}", "output=out"],
        ["ingest", "images", "{}", "output=out"],
        ["export", "{}", "out.csv"],
        ["evaluate", "catalogue", "labels=labels.csv", "output=out", "others.a={}"],
        ["verify", "{}"],
        ["submit", "classify", "--address", "http://127.0.0.1:9", "input={}", "output=out"],
    ],
)
def test_a_uri_with_a_secret_is_refused_without_it(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: list[str],
    uri: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main([word.format(uri) for word in words])
    out, err = capsys.readouterr()
    assert (stop.value.code, out, err.count("\n")) == (2, "", 1)
    for part in (SECRET, SECRET[:5], "AKIA123", "user"):
        assert part not in err
    assert list(tmp_path.iterdir()) == []


def test_the_message_says_where_keys_belong(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["classify", f"input={URIS[0]}", "output=out"])
    assert capsys.readouterr().err == (
        "tuningfork: settings: input='s3://…@bucket/key' holds a name or a key before the @; leave it out, "
        "and give keys in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) or a profile\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/a@b/c",
        "http://host:8080/a@b",
        "abfs://container@account.dfs.core.windows.net/key",
        "sftp://me@host/key",
        "file:///a:b/c@d",
        "/data/a:b@c",
        "ra:dec@epoch",
    ],
)
def test_what_holds_no_secret_stays(text: str) -> None:
    assert redacted(text) == text


def test_a_survey_file_holds_none_either(tmp_path: Path) -> None:
    survey = tmp_path / "survey.yaml"
    survey.write_text(f"name: a\ntable: {URIS[1]}\n")
    done = subprocess.run(
        [sys.executable, "-m", "jobs.cli", "classify", "input=in", "output=out", f"survey={survey}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert SECRET not in done.stdout + done.stderr
    assert "http://…@host:8080/a" in done.stderr
