"""The output layer: raw values to probabilities that obey the decision tree."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipeline.tree import DecisionTree

_EPSILON = 1e-12


class TreeOutput(nn.Module):
    """Rectify, normalise within each question, scale by the probability of being asked.

    Differentiable; no softmax, which predicts exact 0 and 1 badly. A question whose raw values are all ≤ 0
    yields zeros and no gradient (Dieleman, Willett & Dambre 2015, section 6.2).
    """

    membership: Tensor

    def __init__(self, tree: DecisionTree) -> None:
        super().__init__()
        self._questions = tuple(tree.slices.items())
        self._gates = tree.gates
        membership = torch.zeros(tree.answer_count, tree.answer_count)
        for _, where in self._questions:
            membership[where, where] = 1.0
        self.register_buffer("membership", membership, persistent=False)

    def forward(self, raw: Tensor) -> Tensor:
        """Map raw values (…, answers) to cumulative probabilities (…, answers), float32."""
        p = raw.float().relu()
        p = p / (p @ self.membership.to(p.dtype) + _EPSILON)
        parts = {key: p[..., where] for key, where in self._questions}
        owner = {
            i: (key, i - where.start)
            for key, where in self._questions
            for i in range(*where.indices(1 << 30))
        }
        for key, gate in self._gates.items():
            asked = sum(parts[question][..., [offset]] for question, offset in (owner[i] for i in gate))
            parts[key] = parts[key] * asked
        return torch.cat([parts[key] for key, _ in self._questions], dim=-1)
