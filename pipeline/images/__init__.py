"""From encoded bytes and fluxes to pixels: decoding with limits, colour, and the square around a galaxy."""

from pipeline.images.bands import BandImages, ColorMapping, color_picture, mask_bits, stack_bands
from pipeline.images.decode import MAX_PIXELS, MIN_SIDE, ImageError, check_bands, check_size, decode_image
from pipeline.images.layout import FitsLayout, is_fits
from pipeline.images.region import Region, cut_region, region_side

__all__ = [
    "MAX_PIXELS",
    "MIN_SIDE",
    "BandImages",
    "ColorMapping",
    "FitsLayout",
    "ImageError",
    "Region",
    "check_bands",
    "check_size",
    "color_picture",
    "cut_region",
    "decode_image",
    "is_fits",
    "mask_bits",
    "region_side",
    "stack_bands",
]
