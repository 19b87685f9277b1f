"""What a training run tells of itself: rows as JSON lines, and the same for TensorBoard."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter

from pipeline import storage
from pipeline.tracking import record_rows


def write_log(folder: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write ``log.jsonl`` and ``tensorboard/`` with all rows so far; tell MLflow, if one is named.

    Parameters
    ----------
    rows
        Each with ``seen``, the examples shown, and ``time``, in seconds since 1970; what else they hold is a
        number or numbers by name.
    """
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    storage.write_bytes(storage.join(folder, "log.jsonl"), lines.encode())
    with tempfile.TemporaryDirectory() as local:
        with SummaryWriter(local, filename_suffix=".training") as writer:
            for row in rows:
                for name, value in _scalars(row):
                    writer.add_scalar(name, value, row["seen"], walltime=row["time"])
        (events,) = Path(local).iterdir()
        # Always of one name: a run that goes on replaces its own curves.
        storage.write_bytes(
            storage.join(folder, "tensorboard", "events.out.tfevents.0.training"), events.read_bytes()
        )
    record_rows(folder, [{"seen": row["seen"], "time": row["time"], **dict(_scalars(row))} for row in rows])


def _scalars(row: Mapping[str, Any]) -> list[tuple[str, float]]:
    scalars = []
    for name, value in row.items():
        if isinstance(value, Mapping):
            scalars += [(f"{name}/{part}", float(number)) for part, number in value.items()]
        elif name not in ("seen", "time"):
            scalars.append((name, float(value)))
    return scalars
