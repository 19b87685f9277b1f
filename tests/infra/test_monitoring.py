"""Board and alerts ask for metrics that exist, and alerts lead to the runbook."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from ray.dashboard.modules.reporter.reporter_agent import METRICS_GAUGES

from tests.support.command import ROOT

MONITORING = ROOT / "infra" / "monitoring"
OWN = {
    "ray_tuningfork_galaxies_total": {"run"},
    "ray_tuningfork_quarantined_total": {"run", "reason"},
    "ray_tuningfork_units_done": {"run"},
    "ray_tuningfork_units_pending": {"run"},
    "ray_tuningfork_lease_age_seconds": {"run"},
    "ray_tuningfork_model_actors": {"run", "device"},
}
"""The pipeline's metrics and their labels; Ray puts `ray_` before the names."""


def ray_metrics() -> set[str]:
    """What Ray's node agents report, and what Ray's own boards show."""
    boards = Path(ray.__file__).parent / "dashboard" / "modules" / "metrics" / "dashboards"
    shown = {name for path in boards.glob("*.py") for name in re.findall(r"ray_[a-z0-9_]+", path.read_text())}
    return shown | {f"ray_{name}" for name in METRICS_GAUGES}


def board() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((MONITORING / "board.json").read_text())
    return found


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((MONITORING / "rules.yaml").read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def expressions() -> Iterator[str]:
    for panel in board()["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (variable["query"]["query"] for variable in board()["templating"]["list"][1:])
    yield from (rule["expr"] for rule in rules())


def test_every_metric_exists() -> None:
    used = {name for text in expressions() for name in re.findall(r"\bray_[a-zA-Z0-9_]+", text)}
    assert used <= OWN.keys() | ray_metrics()
    assert used >= OWN.keys()


def test_runs_are_told_apart_by_labels_that_the_metrics_have() -> None:
    for text in expressions():
        for grouped in re.findall(r"by \(([^)]*)\)", text):
            labels = {label.strip() for label in grouped.split(",") if label.strip()}
            if "ray_tuningfork" in text and labels & {"run", "reason"}:
                assert labels <= set().union(*(OWN[name] for name in re.findall(r"ray_tuningfork_\w+", text)))


def test_panels_lie_beside_each_other() -> None:
    panels = board()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_every_alert_leads_to_a_section_of_the_runbook() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "infra" / "RUNBOOK.md").read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for rule in rules():
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        file, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert file == "infra/RUNBOOK.md"
        assert anchor in anchors, rule["alert"]


def test_prometheus_takes_the_rules_and_they_fire() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; it comes with Debian's package prometheus")
    checks = (("check", MONITORING / "rules.yaml"), ("test", Path(__file__).parent / "rules_test.yaml"))
    for verb, file in checks:
        done = subprocess.run([promtool, verb, "rules", file], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
