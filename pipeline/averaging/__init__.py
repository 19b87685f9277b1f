"""The mean over sixty transforms: sixty passes, or the same in the time of fifteen."""

from pipeline.averaging.cores import map_chunks
from pipeline.averaging.naive import naive_average
from pipeline.averaging.precision import Precision, fastest_precision
from pipeline.averaging.shared import SharedAverage, multiply_adds

__all__ = ["Precision", "SharedAverage", "fastest_precision", "map_chunks", "multiply_adds", "naive_average"]
