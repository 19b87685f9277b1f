"""Numbers and names as a reader wants them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from pipeline.tree import MorphologyClass


def percent(share: float) -> str:
    """A share in percent, with as many digits as tell it from 0 and 1."""
    if 0 < share < 0.001:
        return "<0.1%"
    value = round(100 * share, 3)  # single precision sums to 1 only nearly
    if 99.9 < value < 100:
        return ">99.9%"
    digits = 1 if 0 < value < 10 or 99 < value < 100 else 0
    return f"{value:.{digits}f}%"


def duration(seconds: float) -> str:
    """A time span: ``8.4 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    rounded = round(seconds)
    if rounded < 3600:
        return f"{rounded // 60} min {rounded % 60} s"
    return f"{rounded // 3600:,} h {rounded % 3600 // 60} min"


def rate(per_second: float | None) -> str:
    """Galaxies per second, minute or hour, whichever number is easy to read."""
    if per_second is None:
        return "–"
    for factor, unit in ((1, "s"), (60, "min"), (3600, "h")):
        if per_second * factor >= 1 or unit == "h":
            value = per_second * factor
            return f"{value:,.0f} / {unit}" if value >= 100 else f"{value:.1f} / {unit}"
    raise AssertionError("the last unit always applies")


def moment(when: datetime) -> str:
    """A date and time: ``9 May 2031, 14:03 UTC``."""
    zone = f" {when.tzname()}" if when.tzinfo else ""
    return f"{when.day} {when:%B %Y, %H:%M}{zone}"


def class_codes(classes: Sequence[MorphologyClass]) -> tuple[str, ...]:
    """Two letters for each class (``BS`` for "Barred spiral"), a number added where two would be the same."""
    codes: list[str] = []
    for named in classes:
        words = re.findall(r"\w+", named.name) or ["?"]
        code = (words[0][0] + words[-1][0] if len(words) > 1 else words[0][:2]).upper()
        taken = sum(1 for other in codes if other.rstrip("0123456789") == code)
        codes.append(f"{code}{taken + 1}" if taken else code)
    return tuple(codes)


def ink_on(color: str) -> str:
    """Black or white, whichever reads better on ``#rrggbb`` (WCAG relative luminance)."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000000" if luminance > 0.179 else "#ffffff"


def sentence(words: str) -> str:
    """The words with a capital first letter."""
    return words[:1].upper() + words[1:]
