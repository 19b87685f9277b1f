"""Bench: rates and ratios, measured side by side in one process and printed as JSON."""
