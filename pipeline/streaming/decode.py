"""The decode stage: rows of a shard → uint8 regions around the galaxies; a bad row becomes a reason."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.images.axes import SkyAxes
from pipeline.images.jpeg import CELLS
from pipeline.images.rejection import MEASURED
from pipeline.protocol.plan import WorkUnit
from pipeline.streaming.isolation import IsolatedDecoder
from pipeline.streaming.limits import DecodeLimits, memory_limit, time_limit
from pipeline.streaming.rows import DECODE_DEFAULTS, DecodeSettings, decode_row, read_patiently
from pipeline.streaming.sources import open_source
from pipeline.survey.settings import SurveySettings
from pipeline.survey.source import Source, check_identity

VERDICT = pa.struct(
    [pa.field("rejection", pa.string()), *(pa.field(name, pa.float64()) for name in MEASURED)]
)
"""See `pipeline.images.rejection.Verdict`."""

DECODED_SCHEMA = pa.schema(
    [
        ("unit", pa.int64()),
        ("shard", pa.string()),
        ("row", pa.int64()),
        ("object_id", pa.string()),
        ("ra", pa.float64()),
        ("dec", pa.float64()),
        ("content", pa.string()),
        ("reason", pa.string()),
        ("message", pa.string()),
        ("pixels", pa.large_binary()),  # 2 GB and more where a unit's images are large
        (
            "jpeg",
            pa.struct(
                [
                    ("width", pa.int32()),
                    ("height", pa.int32()),
                    ("left", pa.int32()),
                    ("top", pa.int32()),
                    ("brightness", pa.list_(pa.float32(), CELLS * CELLS)),
                ]
            ),
        ),
        ("side", pa.int32()),
        ("left", pa.int32()),
        ("top", pa.int32()),
        ("axes", pa.list_(pa.float64(), len(SkyAxes._fields))),
        ("center_x", pa.float64()),
        ("center_y", pa.float64()),
        ("scale", pa.float64()),
        ("recentred", pa.list_(pa.list_(pa.float64()))),
        ("replaced", pa.int64()),
        ("verdict", VERDICT),
        ("decode_seconds", pa.float64()),
    ]
)
"""One row a galaxy; either `reason` is null or `pixels` is: raw RGB of side × side, where `jpeg` is null.

Where it isn't, ``pixels`` are a plain JPEG, in which the region of side × side begins at ``left, top``, and
may pass its border; ``brightness`` is that of its cells (see `check_jpeg`). The columns ``left, top`` say
where any region begins in its picture, and ``axes`` how the sky lies there (see `SkyAxes`), null where
nothing tells. ``center_x, center_y, scale`` are of the galaxy's frame, ``recentred`` of each recentred one
(see `cut_frames`); ``replaced`` is the number of bad pixels that were replaced; ``verdict`` is null where
none was asked for.
"""


def unit_of(batch: pa.Table) -> WorkUnit:
    """The work unit that a one-row batch describes."""
    (row,) = batch.to_pylist()
    duplicates, skipped = (tuple(row[key] or ()) for key in ("duplicates", "skipped"))
    return WorkUnit(
        row["index"],
        row["shard"],
        row["start"],
        row["stop"],
        duplicates,
        skipped,
        row.get("size"),
        row.get("etag"),
    )


class DecodeActor:
    """Ray Data stage: a one-row batch that names a unit → the unit's galaxies (`DECODED_SCHEMA`).

    An actor decodes in its own process, as long as that has never died. One that was restarted decodes in a
    child process from then on: so an input that kills its process kills an actor once, and the limit on
    restarts is not used up by however many such inputs there are.

    Parameters
    ----------
    limits
        What decoding a row may take.
    isolated
        Whether to decode in a child process; by default as said above.
    survey, index
        See `pipeline.streaming.sources.open_source`.
    settings
        How rows are decoded.
    """

    def __init__(
        self,
        limits: DecodeLimits | None = None,
        isolated: bool | None = None,
        survey: SurveySettings | None = None,
        index: str | None = None,
        settings: DecodeSettings = DECODE_DEFAULTS,
    ) -> None:
        self._limits, self._settings = limits or DecodeLimits(), settings
        self._source = open_source(survey, index)
        self._isolated = _was_restarted() if isolated is None else isolated
        self._decoder = IsolatedDecoder(self._limits, self._source, index, settings)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Read and decode one unit, of the shard that was planned."""
        unit = unit_of(batch)
        decoded = self._decode(unit)
        if unit.size is not None and unit.etag is not None:
            check_identity(self._source, unit.shard, unit.size, unit.etag)
        return decoded

    def _decode(self, unit: WorkUnit) -> pa.Table:
        if not self._isolated:
            try:
                return decode_unit(unit, self._limits, self._source, self._settings)
            except MemoryError:
                pass  # one row's fault or the unit's: decoded apart, that shows
        started = time.perf_counter()
        return decoded_table(unit, self._decoder.decode(unit), started)


def _was_restarted() -> bool:
    import ray  # only actors need it: decoding can be measured where there is none

    if not ray.is_initialized():
        return False
    context = ray.get_runtime_context()
    return context.get_actor_id() is not None and bool(context.was_current_actor_reconstructed)


def decode_unit(
    unit: WorkUnit,
    limits: DecodeLimits | None = None,
    source: Source | None = None,
    settings: DecodeSettings = DECODE_DEFAULTS,
) -> pa.Table:
    """Read and decode a unit in this process; whatever is wrong with a row stays with that row.

    A row that passes the time limit ends the process by SIGALRM.

    Raises
    ------
    InputError
        If the shard itself can't be read.
    MemoryError
        If the unit takes more than its limit.
    """
    limits, source = limits or DecodeLimits(), source or open_source()
    started = time.perf_counter()
    read = read_patiently(source, unit.shard, unit.start, unit.stop)
    duplicates, skipped = set(unit.duplicates), set(unit.skipped)
    rows = []
    with memory_limit(limits.memory_bytes):
        for offset, cutout in enumerate(read.cutouts()):
            row = unit.start + offset
            if row in skipped:
                continue
            with time_limit(limits.row_seconds):
                problem = read.problems.get(offset)
                rows.append(decode_row(cutout, row, row in duplicates, problem, source, settings))
    return decoded_table(unit, rows, started)


def decoded_table(unit: WorkUnit, rows: list[dict[str, Any]], started: float) -> pa.Table:
    """Rows of a unit as `decode_row` gives them, as a table of `DECODED_SCHEMA`; their pixels are taken out.

    Parameters
    ----------
    started
        When decoding began, by `time.perf_counter`.
    """
    pixels = _gathered([row.pop("pixels", None) for row in rows])
    shared = {"unit": unit.index, "shard": unit.shard, "decode_seconds": time.perf_counter() - started}
    table = pa.Table.from_pylist([row | shared for row in rows], schema=DECODED_SCHEMA)
    return table.set_column(DECODED_SCHEMA.get_field_index("pixels"), "pixels", pixels)


def _gathered(images: list[NDArray[np.uint8] | bytes | None]) -> pa.Array:
    """Images one behind the other in one buffer: the only copy of pixels before that to shared memory."""
    sizes = [image.nbytes if isinstance(image, np.ndarray) else len(image or b"") for image in images]
    offsets = np.cumsum([0, *sizes], dtype=np.int64)
    buffer = np.empty(int(offsets[-1]), np.uint8)
    for image, start, size in zip(images, offsets, sizes, strict=False):
        if isinstance(image, np.ndarray):
            buffer[start : start + size].reshape(image.shape)[:] = image
        elif image is not None:
            buffer[start : start + size] = np.frombuffer(image, np.uint8)
    missing = pa.array([image is not None for image in images], pa.bool_())
    return pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(images), [missing.buffers()[1], pa.py_buffer(offsets), pa.py_buffer(buffer)]
    )
