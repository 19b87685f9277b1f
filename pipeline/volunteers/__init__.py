"""Volunteers: their votes, how far each is to be believed, and what they say together. No torch, no Ray."""

from pipeline.volunteers.ballots import Ballots, ballots_of, read_ballots, sums_of_votes
from pipeline.volunteers.bayesian import KINDS, Knowledge, Online, aggregate, settle
from pipeline.volunteers.clean import clean
from pipeline.volunteers.exports import export_files, read_export
from pipeline.volunteers.mapping import load_mapping
from pipeline.volunteers.prior import NetworkAnswers, Prior, fit_prior
from pipeline.volunteers.simulator import Crowd, conditional_shares, crowd, simulate
from pipeline.volunteers.store import add_votes, votes_uri
from pipeline.volunteers.weights import Weighted, fractions, weight_of, weighted_votes

__all__ = [
    "KINDS",
    "Ballots",
    "Crowd",
    "Knowledge",
    "NetworkAnswers",
    "Online",
    "Prior",
    "Weighted",
    "add_votes",
    "aggregate",
    "ballots_of",
    "clean",
    "conditional_shares",
    "crowd",
    "export_files",
    "fit_prior",
    "fractions",
    "load_mapping",
    "read_ballots",
    "read_export",
    "settle",
    "simulate",
    "sums_of_votes",
    "votes_uri",
    "weight_of",
    "weighted_votes",
]
