"""In which data type a machine is taken to be fastest."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.averaging import fastest_precision
from pipeline.run.settings import StreamConfig, settled


def test_what_a_gpu_can_do_is_no_matter_for_the_processor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    alone = fastest_precision()
    other = "float32" if alone == "bfloat16" else "bfloat16"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: other == "bfloat16")
    assert (fastest_precision(), fastest_precision("gpu"), fastest_precision("cpu")) == (other, other, alone)
    config = StreamConfig(input=str(tmp_path), output=str(tmp_path / "out"))
    assert settled(config).precision == other
    assert settled(config.model_copy(update={"device": "cpu"})).precision == alone
