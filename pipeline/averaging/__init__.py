"""The mean over sixty transforms: sixty passes, or the same in the time of fifteen."""

from pipeline.averaging.naive import naive_average
from pipeline.averaging.shared import SharedAverage

__all__ = ["SharedAverage", "naive_average"]
