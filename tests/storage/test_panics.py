"""Panics of the Delta library on standard error."""

from __future__ import annotations

import os

import pytest

from pipeline import storage


def test_a_panic_is_not_printed_and_all_else_is(capfd: pytest.CaptureFixture[str]) -> None:
    with storage.panics_unprinted():
        for note in ("stack backtrace:\nnote: run with `RUST_BACKTRACE=1`\n", ""):
            os.write(2, f"\nthread 'tokio' (1) panicked at a.rs:1:2:\nAlready shut down\n{note}".encode())
        os.write(2, b"the lease could not be renewed\n")
    assert capfd.readouterr().err == "the lease could not be renewed\n"
