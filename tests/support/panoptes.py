"""A Panoptes of this test's own, in its own process, and folders of subjects to send there."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from PIL import Image

from tests.support.command import ROOT
from tests.support.panoptes_access import CLIENT, USER

NOWHERE = "http://127.0.0.1:9"
"""A proxy that isn't there: whatever would go further than this machine goes there."""


@dataclass(frozen=True)
class Panoptes:
    """The server, as tests see it."""

    endpoint: str

    def state(self) -> dict[str, Any]:
        """All that it knows."""
        found: dict[str, Any] = requests.get(f"{self.endpoint}/_state", timeout=60).json()
        return found

    def count(self) -> int:
        """How many subjects were made."""
        found: int = requests.get(f"{self.endpoint}/_count", timeout=60).json()["subjects"]
        return found

    def behave(self, **asked: Any) -> None:
        """Change how it behaves; see `_control`."""
        requests.post(f"{self.endpoint}/_control", json=asked, timeout=60).raise_for_status()

    def environment(self, as_user: bool = False) -> dict[str, str]:
        """In which a client finds this server and credentials for it, and can't get anywhere else."""
        names = ("USERNAME", "PASSWORD") if as_user else ("CLIENT_ID", "CLIENT_SECRET")
        keys = dict(zip(names, USER if as_user else CLIENT, strict=True))
        proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), NOWHERE)
        return (
            {"PANOPTES_ENDPOINT": self.endpoint, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
            | proxies
            | {f"PANOPTES_{name}": value for name, value in keys.items()}
        )


@contextlib.contextmanager
def panoptes() -> Iterator[Panoptes]:
    """A server with nothing in it."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.support.panoptes_server"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        yield Panoptes(f"http://127.0.0.1:{int(server.stdout.readline())}")
    finally:
        server.kill()
        server.wait()


def write_subjects(folder: Path, count: int) -> Path:
    """Subjects as `triage` writes them, each with a picture that no other has; the folder."""
    (folder / "images").mkdir(parents=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "#object_id", "#ra", "#dec", "#questions", "#confidence"])
    for number in range(count):
        name = f"images/{number:06d}-g{number}.jpg"
        color = (number % 256, number // 256 % 256, number // 65536)
        Image.new("RGB", (8, 8), color).save(folder / name, comment=str(number).encode())
        writer.writerow([name, f"g/{number}", number / 100, -number / 1000, "bar odd", f"{number / 1e5:.4f}"])
    (folder / "manifest.csv").write_text(text.getvalue())
    return folder


def check_once(state: dict[str, Any], count: int, workflow: int | None = None) -> None:
    """Every galaxy is one subject in one set, with its own picture, and there is no other subject.

    Raises
    ------
    AssertionError
        If that isn't so.
    """
    (only,) = state["sets"].values()
    galaxies = Counter(one["metadata"]["#object_id"] for one in state["subjects"].values())
    twice = {name: times for name, times in galaxies.items() if times > 1}
    assert not twice, f"{len(twice)} galaxies are there more than once, such as {list(twice)[:3]}"
    assert galaxies.keys() == {f"g/{number}" for number in range(count)}
    assert sorted(only["subjects"]) == sorted(map(int, state["subjects"])), "in the set is not what there is"
    assert len({state["pictures"][number] for number in state["subjects"]}) == count
    assert None not in [state["pictures"][number] for number in state["subjects"]]
    assert state["without_picture"] == 0, "a set got a subject without its picture"
    if workflow is not None:
        assert state["workflows"][str(workflow)]["sets"] == list(map(int, state["sets"]))
