"""Where a FITS file keeps its images, said apart from what reads it, which is slow to load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

FITS, GZIP, BZIP2 = b"SIMPLE  =", b"\x1f\x8b", b"BZh"
"""How the content of a FITS file begins, plain or compressed."""


def is_fits(data: bytes) -> bool:
    """Whether bytes are those of a FITS file, compressed or not."""
    return data.startswith((FITS, GZIP, BZIP2))


@dataclass(frozen=True)
class FitsLayout:
    """Where a file keeps its images.

    Attributes
    ----------
    extension
        Name (``{band}`` stands for the band) or number of a band's extension, or a mapping from bands to
        these. None: an extension that is called as the band is or whose header's BAND or FILTER names it, or
        a cube; in a file of one band IMAGE, SCI, or else the first image.
    planes
        Bands of a cube's first axis; its header's BANDS if empty.
    mask
        Name or number of the mask's extension, as `extension`; None if there are no masks.
    mask_planes
        Planes of the mask that count, by number or by name, for which the header has ``MP_<name>`` as
        Rubin's has; all if empty.
    marks_good
        See `mask_bits`.
    """

    extension: str | int | Mapping[str, str | int] | None = None
    planes: tuple[str, ...] = ()
    mask: str | int | None = None
    mask_planes: tuple[str | int, ...] = ()
    marks_good: bool = False
