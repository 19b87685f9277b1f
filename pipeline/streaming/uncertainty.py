"""How sure answers are, from the model stage to rows of the catalogue."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.catalogue import Uncertainty
from pipeline.confidence import COMPARED, Concentrations, share_intervals
from pipeline.tree import DecisionTree


def uncertainty_of(
    tree: DecisionTree, answered: pa.Table, answers: NDArray[np.float32], concentrations: Concentrations
) -> Uncertainty:
    """How sure the answers of n galaxies are.

    Parameters
    ----------
    answered
        Their rows from the model stage, with the columns `COMPARED`.
    answers : ndarray, shape (n, answers), float32
    """
    low, high = share_intervals(tree, answers, concentrations)
    volunteers = concentrations.of(tree, answers).astype(np.float32)
    out_of_place, frame_ratio = (np.asarray(answered[name].to_numpy()) for name in COMPARED)
    return Uncertainty(low, high, volunteers, out_of_place, frame_ratio)
