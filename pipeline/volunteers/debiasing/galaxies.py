"""What debiasing must know of galaxies: how bright, how large and how far they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import storage
from pipeline.errors import InputError


@dataclass(frozen=True)
class Galaxies:
    """Properties of galaxies; NaN where one isn't known.

    Attributes
    ----------
    magnitude : ndarray, shape (n,), float64
        Absolute magnitude.
    size : ndarray, shape (n,), float64
        Half-light radius in kpc.
    redshift : ndarray, shape (n,), float64
    """

    magnitude: NDArray[np.float64]
    size: NDArray[np.float64]
    redshift: NDArray[np.float64]

    def __len__(self) -> int:
        """How many galaxies."""
        return len(self.redshift)

    @property
    def complete(self) -> NDArray[np.bool_]:
        """Of which all three are known, and can be true."""
        finite = np.isfinite(self.magnitude) & np.isfinite(self.size) & np.isfinite(self.redshift)
        return np.asarray(finite & (self.size > 0) & (self.redshift > 0))

    def take(self, rows: NDArray[np.int64]) -> Galaxies:
        """Some of them, in this order; a row of -1 is a galaxy that isn't known."""

        def taken(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.where(rows >= 0, np.append(values, np.nan)[rows], np.nan)

        return Galaxies(taken(self.magnitude), taken(self.size), taken(self.redshift))


def physical(galaxies: Galaxies) -> Galaxies:
    """From apparent magnitude and arcseconds to absolute magnitude and kpc.

    H0 is 70 km/s/Mpc and Ωm 0.3; there is no K-correction.

    Examples
    --------
    >>> one = physical(Galaxies(np.array([17.0]), np.array([2.0]), np.array([0.1])))
    >>> one.magnitude.round(1).tolist(), one.size.round(1).tolist()
    ([-21.3], [3.7])
    """
    from astropy.cosmology import FlatLambdaCDM  # takes a second to load

    magnitude, size = np.full((2, len(galaxies)), np.nan)
    ok = galaxies.complete
    z = galaxies.redshift[ok]
    # Distances are smooth: a grid is as good as each galaxy's own integral, and much faster.
    cosmology = FlatLambdaCDM(H0=70, Om0=0.3)
    grid = np.geomspace(z.min(), z.max(), 500) if len(z) else np.zeros(0)
    parsecs = np.interp(z, grid, cosmology.luminosity_distance(grid).to_value("pc")) if len(z) else z
    magnitude[ok] = galaxies.magnitude[ok] - 5 * np.log10(parsecs / 10)
    size[ok] = galaxies.size[ok] * np.radians(1 / 3600) * parsecs / (1 + z) ** 2 / 1000
    return Galaxies(magnitude, size, galaxies.redshift)


def read_galaxies(
    uri: str, magnitude: str, size: str, redshift: str, object_id: str = "object_id"
) -> tuple[pd.Index[str], Galaxies]:
    """Ids and properties of a table's galaxies.

    Parameters
    ----------
    uri
        Parquet file or CSV.
    magnitude, size, redshift, object_id
        Names of its columns.

    Raises
    ------
    InputError
        If it can't be read, lacks a column, holds what is no number, or has a galaxy twice.
    """
    names = [object_id, magnitude, size, redshift]
    with (
        storage.explained("read", uri),
        storage.filesystem(uri)[0].open(storage.filesystem(uri)[1]) as stream,
    ):
        try:
            if uri.endswith((".parquet", ".pq")):
                table = pd.read_parquet(stream)
            else:
                form: Literal["gzip"] | None = "gzip" if uri.endswith(".gz") else None
                table = pd.read_csv(stream, dtype={object_id: str}, compression=form)
        except (ValueError, UnicodeDecodeError) as error:
            raise InputError(f"galaxies={uri} is no Parquet file or CSV: {error}") from error
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise InputError(
            f"galaxies={uri} has no column {missing[0]!r}; it has {', '.join(map(str, table.columns[:12]))}; "
            "name its columns as magnitude=, size=, redshift= and id="
        )
    numbers = {}
    for name in names[1:]:
        numbers[name] = pd.to_numeric(table[name], errors="coerce").to_numpy(np.float64)
        wrong = np.flatnonzero(np.isnan(numbers[name]) & table[name].notna().to_numpy())
        if len(wrong):
            raise InputError(
                f"galaxies={uri} has {str(table[name].iloc[wrong[0]])!r} for {name!r} of "
                f"{table[object_id].iloc[wrong[0]]!r}; expected a number, or nothing where it isn't known"
            )
    ids = pd.Index(table[object_id].astype(str))
    if not ids.is_unique:
        raise InputError(f"galaxies={uri} has {ids[ids.duplicated()][0]!r} twice; each galaxy needs one row")
    return ids, Galaxies(numbers[magnitude], numbers[size], numbers[redshift])
