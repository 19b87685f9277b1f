"""Which form of the average a machine gets, and what that costs those who get no kernels."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from pipeline.averaging import SharedAverage, average_of, fastest
from pipeline.averaging.fastest import kernels_run_on
from pipeline.network import NetworkSpec, ViewpointNetwork
from pipeline.network.spec import ConvolutionSpec, DenseSpec
from pipeline.tree import DecisionTree


def small(tree: DecisionTree) -> ViewpointNetwork:
    spec = NetworkSpec(
        name="small",
        convolutions=(ConvolutionSpec(filters=4, kernel=8, pool=4),),
        dense=(DenseSpec(units=8),),
    )
    return ViewpointNetwork(spec, tree).eval()


def test_without_a_gpu_it_is_the_shared_form(tree: DecisionTree) -> None:
    average = average_of(small(tree), dtype=torch.bfloat16)
    assert isinstance(average, SharedAverage)
    assert average.dtype == torch.bfloat16


def test_where_no_kernel_can_be_compiled_it_is_the_shared_form(
    tree: DecisionTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels = pytest.importorskip("pipeline.averaging.kernels", reason="there is no Triton")

    def fail(*_: ViewpointNetwork, dtype: torch.dtype) -> None:
        raise kernels.NoVariantError(f"no C compiler for {dtype}")

    monkeypatch.setattr(kernels, "KernelAverage", fail)
    monkeypatch.setattr(fastest, "kernels_run_on", lambda *_: True)
    with pytest.warns(RuntimeWarning, match=r"slower way.*: no C compiler for torch\.bfloat16"):
        average = average_of(small(tree), dtype=torch.bfloat16)
    assert isinstance(average, SharedAverage)


def test_where_a_kernel_fails_that_is_known_before_the_first_batch(
    tree: DecisionTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pipeline.averaging.kernels", reason="there is no Triton")
    monkeypatch.setattr(fastest, "kernels_run_on", lambda *_: True)  # which a CPU doesn't
    with pytest.warns(RuntimeWarning, match=r"slower way: no kernel .* for sampling: \w+: "):
        average = average_of(small(tree), dtype=torch.bfloat16)
    assert isinstance(average, SharedAverage)


def test_where_kernels_lack_memory_it_is_the_shared_form_with_fewer_galaxies(
    tree: DecisionTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels = pytest.importorskip("pipeline.averaging.kernels", reason="there is no Triton")

    def fail(*_: ViewpointNetwork, dtype: torch.dtype) -> None:
        raise torch.OutOfMemoryError(f"CUDA out of memory in {dtype}.\nTried to allocate 2 GiB")

    monkeypatch.setattr(kernels, "KernelAverage", fail)
    monkeypatch.setattr(fastest, "kernels_run_on", lambda *_: True)
    with pytest.warns(RuntimeWarning, match=r"too little free memory .* Tried to allocate 2 GiB") as warned:
        average = average_of(small(tree), dtype=torch.bfloat16)
    assert "compiler" not in str(warned[0].message)
    assert isinstance(average, SharedAverage)
    assert average.galaxies_at_once < 256


def test_kernels_are_for_short_floats_on_gpus() -> None:
    assert not kernels_run_on(torch.device("cpu"), torch.float16)
    if torch.cuda.is_available():
        assert not kernels_run_on(torch.device("cuda"), torch.float32)
        assert kernels_run_on(torch.device("cuda"), torch.float16)


def test_who_has_no_gpu_imports_no_triton() -> None:
    code = """
import sys, torch
from pipeline.averaging import average_of
from pipeline.network import DEFAULT_WEIGHTS, load_network
from pipeline.tree import load_tree
average_of(load_network(DEFAULT_WEIGHTS, load_tree())[0], dtype=torch.bfloat16)
print(*sys.modules)
"""
    environment = {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert "pipeline.averaging.shared" in done.stdout.split()
    assert not {"triton", "pipeline.averaging.kernels"} & set(done.stdout.split())
