"""How well answers agree with volunteers."""

from pipeline.evaluation.metrics import rmse, rmse_interval
from pipeline.evaluation.votes import VoteTable, read_votes

__all__ = ["VoteTable", "read_votes", "rmse", "rmse_interval"]
