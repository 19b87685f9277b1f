"""Where the time of the mean over sixty transforms goes."""

from __future__ import annotations

from itertools import pairwise

from pipeline.averaging import Average, multiply_adds
from pipeline.geometry import VIEWPOINTS, averaging_transforms, distinct_transforms
from pipeline.network import RegionBatch, ViewpointNetwork
from tests.benchmarks.gpu.clock import median_seconds


def stage_figures(
    average: Average, network: ViewpointNetwork, regions: RegionBatch, best: float
) -> dict[str, dict[str, float]]:
    """Microseconds a galaxy of each stage; of those that multiply, the share in the best rate of products.

    Parameters
    ----------
    best
        Operations a second of a large matrix product.
    """
    stages = average.stages(regions)
    ends = [0.0, *(median_seconds(work) / len(regions) for work in stages.values())]
    figures = {}
    for name, (start, end) in zip(stages, pairwise(ends), strict=True):
        figures[name] = {"microseconds": round(1e6 * (end - start), 2)}
        operations = 2 * useful_multiply_adds(network).get(name, 0)
        if operations and end > start:
            figures[name]["share_of_product"] = round(operations / (end - start) / best, 3)
    return figures


def useful_multiply_adds(network: ViewpointNetwork) -> dict[str, int]:
    """Multiply-adds a galaxy by name of stage, without those that padding adds."""
    spec, distinct, every = network.spec, len(distinct_transforms()), len(averaging_transforms())
    counts = {
        f"convolution {number}": distinct * VIEWPOINTS * count
        for number, count in enumerate(spec.convolution_multiply_adds, start=1)
    }
    first, *others = spec.dense_multiply_adds(network.tree.answer_count)
    counts["dense 1, product"] = distinct * first
    counts |= {f"dense {number}, product": every * count for number, count in enumerate(others[:-1], start=2)}
    # The names that the plain form has for its stages.
    return counts | {"convolutions": multiply_adds(spec, network.tree.answer_count)["convolutions"]}
