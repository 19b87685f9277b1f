"""What a run's driver reads of a survey's files, read in a child process: row counts, ids, digests of rows.

libhdf5 and Arrow open files that nobody vouches for, and a damaged one can kill the process that does. All
threads of the driver ask one child at once. When that dies, each whose answer was due asks once more, alone
in a fresh one: the file that kills this one as well is at fault, and an error names it. Of other forms a
driver sees nothing but lists of files and what Python itself reads in tars: they need no child.
"""

from __future__ import annotations

import json
import queue
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import pyarrow as pa

from pipeline import storage
from pipeline.cutouts.reading import DamagedShard, Footer, ShardInfo
from pipeline.errors import InputError, StorageTrouble
from pipeline.storage.ahead import READERS
from pipeline.streaming.process import READ_SECONDS, START_SECONDS, ChildProcess, Ending
from pipeline.streaming.reading_child import unpack
from pipeline.streaming.sources import open_source
from pipeline.survey.settings import SurveySettings
from pipeline.survey.source import FileSource, Inventory

_SECONDS = 60.0
"""Seconds that a child may compute without an answer; the longest, on a large row group, takes a few."""

_FEW = 16
"""Pieces of work, of 32 tiles each, for which no cluster is needed."""

TILES = "tiles"
"""Folder of an output with what is known of the tiles that its galaxies are cut from."""

_ERRORS = {error.__name__: error for error in (InputError, DamagedShard, StorageTrouble)}


def open_inventory(
    survey: SurveySettings | None = None, reader: Reader | None = None, output: str | None = None
) -> Inventory:
    """What a run's driver reads a survey by; a cutout set where there is no survey file.

    Parameters
    ----------
    reader
        A reader to share with other surveys; by default one is made for this survey.
    output
        Output of the run, in which the index of tiles is cached; None for no cache.

    Raises
    ------
    InputError
        If the survey file lacks what its format needs.
    """
    if survey is not None and survey.tiles is not None:
        # astropy loads slowly, and other sources don't need it.
        from pipeline.cutting.source import TileSource

        cache = None if output is None else storage.join(output, TILES)
        return TileSource(survey, cache=cache, spread=_spread)
    source = open_source(survey)
    return IsolatedInventory(source, reader or Reader()) if isinstance(source, FileSource) else source


def _spread(do: Callable[[Any], str], items: Sequence[Any]) -> Iterator[str]:
    """Few pieces of work in this process, and many on the cluster."""
    if len(items) <= _FEW:
        return map(do, items)
    from pipeline.streaming.cutting import spread  # starts Ray

    return spread(do, items)


class Reader:
    """Has files read in a child process, which is replaced when it dies.

    Parameters
    ----------
    seconds
        Most that the child may compute for without an answer to anybody, for each request under way.
    """

    def __init__(self, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        self._child: _Child | None = None
        self._replacing, self._alone = threading.Lock(), threading.Lock()

    def holds_bands(self, uri: str, column: str) -> bool:
        """Whether a column of a Parquet file holds fluxes by band (see `pipeline.cutouts.shards`)."""
        return bool(self.read("holds_bands", None, uri, column))

    def read(self, call: str, survey: str | None, shard: str, *arguments: Any) -> Any:
        """Call a method of a survey's source in the child; what it returns, a table or what JSON holds.

        Raises
        ------
        InputError
            If the shard kills two children; and what the call raises.
        StorageTrouble
            If two children are ended from outside, as where memory ran out, or nothing came for a quarter of
            an hour; and what the call raises.
        RunError
            If no child can be started.
        """
        request = {"call": call, "survey": survey, "arguments": [shard, *arguments]}
        child = self._shared()
        try:
            return child.ask(request)
        except _Died:
            self._drop(child)
        with self._alone:
            child = _Child(1, self._seconds)
            try:
                return child.ask(request)
            except _Died as death:
                raise _verdict(shard, death.ending) from death
            finally:
                child.end()

    def _shared(self) -> _Child:
        with self._replacing:
            if self._child is None:
                self._child = _Child(READERS, self._seconds)
            return self._child

    def _drop(self, child: _Child) -> None:
        with self._replacing:
            if self._child is child:
                self._child = None
        child.end()


@dataclass(frozen=True)
class IsolatedInventory:
    """An `Inventory` whose files are opened by a reader, in its child process."""

    source: FileSource
    reader: Reader

    @property
    def survey(self) -> SurveySettings | None:
        """The survey file; None for a cutout shard set."""
        return self.source.survey

    def list_shards(self, uri: str) -> list[ShardInfo]:
        """The shards below a URI: listed in this process, their footers read in the child."""
        return self.source.list_shards(uri, lambda shard: Footer(**self._read("read_footer", shard)))

    def describe(self, shard: str) -> storage.FileInfo:
        """Size and etag of a shard as it is now, as its store tells them."""
        return self.source.describe(shard)

    def read_ids(self, shard: str) -> pa.ChunkedArray:
        """The object ids of a shard (see `Inventory.read_ids`)."""
        return self._read("read_ids", shard)["object_id"]

    def group_ranges(self, shard: str, start: int, stop: int) -> list[tuple[int, int]]:
        """Rows [start, stop) cut into what is best read at once."""
        return [(first, last) for first, last in self._read("group_ranges", shard, start, stop)]

    def read_contents(self, shard: str, start: int, stop: int) -> pa.Table:
        """Ids and digests of rows [start, stop) (see `Inventory.read_contents`)."""
        return self._read("read_contents", shard, start, stop)

    def save_index(self, folder: str, shards: Iterable[str] | None = None) -> None:
        """Write nothing: files of these formats have an index of their own."""

    def _read(self, call: str, shard: str, *arguments: Any) -> Any:
        survey = None if self.survey is None else self.survey.model_dump_json()
        return self.reader.read(call, survey, shard, *arguments)


class _Died(Exception):
    """A child ended while an answer of it was due."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.description)
        self.ending = ending


def _verdict(shard: str, ending: Ending) -> Exception:
    if ending.outside:
        return StorageTrouble(
            f"reading {shard} {ending.description}; look at the machine's memory and limits, then run the "
            "same command again"
        )
    return InputError(
        f"cannot read {shard}: reading it {ending.description}, also when tried alone; write the file anew, "
        "or take it out of the input"
    )


class _Child:
    """One child process and the connections to it, each for one request at a time."""

    def __init__(self, readers: int, seconds: float) -> None:
        ours, theirs = zip(*(Pipe() for _ in range(readers)), strict=True)
        self._seconds, self._free = seconds, queue.SimpleQueue[Connection]()
        self._process = ChildProcess("pipeline.streaming.reading_child", theirs, str(seconds))
        self.end = weakref.finalize(self, self._process.end)
        try:
            if not ours[0].poll(START_SECONDS):
                raise EOFError
            ours[0].recv_bytes()
        except (EOFError, OSError) as error:
            raise self._process.failed_start() from error
        for connection in ours:
            self._free.put(connection)

    def ask(self, request: dict[str, Any]) -> Any:
        """The answer to a request; raises what the child raised, and `_Died` if it is dead."""
        message, stream = unpack(self._exchange(request))
        if message["kind"] == "table":
            return pa.ipc.open_stream(pa.py_buffer(stream)).read_all()
        if message["kind"] == "value":
            return message["value"]
        if message["kind"] == "MemoryError":
            raise _Died(Ending("killed_decoder", "took more memory than there is"))
        raise _ERRORS.get(message["kind"], RuntimeError)(message["message"])

    def _exchange(self, request: dict[str, Any]) -> bytes:
        connection, answer = self._free.get(), None
        try:
            connection.send_bytes(json.dumps(request).encode())
            if not connection.poll(READ_SECONDS):
                shard, *_ = request["arguments"]
                raise StorageTrouble(
                    f"reading {shard} took more than {READ_SECONDS:g} s; look at the store, "
                    "then run the same command again"
                )
            answer = connection.recv_bytes()
            return answer
        except (EOFError, OSError) as error:
            raise _Died(self._process.ending(self._seconds)) from error
        finally:
            if answer is None:  # it may be on its way, and isn't the one to the next request
                connection.close()
                self.end()
            self._free.put(connection)
