"""Which data type this machine computes fastest in."""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["float32", "bfloat16"]


def fastest_precision(device: Literal["auto", "cpu", "gpu"] = "auto") -> Precision:
    """``bfloat16`` where this machine's GPU or processor multiplies in it, else ``float32``.

    The GPU counts if there is one, unless `device` is the processor. Elsewhere bfloat16 is emulated, and
    slower than float32. Sources: `torch.cuda.is_bf16_supported`; `torch.cpu.get_capabilities` (AVX512-BF16
    and AMX-BF16 of x86, BF16 of ARM).
    """
    if device != "cpu" and torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    has = torch.cpu.get_capabilities()
    return "bfloat16" if any(has.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16")) else "float32"
