"""Which data type a training computes in."""

from __future__ import annotations

from typing import Literal

import torch

from pipeline import averaging

Precision = Literal["float32", "bfloat16"]
"""float16 isn't among them: its gradients would have to be scaled."""


def fastest_precision() -> Precision:
    """``bfloat16`` where this machine's GPU or processor multiplies in it, else ``float32``.

    Elsewhere bfloat16 is emulated, and many times as slow as float32.
    """
    if torch.cuda.is_available():
        multiplies = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        multiplies = averaging.fastest_precision("cpu") == "bfloat16"
    return "bfloat16" if multiplies else "float32"
