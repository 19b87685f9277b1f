"""Checkpoints of a training run: safetensors files whose names tell their content's hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from pipeline import storage
from pipeline.errors import InputError

_SUFFIX = ".safetensors"
_KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training run at one moment.

    Attributes
    ----------
    seen
        Examples shown.
    tensors
        See `Trainer.state`.
    log
        The rows logged until then.
    steps
        What the log doesn't hold yet (see `Step.values`).
    passed_over
        Newer files that aren't whole.
    """

    seen: int
    tensors: dict[str, Tensor]
    log: list[dict[str, Any]]
    steps: list[dict[str, Any]]
    passed_over: tuple[str, ...] = ()


def save_checkpoint(
    folder: str,
    seen: int,
    tensors: Mapping[str, Tensor],
    log: Sequence[Mapping[str, Any]],
    steps: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write a checkpoint and remove all but the last two."""
    stored = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    metadata = {"log": json.dumps(list(log)), "steps": json.dumps(list(steps))}
    data = save_tensors(stored, metadata=metadata)
    digest = hashlib.sha256(data).hexdigest()[:16]
    storage.write_bytes(storage.join(folder, f"{seen:012d}-{digest}{_SUFFIX}"), data)
    for old in _newest_first(folder)[_KEPT:]:
        storage.remove(old)


def newest_checkpoint(folder: str) -> Checkpoint | None:
    """The newest checkpoint that is whole; None if there never was one.

    Raises
    ------
    InputError
        If there are some and none is whole.
    """
    torn: list[str] = []
    for uri in _newest_first(folder):
        contents = _read(uri)
        if contents is not None:
            return Checkpoint(*contents, passed_over=tuple(torn))
        torn.append(uri)
    if torn:
        raise InputError(
            f"{torn[0]} is not a whole checkpoint, and neither is an older one; remove {folder} to train anew"
        )
    return None


def _newest_first(folder: str) -> list[str]:
    return sorted((file.uri for file in storage.list_files(folder, _SUFFIX)), key=storage.name, reverse=True)


def _read(uri: str) -> tuple[int, dict[str, Tensor], list[dict[str, Any]], list[dict[str, Any]]] | None:
    seen, _, digest = storage.name(uri).removesuffix(_SUFFIX).partition("-")
    data = storage.read_bytes(uri)
    if not seen.isdecimal() or hashlib.sha256(data).hexdigest()[:16] != digest:
        return None
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        # Those of before have no steps.
        log, steps = json.loads(header["log"]), json.loads(header.get("steps", "[]"))
        return int(seen), load_tensors(data), log, steps
    except (SafetensorError, ValueError, KeyError):
        return None
