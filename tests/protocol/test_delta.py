"""The model of the Delta log against the Delta library, on random histories."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.protocol.delta import Conflict, Log

SCHEMA = pa.schema([("x", pa.int64())])

writes = st.tuples(
    st.just("write"),
    st.integers(0, 3),  # how many versions ago the writer read the table
    st.sampled_from(["append", "overwrite"]),
    st.integers(0, 2),  # files
    st.dictionaries(st.sampled_from(["run-a", "run-b", "lease"]), st.integers(0, 3), max_size=2),
    st.booleans(),  # whether the library may rebase
)
restores = st.tuples(st.just("restore"), st.integers(0, 3))


@given(st.lists(st.one_of(writes, writes, writes, restores), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_the_model_lets_through_what_the_library_does(tmp_path_factory, history) -> None:
    folder = str(tmp_path_factory.mktemp("table"))
    model = Log()
    model.create()
    DeltaTable.create(folder, SCHEMA)
    for number, step in enumerate(history):
        newest = len(model.versions) - 1
        if step[0] == "restore":
            if newest == 0:
                continue
            to = max(0, newest - 1 - step[1])
            DeltaTable(folder).restore(to)
            model.restore(to)
        else:
            _, ago, mode, count, transactions, rebase = step
            read = max(0, newest - ago)
            files = [f"f{number}-{i}.parquet" for i in range(count)]
            landed = written(folder, read, mode, files, transactions, rebase)
            assert modelled(model, read, mode, files, transactions, rebase) == landed
        table = DeltaTable(folder)
        assert table.version() == len(model.versions) - 1
        assert {Path(uri).name for uri in table.file_uris()} == model.versions[-1].files
        for name in ("run-a", "run-b", "lease"):
            assert table.transaction_version(name) == model.versions[-1].transactions.get(name)


def modelled(
    model: Log, read: int, mode, files: list[str], transactions: dict[str, int], rebase: bool
) -> bool:
    try:
        model.commit(read, mode, frozenset(files), transactions, rebase=rebase)
    except Conflict:
        return False
    return True


def written(
    folder: str, read: int, mode: str, files: list[str], transactions: dict[str, int], rebase: bool
) -> bool:
    """Whether the library writes a version for a writer who has read an earlier one."""
    adds: list[Any] = []
    for name in files:
        (Path(folder) / name).write_bytes(b"a file's content is none of the log's business")
        adds.append(AddAction(name, 1, {}, 0, True, json.dumps({"numRecords": 1})))
    properties = CommitProperties(
        app_transactions=[Transaction(name, version) for name, version in transactions.items()],
        max_commit_retries=None if rebase else 0,
    )
    try:
        DeltaTable(folder, version=read).create_write_transaction(
            adds, mode=mode, schema=SCHEMA, commit_properties=properties
        )
    except CommitFailedError:
        return False
    return True
