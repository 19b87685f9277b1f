"""How well a share is known from a number of galaxies."""

from __future__ import annotations

from scipy.special import betaincinv


def proportion_interval(successes: float, count: int, alpha: float = 0.05) -> tuple[float, float]:
    """The exact two-sided interval of a share at level 1 − `alpha`; (0, 1) of no galaxies.

    Parameters
    ----------
    successes
        How many of `count`. It need not be whole: where each galaxy counts with a share, such as that of its
        answers that are right, the interval is wider than it would have to be.

    References
    ----------
    Clopper & Pearson 1934, Biometrika 26, 404.

    Examples
    --------
    >>> low, high = proportion_interval(90, 100)
    >>> round(low, 3), round(high, 3)
    (0.824, 0.951)
    """
    low = betaincinv(successes, count - successes + 1, alpha / 2) if successes > 0 else 0.0
    high = betaincinv(successes + 1, count - successes, 1 - alpha / 2) if successes < count else 1.0
    return float(low), float(high)
