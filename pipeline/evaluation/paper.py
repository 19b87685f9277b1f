"""What the paper reports for Galaxy Zoo 2, to stand beside one's own figures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperRow:
    """A row of the paper's table 3: scores on the two parts of the Galaxy Challenge's test set."""

    text: str
    public: float
    private: float


PAPER_SCORES = {
    "single_view": PaperRow("best network", 0.07671, 0.07693),
    "transforms": PaperRow("+ averaging over 60 transforms", 0.07579, 0.07603),
    "ensemble": PaperRow("+ averaging over 17 networks", 0.07467, 0.07492),
}
"""The paper's scores, by the name under which a catalogue of that kind is evaluated.

References
----------
Dieleman, Willett & Dambre 2015, table 3.
"""
