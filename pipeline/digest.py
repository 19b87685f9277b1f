"""Digests of values, by which plans, trees and surveys are told apart."""

from __future__ import annotations

import hashlib
import json


def digest(*values: object) -> str:
    """sha256 of values that JSON can hold."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
