"""Which variant of a step is the fastest on this machine: measured once, then remembered on disk."""

from __future__ import annotations

import contextlib
import hashlib
import json
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from subprocess import SubprocessError

import torch
import triton
from triton.errors import TritonError

from pipeline.averaging.kernels.cache import cache_folder, write_whole
from pipeline.averaging.kernels.layout import Step, Work
from pipeline.digest import digest

_FAILURES = (
    TritonError,
    RuntimeError,
    OSError,
    SubprocessError,
    ImportError,
    ValueError,
    TypeError,
    AssertionError,
)
"""What compiling and launching raise: Triton's own errors, CUDA's and cuDNN's (RuntimeError), a C compiler
that can't be started, finds no headers, or makes what can't be loaded, and what Triton's passes check."""

_TIMINGS = 5

Trial = Callable[[Work], object]
"""Does a work once, on data of the usual size."""

Stopwatch = Callable[[Callable[[], object]], float]
"""Seconds that a call takes."""


class NoVariantError(RuntimeError):
    """No variant of a step can be compiled and launched here."""


def attempt(name: str, launch: Callable[[], object]) -> None:
    """Launch a kernel once, so that one that can't be is known before any work.

    Raises
    ------
    NoVariantError
        If it can't be compiled and launched.
    torch.OutOfMemoryError
        If the GPU has too little memory for it.
    """
    try:
        launch()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
    except torch.OutOfMemoryError:
        raise
    except _FAILURES as error:
        raise _no_variant(name, error) from None


def choose(step: Step, trial: Trial, device: torch.device, dtype: torch.dtype, sets: int) -> tuple[str, Work]:
    """The variant of a step to use on a device, and its work; see `fastest`.

    Where the device isn't one of CUDA's, as for Triton's interpreter, it is the first one.

    Parameters
    ----------
    sets
        How many sets of viewpoints `trial` does the work on.
    """
    if device.type != "cuda":
        name, prepare = next(iter(step.variants.items()))
        return name, prepare()
    versions = (torch.__version__, torch.backends.cudnn.version(), triton.__version__, _code())
    machine = (torch.cuda.get_device_name(device), *versions)
    memory = _memory(*machine, str(dtype), sets, step.name, *step.shape, *step.variants)
    return fastest(step, trial, memory if len(step.variants) > 1 else None, by_events)


def fastest(step: Step, trial: Trial, memory: Path | None, stopwatch: Stopwatch) -> tuple[str, Work]:
    """The variant of a step that was the fastest before, or is when measured now, and its work.

    Parameters
    ----------
    memory
        The file that holds its name, and is written; a damaged or unwritable one is as none.

    Raises
    ------
    NoVariantError
        If none can be compiled and launched.
    torch.OutOfMemoryError
        If none can, one of them for want of memory.
    """
    remembered = _read(memory)
    if remembered in step.variants:
        with contextlib.suppress(*_FAILURES):
            work = step.variants[remembered]()
            stopwatch(lambda: trial(work))
            return remembered, work
    times, works, errors = measured(step.variants, trial, stopwatch)
    short = [error for error in errors.values() if isinstance(error, torch.OutOfMemoryError)]
    if not times and short:
        raise torch.OutOfMemoryError(str(short[0]))
    if not times:
        raise _no_variant(step.name, next(iter(errors.values())))
    best = min(times, key=lambda name: times[name])
    if not short:  # which may pass
        _write(memory, best)
    return best, works[best]


def measured(
    variants: Mapping[str, Callable[[], Work]], trial: Trial, stopwatch: Stopwatch
) -> tuple[dict[str, float], dict[str, Work], dict[str, Exception]]:
    """Seconds of each variant and its work, and the error of each that can't be compiled or launched."""
    times: dict[str, float] = {}
    works: dict[str, Work] = {}
    errors: dict[str, Exception] = {}
    for name, prepare in variants.items():
        try:
            work = works[name] = prepare()
            times[name] = stopwatch(lambda work=work: trial(work))  # type: ignore[misc]
        except _FAILURES as error:
            errors[name] = error.with_traceback(None)  # its frames hold buffers on the GPU
    return times, works, errors


def by_events(call: Callable[[], object]) -> float:
    """Median seconds of a call on the current GPU, after one that compiles what it needs."""
    call()
    torch.cuda.synchronize()
    pairs = []
    for _ in range(_TIMINGS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        pairs.append((start, end))
    torch.cuda.synchronize()
    milliseconds = [float(start.elapsed_time(end)) for start, end in pairs]
    return statistics.median(milliseconds) / 1e3


def _no_variant(name: str, error: Exception) -> NoVariantError:
    reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return NoVariantError(f"no kernel can be compiled and launched for {name}: {reason}")


def _code() -> str:
    """Digest of all kernels and configurations."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def _memory(*key: object) -> Path | None:
    """The file in the user's cache for a choice that depends on `key`; None where the user has no folder."""
    with contextlib.suppress(RuntimeError):
        return cache_folder() / f"{digest(*key)}.json"
    return None


def _read(memory: Path | None) -> str:
    with contextlib.suppress(OSError, ValueError):
        name = json.loads(memory.read_text(encoding="utf-8")) if memory else ""
        return name if isinstance(name, str) else ""
    return ""


def _write(memory: Path | None, name: str) -> None:
    if memory is not None:
        with contextlib.suppress(OSError):
            write_whole(memory, json.dumps(name))
