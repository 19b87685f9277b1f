"""How well answers agree with volunteers."""

from pipeline.evaluation.metrics import rmse, rmse_interval

__all__ = ["rmse", "rmse_interval"]
