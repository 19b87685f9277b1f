"""Files at any fsspec URI (a local path, file://, s3://, …): listing, reading, atomic writes.

A URI names a `Store` (see `store_at`), and the functions of `files` are what can be done there. Each raises
`StorageTrouble` in the place of `InputError` where the same call may work later.
"""

from __future__ import annotations

from pipeline.storage.ahead import read_ahead
from pipeline.storage.connection import delta_options
from pipeline.storage.explain import explained, is_passing, reason
from pipeline.storage.files import (
    clock,
    copy,
    create,
    exists,
    file_info,
    list_files,
    new_folder,
    open_new,
    read_bytes,
    read_range,
    read_with_etag,
    remove,
    remove_folder,
    symlink,
    write_bytes,
    write_if_match,
)
from pipeline.storage.panics import panics_unprinted
from pipeline.storage.places import check_place, check_table_place
from pipeline.storage.spreadsheets import guarded, unguarded
from pipeline.storage.store import FileInfo
from pipeline.storage.stores import absolute, filesystem
from pipeline.storage.uris import join, name

__all__ = [
    "FileInfo",
    "absolute",
    "check_place",
    "check_table_place",
    "clock",
    "copy",
    "create",
    "delta_options",
    "exists",
    "explained",
    "file_info",
    "filesystem",
    "guarded",
    "is_passing",
    "join",
    "list_files",
    "name",
    "new_folder",
    "open_new",
    "panics_unprinted",
    "read_ahead",
    "read_bytes",
    "read_range",
    "read_with_etag",
    "reason",
    "remove",
    "remove_folder",
    "symlink",
    "unguarded",
    "write_bytes",
    "write_if_match",
]
