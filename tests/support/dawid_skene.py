"""Dawid & Skene's estimator as the textbook has it, to compare with: one true answer a galaxy, EM."""

from __future__ import annotations

import numpy as np


def dawid_skene(
    galaxy: np.ndarray, user: np.ndarray, answer: np.ndarray, answers: int, rounds: int = 100
) -> np.ndarray:
    """Probabilities of the true answers, shape (galaxies, answers); started by the majority.

    A. P. Dawid & A. M. Skene 1979, Journal of the Royal Statistical Society C 28, 20: equations 2.3 to 2.5.
    """
    galaxies, users = int(galaxy.max()) + 1, int(user.max()) + 1
    truth = np.zeros((galaxies, answers))
    np.add.at(truth, (galaxy, answer), 1.0)
    truth = (truth + 1e-9) / (truth + 1e-9).sum(axis=1, keepdims=True)
    for _ in range(rounds):
        prevalence = truth.mean(axis=0)
        confusion = np.full((users, answers, answers), 1e-2)  # lest the logarithm of a 0 be asked for
        for seen in range(answers):
            np.add.at(confusion[:, seen], (user, answer), truth[galaxy, seen])
        confusion /= confusion.sum(axis=2, keepdims=True)
        logarithm = np.tile(np.log(prevalence + 1e-12), (galaxies, 1))
        for seen in range(answers):
            np.add.at(logarithm[:, seen], galaxy, np.log(confusion[user, seen, answer]))
        new = np.exp(logarithm - logarithm.max(axis=1, keepdims=True))
        new /= new.sum(axis=1, keepdims=True)
        if np.abs(new - truth).max() < 1e-5:
            return new
        truth = new
    return truth
