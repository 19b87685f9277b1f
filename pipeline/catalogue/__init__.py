"""The catalogue of a run: plan, ledger, quarantine, commit and export. Knows Parquet, no torch."""
