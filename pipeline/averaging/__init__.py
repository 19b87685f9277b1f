"""The mean over sixty transforms: sixty passes, or the same in the time of fifteen."""

from pipeline.averaging.cores import map_chunks
from pipeline.averaging.fastest import Average, Predictor, average_of
from pipeline.averaging.naive import naive_average, naive_with_hidden
from pipeline.averaging.precision import (
    Precision,
    check_precision,
    fastest_precision,
    fits_float16,
    use_precision,
)
from pipeline.averaging.shared import SharedAverage, multiply_adds
from pipeline.averaging.single import SingleView

__all__ = [
    "Average",
    "Precision",
    "Predictor",
    "SharedAverage",
    "SingleView",
    "average_of",
    "check_precision",
    "fastest_precision",
    "fits_float16",
    "map_chunks",
    "multiply_adds",
    "naive_average",
    "naive_with_hidden",
    "use_precision",
]
