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

    def __init__(self, tree: DecisionTree) -> None:
        super().__init__()
        self._sizes = [len(question.answers) for question in tree.questions]
        place = {question.key: i for i, question in enumerate(tree.questions)}
        owner = [(i, offset) for i, size in enumerate(self._sizes) for offset in range(size)]
        self._gates = [(place[key], [owner[answer] for answer in gate]) for key, gate in tree.gates.items()]

    def forward(self, raw: Tensor) -> Tensor:
        """Map raw values (…, answers) to cumulative probabilities (…, answers), in float32 at least."""
        p = raw.to(torch.promote_types(raw.dtype, torch.float32)).relu()
        # Sums, not products with a matrix: those lose digits under autocast and in TensorFloat-32.
        parts = [part / (part.sum(-1, keepdim=True) + _EPSILON) for part in p.split(self._sizes, -1)]
        for question, gate in self._gates:
            asked = torch.stack([parts[owner][..., offset] for owner, offset in gate]).sum(0)
            parts[question] = parts[question] * asked.unsqueeze(-1)
        return torch.cat(parts, dim=-1)
