"""The house: imports go only down, light rooms stay light, and a file is about one thing."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

OPEN_TO_ALL = {
    "storage",
    "config",
    "companion",
    "errors",
    "faults",
    "numerics",
    "digest",
    "console",
    "places",
    "amounts",
    "identifiers",
    "logs",
}
FLOOR_1 = {"tree", "geometry"}
FLOOR_2 = {"network", "images"}
FLOOR_3 = {
    "averaging",
    "confidence",
    "survey",
    "cutting",
    "cutouts",
    "protocol",
    "catalogue",
    "upkeep",
    "evaluation",
    "volunteers",
    "representations",
    "panoptes",
    "clumps",
    "generation",
}

MAY_IMPORT = {
    "errors": set(),
    "amounts": set(),
    "identifiers": set(),
    "faults": set(),
    "numerics": set(),
    "digest": set(),
    "logs": set(),
    "console": {"logs"},
    "places": {"storage", "config", "errors"},
    "storage": {"errors"},
    "config": {"errors"},
    "companion": {"storage", "config", "errors"},
    "settings_help": set(),
    "services": set(),
    "tracking": {"services"},
    "lineage": {"services"},
    "tree": set(),
    "geometry": set(),
    "network": {"tree", "geometry"},
    "images": {"geometry"},
    "averaging": {"tree", "network", "geometry"},
    "confidence": {"tree", "network", "geometry"},
    "cutouts": {"images", "geometry"},
    "survey": {"images", "geometry", "cutouts"},
    "cutting": {"images", "geometry", "cutouts", "survey"},
    "protocol": set(),
    "catalogue": {"tree", "protocol", "cutouts"},
    "upkeep": {"tree", "protocol", "catalogue", "cutouts"},
    "evaluation": {"tree", "protocol", "catalogue", "confidence"},
    "volunteers": {"tree", "catalogue", "confidence"},
    "representations": {"tree", "catalogue"},
    "panoptes": {"protocol", "volunteers"},
    "clumps": {"network", "images", "geometry", "catalogue"},
    "generation": {"tree", "network", "images", "geometry", "cutouts"},
    "__init__": {"face"},
    "face": FLOOR_1 | FLOOR_2 | FLOOR_3 | {"streaming"},
    "streaming": FLOOR_1 | FLOOR_2 | FLOOR_3,
    "training": FLOOR_1 | FLOOR_2 | FLOOR_3 | {"streaming", "tracking", "lineage"},
    "report": FLOOR_1 | FLOOR_2 | FLOOR_3,
    "run": FLOOR_1 | FLOOR_2 | FLOOR_3 | {"streaming", "report", "tracking", "lineage"},
}
"""Rooms, and which others each may import beside itself and those open to all."""

RAY_MAY_BE_IMPORTED_IN = ("pipeline/streaming/", "pipeline/training/distributed.py", "jobs/bench/", "tests/")
LIGHT_ROOMS = FLOOR_1 | FLOOR_3 - {"averaging", "confidence", "clumps", "generation"} | {"images"}
MOST_LINES = 400
MOST_LINES_OF_A_VERB = 150
MOST_LINES_OF_A_FUNCTION = 80


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Dotted names of all modules that a file imports, wherever in it; ``from a import b`` gives a.b too."""
    package = path.relative_to(ROOT).parent.parts
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return names


def room(path: Path) -> str:
    return path.relative_to(ROOT / "pipeline").parts[0].removesuffix(".py")


def misplaced_imports(path: Path) -> set[str]:
    own = room(path)
    allowed = MAY_IMPORT[own] | {own} | (set() if own in OPEN_TO_ALL else OPEN_TO_ALL)
    return {
        name
        for name in imported(path)
        if name.startswith("jobs") or (name.startswith("pipeline.") and name.split(".")[1] not in allowed)
    }


def test_imports_go_only_down() -> None:
    found = {str(path.relative_to(ROOT)): misplaced_imports(path) for path in sources("pipeline")}
    assert {path: names for path, names in found.items() if names} == {}


def test_every_room_is_in_the_table() -> None:
    assert {room(path) for path in sources("pipeline")} <= set(MAY_IMPORT)


def test_an_import_that_goes_up_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / "pipeline" / "tree" / "load.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "def f():\n    from pipeline import network, storage\n    from ..averaging import naive\n"
    )
    assert misplaced_imports(path) == {
        "pipeline.network",
        "pipeline.averaging",
        "pipeline.averaging.naive",
    }


def test_ray_is_imported_only_where_it_is_at_home() -> None:
    for path in sources("pipeline", "jobs", "tests"):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(RAY_MAY_BE_IMPORTED_IN):
            assert not {module for module in imported(path) if module.split(".")[0] == "ray"}, name


def is_private_to_ray(module: str) -> bool:
    return module.startswith("ray.") and (
        "._" in module or module.startswith(("ray.core.", "ray.experimental.", "ray.autoscaler."))
    )


def test_what_ray_does_not_promise_to_keep_is_in_one_file() -> None:
    using = {
        path.relative_to(ROOT).as_posix()
        for path in sources("pipeline", "jobs")
        if any(map(is_private_to_ray, imported(path)))
    }
    assert using == {"pipeline/streaming/ray_internals.py"}


def modules_after_importing(*names: str) -> set[str]:
    """Top-level modules in a fresh interpreter that has imported these."""
    code = f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.split()}


def all_modules(rooms: set[str]) -> list[str]:
    paths = [path for path in sources("pipeline") if room(path) in rooms]
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths
    ]


def test_the_network_needs_no_ray() -> None:
    found = modules_after_importing("pipeline.network", "pipeline.averaging", "pipeline.training")
    assert "torch" in found
    assert "ray" not in found


def test_rooms_that_know_no_torch_import_neither_it_nor_ray() -> None:
    found = modules_after_importing(*all_modules(LIGHT_ROOMS))
    assert "pipeline" in found
    assert not {"torch", "ray"} & found


def test_no_file_is_two_things() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in sources("pipeline", "jobs", "tests")
    }
    assert {path: lines for path, lines in lengths.items() if lines > MOST_LINES} == {}


def test_no_verb_is_a_program_of_its_own() -> None:
    verbs = [path for path in (ROOT / "jobs").glob("*.py") if path.name != "cli.py"]
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in verbs}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES_OF_A_VERB} == {}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_function_is_two_things() -> None:
    lengths = {
        f"{path.relative_to(ROOT)}: {function.name}": (function.end_lineno or 0) - function.lineno + 1
        for path in sources("pipeline", "jobs", "tests")
        for function in functions(path)
    }
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES_OF_A_FUNCTION} == {}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_no_modules_import_each_other() -> None:
    """Not in a circle either; wherever in a file an import stands."""
    modules = {module_of(path): path for path in sources("pipeline", "jobs")}
    packages = {name for name in modules if modules[name].name == "__init__.py"}
    graph = {
        name: {other for other in imported(path) if other in modules and other not in packages} - {name}
        for name, path in modules.items()
    }
    tuple(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


def test_no_rooms_import_each_other() -> None:
    graph = {
        name: MAY_IMPORT[name] | (OPEN_TO_ALL - {name} if name not in OPEN_TO_ALL else set())
        for name in MAY_IMPORT
    }
    tuple(TopologicalSorter(graph).static_order())
