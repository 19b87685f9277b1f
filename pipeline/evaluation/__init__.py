"""How well answers agree with volunteers."""

from pipeline.evaluation.metrics import rmse

__all__ = ["rmse"]
