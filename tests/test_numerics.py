"""What decides answers is declared: no module and no library that does is forgotten."""

from __future__ import annotations

import ast
import hashlib
import sys
from pathlib import Path

import pytest

from pipeline import numerics
from tests.test_house import ROOT, imported

ENTRIES = ("streaming.rows", "streaming.decode", "streaming.model", "streaming.sink")
"""The stages of the stream: what they import can decide what a row of the catalogue says."""

NOT_DECIDING = {
    "digest": "names of plans and surveys",
    "averaging.kernels.cache": "keeps what is computed elsewhere",
    "averaging.kernels.l1": "which cache a copy goes through changes no value",
    "averaging.kernels.choice": "variants of a step differ in their speed, and in rounding as GPUs do",
    "averaging.precision": "the precision is a part of the fingerprint itself",
    "catalogue": "plans, keeps and counts rows as they are",
    "clumps.faster_rcnn": "is of detectors that do not come along; which one a run has is in the fingerprint",
    "config": "what settings say is in the fingerprint",
    "console": "says how far a run is",
    "cutting.index": "where tiles lie decides what is cut from which, and that is in the plan",
    "cutting.positions": "which positions there are is in the plan",
    "cutting.listing": "which files there are is in the plan",
    "cutting.tiles": "which files there are is in the plan",
    "errors": "has no values",
    "faults": "ends processes in tests",
    "identifiers": "which table gives positions and votes, and no answer",
    "images.encode": "makes pictures for pages",
    "network.features": "shows what is inside a network",
    "network.operators": "gives what torchvision defines",
    "confidence.calibration": "learns from votes what a run then reads from a file",
    "logs": "says what a run does",
    "numerics": "tells what decides",
    "places": "refuses places before anything is done",
    "protocol": "decides what is done when, and changes no row",
    "representations.fitting": "learns from galaxies what a run then reads from a file",
    "representations.reading": "reads what is in a catalogue",
    "representations.search": "searches what is in a catalogue",
    "representations.examples": "searches what is in a catalogue",
    "representations.alike": "searches what is in a catalogue",
    "storage": "gives the bytes that are stored",
    "streaming.child": "carries rows from one process to another",
    "streaming.isolation": "has the same rows decoded in another process",
    "streaming.limits": "ends what takes too long or too much memory",
    "streaming.process": "starts and ends processes",
    "cutouts.duplicates": "which rows repeat others is in the plan, and so in the fingerprint",
    "cutouts.folder": "which files there are is in the plan",
    "survey.formats.suffixes": "which files there are is in the plan",
    "cutouts.manifest": "tells of a cutout set as a whole",
    "cutouts.writer": "makes cutout sets, which are input",
    "tree.crosswalk": "says rows of a catalogue in other words",
    "tree.fractions": "says rows of a catalogue in other words",
    "tree.load": "what the tree says is in the fingerprint",
}
"""Other modules, or rooms, and why no change in them makes a row of the catalogue say something else."""

LOSSLESS_LIBRARIES = {
    "PIL": "reads only PNG, which is lossless",
    "cdshealpix": "HEALPix's cells are a standard; it rounds the last digit at most",
    "h5py": "gives the arrays that are stored",
    "numpy": "rounds the last digit at most",
    "pandas": "reads tables of positions",
    "pyarrow": "gives the values that are stored",
    "pydantic": "checks settings",
    "safetensors": "gives the weights that are stored",
    "torchcodec": "hands JPEGs to nvJPEG, which is in the fingerprint as the decoder, whatever its version",
    "triton": "torch pins its version",
}
"""Libraries that deciding modules import, and why none of their versions changes an answer."""


def source(module: str) -> Path:
    path = ROOT.joinpath("pipeline", *module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def below(module: str) -> set[str]:
    """The modules of the pipeline that one imports something from."""
    names = {
        name.removeprefix("pipeline.") for name in imported(source(module)) if name.startswith("pipeline.")
    }
    return {name for name in names if source(name).exists()}


def closure(*modules: str) -> set[str]:
    reached: set[str] = set()
    ahead = set(modules)
    while ahead:
        reached |= ahead
        ahead = set().union(*map(below, ahead)) - reached
    return reached


def only_names_others(module: str) -> bool:
    """Whether a module is a package's face: nothing but imports and the list of what they bring."""
    statements = ast.parse(source(module).read_text(encoding="utf-8")).body
    return source(module).name == "__init__.py" and all(
        isinstance(statement, ast.Import | ast.ImportFrom | ast.Expr)
        or (isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__")
        for statement in statements
    )


def has_reason(module: str) -> bool:
    return any(f"{module}.".startswith(f"{name}.") for name in NOT_DECIDING)


def undecided() -> set[str]:
    """Modules that the stream imports of which nobody has said whether they decide answers."""
    return {
        module
        for module in closure(*ENTRIES) - set(numerics.DECIDING_MODULES)
        if not has_reason(module) and not only_names_others(module)
    }


def test_every_module_that_the_stream_imports_is_known_to_decide_answers_or_not_to() -> None:
    assert undecided() == set(), (
        "add each to DECIDING_MODULES in pipeline/numerics.py, or above with its reason"
    )


def test_a_module_that_nobody_has_spoken_of_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    rest = tuple(name for name in numerics.DECIDING_MODULES if name != "images.petrosian")
    monkeypatch.setattr(numerics, "DECIDING_MODULES", rest)
    assert undecided() == {"images.petrosian"}


def test_what_is_declared_is_imported_and_said_once() -> None:
    reached = closure(*ENTRIES)
    assert set(numerics.DECIDING_MODULES) <= reached
    assert not set(numerics.DECIDING_MODULES) & set(NOT_DECIDING)
    rooms = {module.partition(".")[0] for module in reached}
    assert {name for name in NOT_DECIDING if name not in reached | rooms} == set()
    assert list(numerics.DECIDING_MODULES) == sorted(set(numerics.DECIDING_MODULES))


def test_whether_answers_are_still_the_same_is_declared() -> None:
    assert numerics.code_digest() in numerics.SAME_ANSWERS, (
        "code that decides answers has changed: show that no answer moves and put its digest, "
        f"{numerics.code_digest()}, into SAME_ANSWERS, or raise ANSWERS_VERSION and let it be the only one"
    )


def test_every_library_of_deciding_modules_counts_or_changes_no_answer() -> None:
    roots = {name.split(".")[0] for module in numerics.DECIDING_MODULES for name in imported(source(module))}
    others = roots - sys.stdlib_module_names - {"pipeline", "ray"}  # ray moves batches
    assert others == set(numerics.DECIDING_LIBRARIES) | set(LOSSLESS_LIBRARIES)


SOURCE = '''
"""A module."""

from __future__ import annotations

LIMIT = 1.5
"""Of something."""


def f(x: int | None = None, *, k=2, **rest) -> str:
    """Do it."""
    return f"{x!r:>{k}} {{}} of " f"{LIMIT:.2f}" "…" if x is not None else b"\\x00".hex()  # why
'''


def test_only_what_python_runs_counts() -> None:
    meaning = numerics.meaning(SOURCE)
    rewritten = SOURCE.replace("Of something", "Else").replace("  # why", "").replace("*, k=2", "*,\n    k=2")
    assert rewritten != SOURCE
    assert numerics.meaning(rewritten) == meaning
    for old, new in (("1.5", "1.6"), ("k=2", "k=3"), ("= None", "= 0"), ("of ", "or "), ("x is not", "x is")):
        assert numerics.meaning(SOURCE.replace(old, new)) != meaning, old


def test_the_meaning_is_the_same_in_every_python() -> None:
    """As it was in 3.11 and in 3.13, whose own dumps of this tree differ."""
    assert hashlib.sha256(numerics.meaning(SOURCE).encode()).hexdigest()[:12] == "62d903237644"


def test_the_line_of_numerics_is_for_people() -> None:
    before, after = (
        "answers 1, torch 2.12, sep 1.4",
        "answers 1+3fa2b1c4d5e6, torch 2.13, sep 1.4, scipy 1.17",
    )
    assert numerics.difference(before, after) == (
        "answers was 1, is 1+3fa2b1c4d5e6; torch was 2.12, is 2.13; scipy was none, is 1.17"
    )
    assert numerics.difference(before, before) == ""


@pytest.mark.long
def test_what_is_released_declares_its_code() -> None:
    assert numerics.code_digest() in numerics.SAME_ANSWERS, (
        f"the code that decides answers is another, {numerics.code_digest()}: list it in SAME_ANSWERS if "
        "every answer stays as it was; else raise ANSWERS_VERSION"
    )
