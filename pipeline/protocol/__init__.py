"""What makes a run safe: plan, lease, ledger, commit and vacuum as decisions without input or output.

Each is a protocol in the sense of `pipeline.protocol.steps`; the rooms above carry them out on real stores.
"""
