"""Affine maps, the two crops, the sixteen viewpoints, the sixty transforms and their fifteen classes."""

from pipeline.geometry.affine import linear_map
from pipeline.geometry.crops import CROP_PIXELS, FRAME_PIXELS, crop_maps, reach
from pipeline.geometry.transforms import (
    IDENTITY,
    SYMMETRIES,
    SYMMETRY_PERMUTATIONS,
    Transform,
    averaging_transforms,
    distinct_transforms,
)
from pipeline.geometry.viewpoints import PATCH_PIXELS, VIEWPOINTS, viewpoint_pixels

__all__ = [
    "CROP_PIXELS",
    "FRAME_PIXELS",
    "IDENTITY",
    "PATCH_PIXELS",
    "SYMMETRIES",
    "SYMMETRY_PERMUTATIONS",
    "VIEWPOINTS",
    "Transform",
    "averaging_transforms",
    "crop_maps",
    "distinct_transforms",
    "linear_map",
    "reach",
    "viewpoint_pixels",
]
