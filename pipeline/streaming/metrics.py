"""A run's numbers as Ray publishes them to Prometheus, with ``ray_`` before their names."""

from __future__ import annotations

from ray.util.metrics import Counter, Gauge

from pipeline.protocol import LedgerEntry
from pipeline.streaming.cluster import StreamResources


class RunMetrics:
    """What a dashboard or an alert wants to know of a run; kept by its driver.

    Parameters
    ----------
    run
        Tag of every number.
    units, done
        Planned, and done before.
    resources
        Its actors, by whose number the rate is told for each GPU.
    """

    def __init__(self, run: str, units: int, done: int, resources: StreamResources) -> None:
        tags = {"run": run}
        self._units, self._done = units, done
        self._galaxies = Counter("tuningfork_galaxies_total", "Galaxies classified", ("run",))
        self._quarantined = Counter(
            "tuningfork_quarantined_total", "Input rows that can't be classified", ("run", "reason")
        )
        self._units_done = Gauge("tuningfork_units_done", "Work units in the ledger", ("run",))
        self._units_pending = Gauge("tuningfork_units_pending", "Work units not in the ledger yet", ("run",))
        self._lease_age = Gauge(
            "tuningfork_lease_age_seconds", "Time since the output's lease was last renewed", ("run",)
        )
        actors = Gauge(
            "tuningfork_model_actors", "Model actors, each with its GPU or without", ("run", "device")
        )
        device = "gpu" if resources.model_gpus else "cpu"
        for metric in (
            actors,
            self._galaxies,
            self._quarantined,
            self._units_done,
            self._units_pending,
            self._lease_age,
        ):
            metric.set_default_tags(tags)
        actors.set(resources.model_actors, {"device": device})
        self._show()

    def add(self, entry: LedgerEntry, lease_age: float) -> None:
        """Count a unit that is done."""
        self._done += 1
        if entry.classified:
            self._galaxies.inc(entry.classified)
        for reason, count in entry.quarantined.items():
            self._quarantined.inc(count, {"reason": reason})
        self._lease_age.set(lease_age)
        self._show()

    def _show(self) -> None:
        self._units_done.set(self._done)
        self._units_pending.set(self._units - self._done)
