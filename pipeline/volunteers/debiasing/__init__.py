"""Debiasing: what volunteers, or a network, would say of a galaxy if it were near.

Of two equal galaxies the farther one looks smaller and fainter, and fewer people see its arms. Both methods
take it that galaxies of one absolute magnitude and physical size are of the same mix of morphologies at any
distance, and correct shares so that the mix is that of the nearest ones.
"""

from pipeline.volunteers.debiasing.distributions import fit_distributions
from pipeline.volunteers.debiasing.galaxies import Galaxies, physical, read_galaxies
from pipeline.volunteers.debiasing.learning import (
    LOW_REDSHIFT,
    Correction,
    Debiasing,
    learn_debiasing,
)
from pipeline.volunteers.debiasing.ratios import Widths, fit_ratios

__all__ = [
    "LOW_REDSHIFT",
    "Correction",
    "Debiasing",
    "Galaxies",
    "Widths",
    "fit_distributions",
    "fit_ratios",
    "learn_debiasing",
    "physical",
    "read_galaxies",
]
