"""Copies to shared memory that go through the first-level cache.

Neighbouring programs read overlapping windows. Triton copies 16 bytes past the first-level cache, whatever
a load asks for; so the assembler text of such a kernel is changed before it's assembled, by its own launches'
`ir_override`, which is no other kernel's concern. Which cache a copy goes through is a hint: results stay.
"""

from __future__ import annotations

import hashlib
from typing import Any

from pipeline.averaging.kernels.cache import cache_folder, write_whole

_PAST, _THROUGH = "cp.async.cg.shared.global", "cp.async.ca.shared.global"
_GROUP = "cp.async.commit_group"


class ThroughL1:
    """Launches a kernel as ``kernel[grid](…)`` does, with copies that go through the first-level cache.

    Parameters
    ----------
    loads
        How many loads of the kernel's loop are copied, of which the first is to go through the cache.
    """

    def __init__(self, kernel: Any, loads: int) -> None:
        self._kernel, self._loads = kernel, loads
        self._path = ""

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        def launch(*arguments: object, **options: object) -> None:
            if not self._path:
                compiled = self._kernel.warmup(*arguments, grid=grid, **options)
                self._path = _kept(through_l1(compiled.asm["ptx"], self._loads))
            self._kernel[grid](*arguments, ir_override=self._path, **options)

        return launch


def through_l1(ptx: str, loads: int) -> str:
    """Assembler text in which the first of every so many groups of copies goes through the cache."""
    groups, number = ptx.split(_GROUP), 0
    for i, group in enumerate(groups):
        if _PAST in group:
            if number % loads == 0:
                groups[i] = group.replace(_PAST, _THROUGH)
            number += 1
    return _GROUP.join(groups)


def _kept(ptx: str) -> str:
    """A file of that text, named by it."""
    path = cache_folder() / f"{hashlib.sha256(ptx.encode()).hexdigest()}.ptx"
    write_whole(path, ptx)
    return str(path)
