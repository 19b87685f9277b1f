"""The same galaxies in every form that surveys keep them in."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import simplejpeg
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from pipeline.images import ColorMapping, color_picture
from pipeline.survey import SurveySettings
from tests.support.galaxies import galaxy, png

REAL = Path(os.environ.get("TUNINGFORK_REAL_GALAXIES", Path(__file__).parents[3] / "shared" / "data"))
"""Where real galaxies are, which the project doesn't bring along."""

BANDS = ("g", "r", "i")
COLOR = {"bands": ["i", "r", "g"], "scales": [1.0, 1.5, 2.5], "stretch": 0.231, "Q": 4.62, "minimum": -0.02}
SCALE = 0.4


@dataclass(frozen=True)
class Sky:
    """A galaxy with its fluxes, (bands, height, width) float32 in the order of `BANDS`, nanomaggies."""

    name: str
    ra: float
    dec: float
    flux: NDArray[np.float32]

    @cached_property
    def picture(self) -> NDArray[np.uint8]:
        """What the fluxes look like by `COLOR`."""
        mapping = ColorMapping(
            bands=("i", "r", "g"), scales=(1.0, 1.5, 2.5), stretch=0.231, Q=4.62, minimum=-0.02
        )
        return color_picture(np.stack([self.flux[2], self.flux[1], self.flux[0]], axis=-1), mapping)


def skies(count: int, side: int = 96) -> list[Sky]:
    """Synthetic galaxies."""
    return [sky(f"g{i:03d}", i, galaxy(i, side)) for i in range(count)]


def sky(name: str, number: int, pixels: NDArray[np.uint8]) -> Sky:
    """Fluxes whose picture resembles some pixels."""
    red, green, blue = (np.sinh(pixels[..., c] / 75.0) / 20 for c in range(3))
    flux = np.stack([blue / 2.5, green / 1.5, red]).astype(np.float32)
    return Sky(name, 10.0 + number / 8, -5.0 + number / 16, flux)


def survey(**settings: Any) -> SurveySettings:
    """A survey file with the colours of these galaxies."""
    return SurveySettings.model_validate({"name": "made", "color": COLOR, **settings})


def rows(galaxies: Sequence[Sky], encode: Callable[[NDArray[np.uint8]], bytes]) -> pa.Table:
    """A cutout table of encoded pictures."""
    return pa.table(
        {
            "object_id": [one.name for one in galaxies],
            "ra": [one.ra for one in galaxies],
            "dec": [one.dec for one in galaxies],
            "image": pa.array([encode(one.picture) for one in galaxies], pa.binary()),
        }
    )


def jpeg(pixels: NDArray[np.uint8]) -> bytes:
    """Encode as JPEG."""
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=95))


def write_parquet(
    folder: Path, galaxies: Sequence[Sky], encode: Callable[..., bytes] = png
) -> dict[str, Any]:
    """A table with columns of other names."""
    table = rows(galaxies, encode).rename_columns(["objid", "RA", "DEC", "cutout"])
    pq.write_table(table, folder / "part.parquet", row_group_size=7)
    return {"columns": {"object_id": "objid", "ra": "RA", "dec": "DEC", "image": "cutout"}}


def write_hats(folder: Path, galaxies: Sequence[Sky]) -> dict[str, Any]:
    """A HATS catalogue of two partitions, with all the files that are none."""
    leaves = folder / "dataset" / "Norder=1" / "Dir=0"
    leaves.mkdir(parents=True)
    half = len(galaxies) // 2
    for pixel, some in ((3, galaxies[:half]), (17, galaxies[half:])):
        pq.write_table(rows(some, png), leaves / f"Npix={pixel}.parquet")
    table = rows(galaxies[:1], png)
    for name in ("_metadata", "_common_metadata"):
        pq.write_metadata(table.schema, folder / "dataset" / name)
    pq.write_table(table, folder / "dataset" / "data_thumbnail.parquet")
    (folder / "partition_info.csv").write_text("Norder,Npix\n1,3\n1,17\n")
    (folder / "hats.properties").write_text("obs_collection=made\n")
    return {}


def fits_bytes(one: Sky, byte_order: str = ">f4") -> bytes:
    """One file with an extension a band."""
    return fits_file(
        [fits.PrimaryHDU()]
        + [
            fits.ImageHDU(one.flux[number].astype(byte_order), sky_header(one), name=band)
            for number, band in enumerate(BANDS)
        ]
    )


def fits_file(hdus: Sequence[Any]) -> bytes:
    """The bytes of a file."""
    stream = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(stream, output_verify="silentfix")
    return stream.getvalue()


def sky_header(one: Sky, scale: float = SCALE) -> fits.Header:
    """A tangential projection with the galaxy in the middle."""
    height, width = one.flux.shape[1:]
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [one.ra, one.dec]
    wcs.wcs.crpix = [(width + 1) / 2, (height + 1) / 2]
    wcs.wcs.cdelt = [-scale / 3600, scale / 3600]
    return wcs.to_header()


def write_parquet_fits(folder: Path, galaxies: Sequence[Sky]) -> dict[str, Any]:
    """A table with FITS files in it."""
    table = rows(galaxies, png).drop_columns(["ra", "dec"])
    images = pa.array([fits_bytes(one) for one in galaxies], pa.binary())
    pq.write_table(table.set_column(1, "image", images), folder / "part.parquet")
    return {}


IMAGES = pa.list_(
    pa.struct(
        [
            ("band", pa.string()),
            ("flux", pa.list_(pa.list_(pa.float32()))),
            ("mask", pa.list_(pa.list_(pa.bool_()))),
            ("ivar", pa.list_(pa.list_(pa.float32()))),
            ("psf_fwhm", pa.float32()),
            ("scale", pa.float32()),
        ]
    )
)


def banded(one: Sky) -> list[dict[str, Any]]:
    """A galaxy as a list of bands."""
    return [
        {
            "band": band,
            "flux": one.flux[number].tolist(),
            "mask": np.zeros(one.flux.shape[1:], bool).tolist(),
            "ivar": np.ones(one.flux.shape[1:]).tolist(),
            "psf_fwhm": 1.3,
            "scale": SCALE,
        }
        for number, band in enumerate(BANDS)
    ]


def write_multimodal(folder: Path, galaxies: Sequence[Sky]) -> dict[str, Any]:
    """A list of structs."""
    table = rows(galaxies, png)
    images = pa.array([banded(one) for one in galaxies], IMAGES)
    pq.write_table(table.set_column(3, "image", images), folder / "part.parquet", row_group_size=5)
    return {}


def write_multimodal_struct(folder: Path, galaxies: Sequence[Sky]) -> dict[str, Any]:
    """A struct of lists, with another name of the array."""
    kind = pa.struct([("band", pa.list_(pa.string())), ("array", pa.list_(pa.list_(pa.list_(pa.float32()))))])
    images = pa.array([{"band": list(BANDS), "array": one.flux.tolist()} for one in galaxies], kind)
    pq.write_table(rows(galaxies, png).set_column(3, "image", images), folder / "part.parquet")
    return {"columns": {"flux": "array"}}


def tar_bytes(members: Sequence[tuple[str, bytes]], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of some members."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def write_tar(
    folder: Path, galaxies: Sequence[Sky], encode: Callable[..., bytes] = png, suffix: str = "png"
) -> dict[str, Any]:
    """Two WebDataset shards."""
    half = len(galaxies) // 2
    for number, some in enumerate((galaxies[:half], galaxies[half:])):
        members = []
        for one in some:
            facts = {"id": one.name, "ra": one.ra, "dec": one.dec}
            members += [
                (f"made/{one.name}x.{suffix}", encode(one.picture)),
                (f"made/{one.name}x.json", json.dumps(facts).encode()),
            ]
        (folder / f"shard-{number}.tar").write_bytes(tar_bytes(members))
    return {"columns": {"object_id": "id"}}


def write_tar_fits(folder: Path, galaxies: Sequence[Sky]) -> dict[str, Any]:
    """A WebDataset shard with a FITS file for each band and no JSON."""
    members = [
        (f"{one.name}.{band}.fits", fits_file([fits.PrimaryHDU(one.flux[number], sky_header(one))]))
        for one in galaxies
        for number, band in enumerate(BANDS)
    ]
    (folder / "all.tar").write_bytes(tar_bytes(members))
    return {}


def write_hdf5(folder: Path, galaxies: Sequence[Sky], byte_order: str = "<f4") -> dict[str, Any]:
    """One array of all fluxes."""
    flux = np.stack([one.flux for one in galaxies]).astype(byte_order)
    with h5py.File(folder / "all.h5", "w") as file:
        file.create_dataset("images", data=flux, chunks=(1, *flux.shape[1:]), compression="gzip")
        file["name"] = [one.name.encode() for one in galaxies]
        file["ra"] = [one.ra for one in galaxies]
        file["dec"] = [one.dec for one in galaxies]
    return {"planes": list(BANDS), "columns": {"flux": "images", "object_id": "name"}}


def write_images(
    folder: Path, galaxies: Sequence[Sky], encode: Callable[..., bytes] = png, suffix: str = "png"
) -> dict[str, Any]:
    """A file a galaxy, and a table with positions."""
    for one in galaxies:
        (folder / f"{one.name}.{suffix}").write_bytes(encode(one.picture))
    lines = [f"{one.name},{one.ra!r},{one.dec!r}" for one in galaxies]
    table = folder.parent / f"{folder.name}.csv"
    table.write_text("\n".join(["name,ra,dec", *lines]) + "\n")
    return {"table": str(table), "columns": {"object_id": "name"}, "files_per_shard": 7}


def write_fits(folder: Path, galaxies: Sequence[Sky]) -> dict[str, Any]:
    """A file a galaxy."""
    for one in galaxies:
        (folder / f"{one.name}.fits").write_bytes(fits_bytes(one))
    return {}


def write_frames(folder: Path, galaxies: Sequence[Sky]) -> dict[str, Any]:
    """A file a galaxy and band, named as SDSS's frames are."""
    for one in galaxies:
        for number, band in enumerate(BANDS):
            content = fits_file([fits.PrimaryHDU(one.flux[number].astype("<f4"), sky_header(one))])
            (folder / f"frame-{band}-{one.name}.fits").write_bytes(content)
        (folder / f"frame-u-{one.name}.fits").write_bytes(b"a band that nobody asks for")
    return {"files": "frame-{band}-{object_id}.fits"}


def write_cubes(folder: Path, galaxies: Sequence[Sky]) -> dict[str, Any]:
    """A cube a galaxy, its bands told by the header."""
    for one in galaxies:
        header = sky_header(one)
        header["BANDS"] = "".join(BANDS)
        (folder / f"{one.name}.fits").write_bytes(fits_file([fits.PrimaryHDU(one.flux, header)]))
    return {}


def exposure(one: Sky, band: str, mask: NDArray[np.int32] | None = None) -> bytes:
    """A galaxy in one band as Rubin has it: IMAGE, MASK with its planes in the header, VARIANCE."""
    flux = one.flux[BANDS.index(band)]
    planes = {"BAD": 0, "SAT": 1, "INTRP": 2, "CR": 3, "EDGE": 4, "DETECTED": 5, "NO_DATA": 8}
    mask = np.full(flux.shape, 1 << 5, np.int32) if mask is None else mask
    masks = fits.CompImageHDU(mask, sky_header(one), name="MASK", compression_type="GZIP_2")
    for name, number in planes.items():
        masks.header[f"HIERARCH MP_{name}"] = number
    return fits_file(
        [
            fits.PrimaryHDU(),
            fits.CompImageHDU(
                flux, sky_header(one), name="IMAGE", compression_type="GZIP_2", quantize_level=0
            ),
            masks,
            fits.CompImageHDU(np.full_like(flux, 0.1), name="VARIANCE", compression_type="GZIP_2"),
        ]
    )


def write_exposures(folder: Path, galaxies: Sequence[Sky]) -> dict[str, Any]:
    """Rubin's files."""
    for one in galaxies:
        for band in BANDS:
            (folder / f"{one.name}-{band}.fits").write_bytes(exposure(one, band))
    return {
        "files": "{object_id}-{band}.fits",
        "extension": "IMAGE",
        "mask": {"name": "MASK", "planes": ["NO_DATA", "CR"]},
    }


FORMS: dict[str, Callable[[Path, Sequence[Sky]], dict[str, Any]]] = {
    "parquet": write_parquet,
    "hats": write_hats,
    "parquet of fits": write_parquet_fits,
    "multimodal": write_multimodal,
    "multimodal struct": write_multimodal_struct,
    "webdataset": write_tar,
    "webdataset of fits": write_tar_fits,
    "hdf5": write_hdf5,
    "images": write_images,
    "fits": write_fits,
    "fits frames": write_frames,
    "fits cubes": write_cubes,
    "fits of rubin": write_exposures,
}
"""Writes galaxies to a folder; gives what the survey file must say."""
