"""From encoded bytes to pixels: decoding with limits, and the square region around a galaxy."""

from pipeline.images.decode import MAX_PIXELS, MIN_SIDE, ImageError, decode_image
from pipeline.images.region import Region, cut_region, region_side

__all__ = ["MAX_PIXELS", "MIN_SIDE", "ImageError", "Region", "cut_region", "decode_image", "region_side"]
