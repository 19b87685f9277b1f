"""FITS files of a galaxy: extensions, cubes, masks, coordinates, and what can be wrong with them."""

from __future__ import annotations

import bz2
import gzip
import random
import re

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from pipeline.images import FitsLayout, ImageError
from pipeline.images.fits import read_fits
from tests.support.forms import BANDS, SCALE, exposure, fits_bytes, fits_file, skies, sky_header

(SKY,) = skies(1, 40)
PLAIN = FitsLayout()


def read(data, bands=BANDS, layout=PLAIN, band=None):
    return read_fits([(band, data)], bands, layout)


def refused(data, bands=BANDS, layout=PLAIN, band=None):
    with pytest.raises(ImageError) as caught:
        read(data, bands, layout, band)
    return caught.value.reason, caught.value.message


@pytest.mark.parametrize("byte_order", [">f4", "<f4", ">f8"])
def test_extensions_are_found_by_their_bands(byte_order):
    images = read(fits_bytes(SKY, byte_order))
    assert list(images.flux) == list(BANDS)
    for number, band in enumerate(BANDS):
        assert images.flux[band].dtype == np.dtype("=f4")
        np.testing.assert_array_equal(images.flux[band], SKY.flux[number])
    assert images.pixel_scale == pytest.approx(SCALE)
    assert images.position == pytest.approx((SKY.ra, SKY.dec))
    assert images.axes == pytest.approx((-SCALE, 0, 0, SCALE), abs=1e-6)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress])
def test_compressed_files(compress):
    data = compress(fits_bytes(SKY))
    np.testing.assert_array_equal(read(data).flux["g"], SKY.flux[0])
    assert refused(data[: len(data) // 2])[0] == "truncated"
    assert refused(compress(b"no fits at all"))[0] == "not_an_image"


def test_a_header_may_name_the_band():
    hdus = [fits.PrimaryHDU()]
    for number, band in enumerate(BANDS):
        hdus.append(fits.ImageHDU(SKY.flux[number], name=f"EXT{number}"))
        hdus[-1].header["BAND" if number else "FILTER"] = band
    assert list(read(fits_file(hdus)).flux) == list(BANDS)


@pytest.mark.parametrize(
    "extension", ["sci_{band}", {"g": 1, "r": "SCI_R", "i": 3}], ids=["template", "mapping"]
)
def test_the_survey_file_may_name_the_extensions(extension):
    hdus = [fits.PrimaryHDU()] + [
        fits.ImageHDU(SKY.flux[number], name=f"sci_{band}") for number, band in enumerate(BANDS)
    ]
    layout = FitsLayout(extension=extension)
    np.testing.assert_array_equal(read(fits_file(hdus), layout=layout).flux["i"], SKY.flux[2])


def test_cubes_name_their_bands_or_the_survey_file_does():
    header = sky_header(SKY)
    header["BANDS"] = "gri"
    cube = fits_file([fits.PrimaryHDU(SKY.flux, header)])
    np.testing.assert_array_equal(read(cube, ("i",)).flux["i"], SKY.flux[2])
    assert read(cube, ("i",)).position == pytest.approx((SKY.ra, SKY.dec))
    layout = FitsLayout(planes=("r", "i", "g"))
    np.testing.assert_array_equal(read(cube, ("i",), layout).flux["i"], SKY.flux[1])
    layout = FitsLayout(planes=("g", "r"))
    reason, message = refused(cube, ("g",), layout)
    assert (reason, "a cube of 3 planes, of the bands g, r" in message) == ("bad_shape", True)


def test_a_rubin_exposure_has_its_mask_read_by_the_names_of_planes():
    mask = np.zeros((40, 40), np.int32)
    mask[3, 4], mask[5, 6], mask[7, 8] = 1 << 8, 1 << 5, 1 << 3
    data = exposure(SKY, "r", mask)
    layout = FitsLayout(extension="IMAGE", mask="MASK", mask_planes=("NO_DATA", "CR"))
    images = read(data, ("r",), layout, "r")
    np.testing.assert_array_equal(images.flux["r"], SKY.flux[1])
    assert np.argwhere(images.bad["r"]).tolist() == [[3, 4], [7, 8]]
    assert images.position == pytest.approx((SKY.ra, SKY.dec))
    by_number = FitsLayout(mask="MASK", mask_planes=(5,))
    assert np.argwhere(read(data, ("r",), by_number, "r").bad["r"]).tolist() == [[5, 6]]
    reason, message = refused(data, ("r",), FitsLayout(mask="MASK", mask_planes=("CRR",)), "r")
    assert reason == "no_extension"
    assert message == "the mask has no plane 'CRR' (it has BAD, SAT, INTRP, CR, EDGE, DETECTED, NO_DATA)"
    reason, message = refused(data, ("r",), FitsLayout(mask="MSK"), "r")
    assert "no mask 'MSK' (extensions 0 PRIMARY, 1 IMAGE, 2 MASK, 3 VARIANCE)" in message


def test_not_a_number_stays_for_the_next_step_to_replace():
    flux = SKY.flux[0].copy()
    flux[2, 3] = np.nan
    images = read(fits_file([fits.PrimaryHDU(flux)]), ("g",), band="g")
    assert np.argwhere(np.isnan(images.flux["g"])).tolist() == [[2, 3]]
    assert images.position is None
    assert images.pixel_scale is None


def test_what_is_missing_is_named_with_what_is_there():
    data = fits_bytes(SKY)
    assert refused(data, ("z",)) == (
        "missing_band",
        "there is no band 'z' in the FITS file (bands G, R, I in extensions 0 PRIMARY, 1 G, 2 R, 3 I)",
    )
    reason, message = refused(data, ("g",), FitsLayout(extension="IMAGE"))
    assert reason == "missing_band"
    assert "no extension 'IMAGE' for band 'g'" in message
    reason, message = refused(fits_file([fits.PrimaryHDU()]), ("g",))
    assert reason == "no_extension"
    assert message == "the FITS file has no image (extensions 0 PRIMARY); expected band 'g'"
    table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1])], name="T")
    assert refused(fits_file([fits.PrimaryHDU(), table]), ("g",))[0] == "no_extension"
    assert refused(b"text", ("g",))[0] == "not_an_image"


def test_shapes_that_are_no_image():
    four = fits_file([fits.PrimaryHDU(np.zeros((2, 3, 9, 9), np.float32))])
    assert refused(four, ("g",), band="g")[0] == "bad_shape"
    assert refused(fits_file([fits.PrimaryHDU(np.zeros((9, 3)))]), ("g",), band="g")[0] == "too_small"
    huge = bytearray(fits_file([fits.PrimaryHDU(np.zeros((16, 16), np.float32))]))
    for axis in (b"NAXIS1", b"NAXIS2"):
        start = huge.index(axis)
        huge[start : start + 30] = axis.ljust(8) + b"=" + b"99999".rjust(21)
    assert refused(bytes(huge), ("g",), band="g")[0] in {"too_large", "truncated"}


def test_coordinates_in_other_systems_become_icrs():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["GLON-CAR", "GLAT-CAR"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = [0, 0], [20.5, 20.5], [-1e-4, 1e-4]
    data = fits_file([fits.PrimaryHDU(SKY.flux[0], wcs.to_header())])
    assert read(data, ("g",), band="g").position == pytest.approx((266.405, -28.936), abs=1e-2)
    header = sky_header(SKY)
    header["CTYPE1"], header["CTYPE2"] = "RA---XXX", "DEC--XXX"
    broken = fits_file([fits.PrimaryHDU(SKY.flux[0], header)])
    assert refused(broken, ("g",), band="g")[0] == "bad_wcs"
    assert read_fits([("g", broken)], ("g",), PLAIN, sky=False).position is None


@pytest.mark.parametrize("share", [0.1, 0.4, 0.7, 0.95])
def test_a_file_cut_short_is_refused(share):
    data = fits_bytes(SKY)
    assert refused(data[: int(share * len(data))])[0] in {
        "truncated",
        "damaged",
        "missing_band",
        "no_extension",
    }


def test_damage_gives_fluxes_or_an_image_error():
    chance, refusals = random.Random(1), []
    whole = [fits_bytes(SKY), exposure(SKY, "g"), gzip.compress(fits_bytes(SKY))]
    for _ in range(150):
        data = bytearray(chance.choice(whole))
        for _ in range(chance.choice([1, 8, 60])):
            data[chance.randrange(min(len(data), 6000))] = chance.randrange(256)
        try:
            images = read(bytes(data), layout=FitsLayout())
        except ImageError as error:
            refusals.append(error.message)
        else:
            assert all(flux.ndim == 2 for flux in images.flux.values())
    assert len(refusals) > 30
    assert not [message for message in refusals if re.search(r" at 0x|\n", message)]
