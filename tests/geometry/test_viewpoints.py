"""The sixteen viewpoints, and the symmetry of the sixty transforms found by brute force."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.geometry import (
    IDENTITY,
    SYMMETRIES,
    SYMMETRY_PERMUTATIONS,
    Transform,
    averaging_transforms,
    crop_maps,
    distinct_transforms,
    viewpoint_pixels,
)


def sampled_positions(transform: Transform) -> NDArray[np.complex128]:
    """Frame offset x + iy that each pixel of each viewpoint samples, shape (16, 45, 45)."""
    y, x = np.mgrid[:69, :69].astype(float)
    offsets = np.einsum("cij,jyx->ciyx", crop_maps(), np.stack([x, y, np.ones_like(x)]))
    moved = np.einsum("ij,cjyx->icyx", transform.matrix(), offsets)
    return (moved[0] + 1j * moved[1]).reshape(-1)[viewpoint_pixels()]


def as_bytes(positions: NDArray[np.complex128]) -> bytes:
    return (np.round(positions, 3) + 0).tobytes()


def test_patches_equal_slices_turned_towards_the_centre() -> None:
    crops = np.random.default_rng(3).random((2, 69, 69))
    expected = []
    for crop in crops:
        for view in (crop, np.fliplr(crop)):
            expected.append(view[:45, :45])
            expected.append(np.rot90(view[:45, 24:], 1))
            expected.append(np.rot90(view[24:, 24:], 2))
            expected.append(np.rot90(view[24:, :45], -1))
    np.testing.assert_array_equal(crops.reshape(-1)[viewpoint_pixels()], np.stack(expected))


def test_patches_are_quarter_turns_of_the_plane() -> None:
    y, x = np.mgrid[:45, :45] - 34
    quarters = [(x + 1j * y) * 1j**k for k in range(4)]
    mirrored = [-np.conj(z) for z in quarters]
    turn = np.exp(1j * np.pi / 4)
    expected = 3 * np.stack([*quarters, *mirrored, *(turn * z for z in quarters + mirrored)])
    np.testing.assert_allclose(sampled_positions(IDENTITY), expected, atol=1e-9)


def test_the_galaxy_s_centre_is_in_every_patch() -> None:
    pixels = viewpoint_pixels()
    assert pixels.shape == (16, 45, 45)
    assert (pixels[:8, 34, 34] == 34 * 69 + 34).all()
    assert (pixels[8:, 34, 34] == 69 * 69 + 34 * 69 + 34).all()


def test_the_sixty_transforms() -> None:
    found = [(round(t.zoom, 9), t.rotation % 360, t.mirror) for t in averaging_transforms()]
    expected = itertools.product((round(1 / 1.2, 9), 1.0, 1.2), (36.0 * k for k in range(10)), (False, True))
    assert sorted(found) == sorted(expected)
    assert len(set(found)) == 60


def test_the_sixty_hold_fifteen_distinct_sets_of_viewpoints_of_four_each() -> None:
    members: dict[frozenset[bytes], list[Transform]] = defaultdict(list)
    for transform in averaging_transforms():
        views = frozenset(as_bytes(view) for view in sampled_positions(transform))
        assert len(views) == 16
        members[views].append(transform)
    assert len(members) == 15
    assert {len(same) for same in members.values()} == {4}
    for same in members.values():
        assert len({t.zoom for t in same}) == 1
        assert len(set(same) & set(distinct_transforms())) == 1


@pytest.mark.parametrize("base", distinct_transforms()[::4])
def test_each_symmetry_reorders_the_viewpoints_as_its_permutation_says(base: Transform) -> None:
    views = [as_bytes(view) for view in sampled_positions(base)]
    for symmetry, permutation in zip(SYMMETRIES, SYMMETRY_PERMUTATIONS, strict=True):
        moved = Transform(base.rotation + symmetry.rotation, base.zoom, symmetry.mirror)
        found = [views.index(as_bytes(view)) for view in sampled_positions(moved)]
        assert found == permutation.tolist()


def test_the_sixty_follow_their_fifteen_in_the_order_of_the_symmetries() -> None:
    sixty = averaging_transforms()
    assert sixty[::4] == distinct_transforms()
    assert [t.mirror for t in sixty[:4]] == [False, False, True, True]
    assert [t.rotation for t in sixty[:4]] == [0, 180, 0, 180]


def test_the_permutations_are_the_published_ones() -> None:
    assert SYMMETRY_PERMUTATIONS.tolist() == [
        list(range(16)),
        [2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13],
        [4, 5, 6, 7, 0, 1, 2, 3, 13, 14, 15, 12, 11, 8, 9, 10],
        [6, 7, 4, 5, 2, 3, 0, 1, 15, 12, 13, 14, 9, 10, 11, 8],
    ]


def test_the_permutations_are_a_klein_four_group_that_acts_freely() -> None:
    group = [tuple(row) for row in SYMMETRY_PERMUTATIONS.tolist()]
    product = [[group.index(tuple(a[i] for i in b)) for b in group] for a in group]
    assert product == [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]]
    assert all(row[i] != i for row in group[1:] for i in range(16))
