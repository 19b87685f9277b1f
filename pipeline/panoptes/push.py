"""A folder of subjects to the Zooniverse: each subject once, whatever is lost, killed or done by two.

A subject is made in no set, gets its picture, is entered into the ledger, and only then put into the subject
set: nobody is shown one without a picture, and of one that was made twice only the one in the ledger. Where
the answer to the making is lost, the project's newest subjects are looked through for its label before it is
made again; one that turns up later still is in no set, and is removed in the end. So is a subject set.
"""

from __future__ import annotations

import csv
import hashlib
import io
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from pipeline import storage
from pipeline.digest import digest
from pipeline.errors import InputError, RunError
from pipeline.panoptes import api
from pipeline.panoptes.connection import Connection, LostAnswer, Refused
from pipeline.panoptes.manifest import GALAXY, PICTURE, Manifest, Row, identity, read_picture
from pipeline.panoptes.records import Ledger, Plan, SubjectSet, read_record, state_uri, write_once
from pipeline.protocol.lease import TIME_TO_LIVE
from pipeline.protocol.records.lease import Lease

_ENTERED_AT_A_TIME = 50
_ENTERED_AFTER_SECONDS = 2.0
_LATE_SECONDS = 3.0
"""How long after an answer was lost the subject may still turn up; if later, it is removed in the end."""

_FRUITLESS = 3
_MOST_LOST = 4
"""Answers that are lost in a row, for each thread, after which the rest is left to the next pass."""


@dataclass(frozen=True)
class Subject:
    """A line of the manifest, its identity, and the sha256 of its picture."""

    row: Row
    key: str
    sha256: str


def read_plan(manifest: Manifest, project: int, given_set: int | None) -> Plan | None:
    """The plan of a push that was begun before, None if none was.

    Raises
    ------
    InputError
        If it was one of another manifest, or to another place.
    """
    plan = read_record(storage.join(state_uri(manifest.folder), "plan.json"), Plan)
    if plan is None:
        return None
    for what, before, now in (
        ("project", plan.project, project),
        ("subject_set", plan.given_set, given_set),
        ("manifest.csv", plan.manifest, manifest.sha256),
    ):
        if before != now:
            raise InputError(
                f"{manifest.folder} was pushed with {what} {before}, and now it is {now}; a folder goes to "
                "one place as it is: have `triage` write another one"
            )
    return plan


def make_plan(connection: Connection, manifest: Manifest, project: int, given_set: int | None) -> Plan:
    """The plan of a push: every picture is read once for its digest.

    Raises
    ------
    InputError
        If a picture can't be used, or two lines are the same subject.
    """
    push = digest(manifest.sha256, project, given_set)[:16]
    read = storage.read_ahead(lambda row: read_picture(manifest.folder, row), manifest.rows)
    pictures = [hashlib.sha256(data).hexdigest() for data in read]
    keys = [identity(push, row, sha256) for row, sha256 in zip(manifest.rows, pictures, strict=True)]
    lines: dict[str, int] = {}
    for number, key in enumerate(keys, 2):
        if lines.setdefault(key, number) != number:
            raise InputError(
                f"{manifest.folder}/manifest.csv, rows {lines[key]} and {number} are the same subject"
            )
    plan = Plan(
        push=push,
        project=project,
        given_set=given_set,
        manifest=manifest.sha256,
        newest=api.newest_subject(connection, project),
        subjects=tuple(keys),
        pictures=tuple(pictures),
    )
    return write_once(storage.join(state_uri(manifest.folder), "plan.json"), plan)


class Push:
    """A push of one folder, by one process at a time, which holds the lease and may be killed anywhere.

    Attributes
    ----------
    subject_set
        Id of the set that the subjects go to.
    """

    def __init__(
        self, connection: Connection, manifest: Manifest, plan: Plan, lease: Lease, name: str, threads: int
    ) -> None:
        self._connection, self._plan, self._lease = connection, plan, lease
        self._folder, self._threads = manifest.folder, threads
        self._state = state_uri(manifest.folder)
        self._subjects = list(map(Subject, manifest.rows, plan.subjects, plan.pictures))
        self.subject_set = self._set(name)
        self._ledger = Ledger(self._state)
        self._made: dict[str, int] = {}
        """Subjects that are there, but perhaps without a picture."""
        self._in_set: set[int] = set()
        self._lost_at = -_LATE_SECONDS
        self._lost_in_a_row = 0
        self._fencing = threading.Lock()

    @property
    def ids(self) -> dict[str, int]:
        """Ids of the subjects by the galaxy's `object_id`; those sent so far."""
        entered = self._ledger.subjects
        return {one.row.galaxy: entered[one.key] for one in self._subjects if one.key in entered}

    @property
    def sent(self) -> int:
        """How many subjects are made and have their pictures."""
        return len(self._ledger.subjects)

    def carry_out(self, advance: Callable[[int], None]) -> int:
        """Send what isn't there yet, put all into the set, and remove what was made in vain.

        Returns
        -------
        int
            How many subjects were removed.

        Raises
        ------
        InputError
            If a picture is gone or has changed since the push began, or the Zooniverse refuses.
        HeldError
            If another process has taken over.
        RunError
            If the Zooniverse can't be reached for long; the same command continues.
        """
        if self._finished():
            return 0
        self._find_in_set(advance)
        fruitless = 0
        while waiting := [one for one in self._subjects if one.key not in self._ledger.subjects]:
            time.sleep(max(0.0, self._lost_at + _LATE_SECONDS - time.monotonic()))
            self._made |= dict(self._made_before())
            before = self.sent
            self._send_all(waiting, advance)
            fruitless = 0 if self.sent > before else fruitless + 1
            if fruitless == _FRUITLESS:
                raise RunError(
                    f"{len(waiting):,} subjects couldn't be sent in {_FRUITLESS} passes; what is done is "
                    "kept: run the same command again later"
                )
        self._link_all()
        removed = self._remove_others()
        self._finish()
        return removed

    def _set(self, name: str) -> int:
        if self._plan.given_set is not None:
            return self._plan.given_set
        uri = storage.join(self._state, "subject_set.json")
        recorded = read_record(uri, SubjectSet)
        if recorded is None:
            made = api.make_set(self._connection, self._plan.project, name, self._plan.push)
            recorded = write_once(uri, SubjectSet(id=made))
        return recorded.id

    def _find_in_set(self, advance: Callable[[int], None]) -> None:
        """Enter what is in the set though the ledger doesn't know, as where the records were put away."""
        subjects = list(api.subjects_of(self._connection, self.subject_set))
        self._in_set = {one.id for one in subjects}
        ours = {self._key(one): one.id for one in reversed(subjects)}
        counted = self._ledger.add({one.key: ours[one.key] for one in self._subjects if one.key in ours})
        advance(len(counted.keys() & ours.keys()))

    def _made_before(self) -> Iterable[tuple[str, int]]:
        """Subjects of this push that were made, the one made first of each."""
        subjects = api.subjects_after(self._connection, self._plan.project, self._plan.newest)
        return ((self._key(one), one.id) for one in subjects if self._key(one))

    def _key(self, one: api.Labelled) -> str:
        push, _, key = one.label.partition("/")
        return key if push == self._plan.push else ""

    def _send_all(self, waiting: list[Subject], advance: Callable[[int], None]) -> None:
        batch: dict[str, int] = {}
        self._lost_in_a_row = 0
        entered_at = time.monotonic()
        with ThreadPoolExecutor(self._threads, "push") as pool:
            try:
                for future in as_completed([pool.submit(self._send, one) for one in waiting]):
                    batch |= future.result()
                    late = time.monotonic() > entered_at + _ENTERED_AFTER_SECONDS
                    if len(batch) >= _ENTERED_AT_A_TIME or late:
                        self._enter(batch, advance)
                        batch, entered_at = {}, time.monotonic()
                self._enter(batch, advance)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                self._ledger.add(batch)  # what may come to grief, such as a link, is for the next time
                raise

    def _send(self, one: Subject) -> dict[str, int]:
        """Make a subject and send its picture; its id, or nothing if the next pass has to see to it."""
        if self._lost_in_a_row > _MOST_LOST * self._threads:
            return {}
        self._check_lease()
        picture = read_picture(self._folder, one.row)
        if hashlib.sha256(picture).hexdigest() != one.sha256:
            raise InputError(
                f"{storage.join(self._folder, one.row.image)} has changed since its push began; a folder "
                "goes to the Zooniverse as it is: put the old picture back, or have `triage` write "
                "another folder"
            )
        metadata = one.row.metadata | {api.LABEL: f"{self._plan.push}/{one.key}"}
        number = self._made.get(one.key)
        try:
            if number is None:
                number, address = api.make_subject(self._connection, self._plan.project, metadata)
                self._made[one.key] = number
                self._lost_in_a_row = 0
            else:
                address = api.picture_address(self._connection, number, metadata)
        except LostAnswer:
            self._lost_at, self._lost_in_a_row = time.monotonic(), self._lost_in_a_row + 1
            return {}
        except Refused as error:
            if number is None or error.status not in (404, 412):
                raise
            self._made.pop(one.key, None)  # removed meanwhile, or changed by someone
            return {}
        try:
            self._connection.send_file(address, picture, "image/jpeg")
        except (Refused, RunError):  # the next pass gets another address
            return {}
        return {one.key: number}

    def _check_lease(self) -> None:
        """Send nothing after a long sleep before it's sure that nobody has taken over."""
        with self._fencing:
            self._lease.check()
            if self._lease.age > TIME_TO_LIVE / 2:
                self._lease.confirm()

    def _enter(self, made: dict[str, int], advance: Callable[[int], None]) -> None:
        if not made:
            return
        counted = self._ledger.add(made)
        advance(len(counted))
        self._check_lease()
        self._link(list(counted.values()))

    def _link(self, numbers: list[int]) -> None:
        api.link_subjects(self._connection, self.subject_set, numbers)
        self._in_set |= set(numbers)

    def _link_all(self) -> None:
        for _ in range(_FRUITLESS):
            missing = sorted(set(self._ledger.subjects.values()) - self._in_set)
            self._link(missing)
            self._in_set = {one.id for one in api.subjects_of(self._connection, self.subject_set)}
            if self._in_set >= set(self._ledger.subjects.values()):
                return
        raise RunError(
            f"subject set {self.subject_set} doesn't show all that was put into it; look at it in the "
            "project's lab, then run the same command again"
        )

    def _remove_others(self) -> int:
        """Remove what an answer that was lost, or two at a time, made more than once; how many subjects."""
        if self._plan.given_set is None:
            for number in api.labelled_sets(self._connection, self._plan.project, self._plan.push):
                if number != self.subject_set:
                    self._check_lease()
                    api.remove_set(self._connection, number)
        entered = set(self._ledger.subjects.values())
        subjects = api.subjects_after(self._connection, self._plan.project, self._plan.newest)
        others = [one.id for one in subjects if self._key(one) and one.id not in entered | self._in_set]
        for number in others:
            self._check_lease()
            api.remove_subject(self._connection, number)
        return len(others)

    def _finished(self) -> bool:
        return storage.exists(self._list_uri())

    def _finish(self) -> None:
        """Write the list of what is where; that it's there says that all is done."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["subject_id", GALAXY.removeprefix("#"), PICTURE, "sha256", "identity"])
        for one in self._subjects:
            words = map(storage.guarded, (one.row.galaxy, one.row.image))
            writer.writerow([self._ledger.subjects[one.key], *words, one.sha256, one.key])
        storage.write_bytes(self._list_uri(), text.getvalue().encode())

    def _list_uri(self) -> str:
        return storage.join(self._state, "subjects.csv")
