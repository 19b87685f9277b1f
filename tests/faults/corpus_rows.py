"""Rows whose metadata are bad or odd, and shards that are."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.corpus import FINE, Kind

NAN, INF = float("nan"), float("inf")


def metadata_kinds() -> Iterator[Kind]:
    """All kinds that differ in the metadata alone."""
    yield Kind("null id", ("no_object_id",), {"object_id": None})
    yield Kind("empty id", ("no_object_id",), {"object_id": ""})
    yield Kind("blank id", ("no_object_id",), {"object_id": " \t\n"})
    yield Kind("long id", ("bad_object_id",), {"object_id": "x" * 1001})
    yield Kind("very long id", ("bad_object_id",), {"object_id": "é" * 1_000_000})
    yield Kind("id with NUL", ("bad_object_id",), {"object_id": "a\0b"})
    for name, value in {
        "longest id": "y" * 1000,
        "emoji id": "🌌🔭",
        "id with quotes": "a\"b'c,d\\e",
        "id with lines": "a\nb\tc",
        "id like a path": "../../etc/passwd",
        "id like a number": "587722981742084144",
        "id like NaN": "NaN",
        "combined characters": "e\u0301\u200f\ufeff",
    }.items():
        yield Kind(name, (FINE,), {"object_id": value})
    for name, frame in {
        "NaN": NAN,
        "inf": INF,
        "-inf": -INF,
        "negative": -5.0,
        "zero": 0.0,
        "huge": 1e300,
    }.items():
        yield Kind(f"{name} frame", ("bad_frame",), {"frame_pixels": frame})
    yield Kind("frame above the most", ("bad_frame",), {"frame_pixels": 6000.0})
    for name, frame in {"tiny": 1e-300, "wide": 400.0, "whole": 64.0}.items():
        yield Kind(f"{name} frame", (FINE,), {"frame_pixels": frame})
    for name, center in {
        "outside": (64.0, 5.0),
        "outside below": (5.0, -1.0),
        "NaN": (NAN, NAN),
        "half NaN": (5.0, NAN),
        "infinite": (INF, 0.0),
        "huge": (1e308, 1e308),
        "half null": (5.0, None),
    }.items():
        yield Kind(f"{name} centre", ("bad_center",), {"center_x": center[0], "center_y": center[1]})
    yield Kind("centre on the border", (FINE,), {"center_x": 63.5, "center_y": -0.5})
    for name, ra, dec in (
        ("infinite ra", INF, 0.0),
        ("infinite dec", 0.0, -INF),
        ("ra beyond", 360.1, 0.0),
        ("ra far below", -180.1, 0.0),
        ("dec beyond", 0.0, 90.01),
        ("sentinel", -9999.0, -9999.0),
        ("huge ra", 1e308, 0.0),
    ):
        yield Kind(name, ("bad_position",), {"ra": ra, "dec": dec})
    fine: tuple[tuple[str, float | None, float | None], ...] = (
        ("NaN position", NAN, NAN),
        ("NaN dec", 5.0, NAN),
        ("null position", None, None),
        ("ra 360, south pole", 360.0, -90.0),
        ("negative ra", -179.0, 0.0),
    )
    for name, longitude, latitude in fine:
        yield Kind(name, (FINE,), {"ra": longitude, "dec": latitude})
    yield Kind("odd field", (FINE,), {"x": NAN, "y": INF, "radius": -1.0})
