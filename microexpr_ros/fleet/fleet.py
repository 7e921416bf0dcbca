"""Analyzing a fleet: what is there is skipped, so that the output is the checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Executor
from dataclasses import dataclass
from functools import partial
from typing import Final

from microexpr_ros.errors import MicroexprError
from microexpr_ros.fleet.store import Source, Store
from microexpr_ros.fleet.tasks import (
    DONE,
    FAILED,
    RECORDS,
    Job,
    Long,
    Outcome,
    Settings,
    analyze_on,
    analyze_source,
)
from microexpr_ros.jobs import run

PLAN: Final = 'fleet.json'


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """How far a fleet is.

    Attributes:
        recordings: how many there are.
        done: how many have a result.
        failed: reason by recording.
    """

    recordings: int
    done: int
    failed: dict[str, str]

    @property
    def to_come(self) -> int:
        """How many have neither a result nor a failure."""
        return self.recordings - self.done - len(self.failed)


def analyze_fleet(
    sources: Sequence[Source],
    out: str,
    settings: Settings,
    workers: int | Executor = 1,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> FleetStatus:
    """Analyze recordings that have no result yet; those that failed are tried again.

    Args:
        sources: the recordings.
        out: path or URL of the results.
        settings: how they are read.
        workers: as of `jobs.run`.
        progress: called with the recordings that are through, and all.

    Raises:
        MicroexprError: the results cannot be written, or the scheduler is lost.
    """
    store = Store(out)
    jobs = [Job(source, settings, store.address) for source in sources]
    plan = {'model': settings.model, 'recordings': {job.id: job.source.name for job in jobs}}
    store.write(PLAN, json.dumps(plan, indent=1).encode())
    there = store.names(RECORDS)
    todo = {
        n: partial(analyze_source, job)
        for n, job in enumerate(jobs)
        if f'{job.id}{DONE}' not in there
    }
    through = len(jobs) - len(todo)
    progress(through, len(jobs))

    def count() -> None:
        nonlocal through
        through += 1
        progress(through, len(jobs))

    def report(index: int, outcome: Outcome) -> dict[int, Callable[[], Outcome]] | None:
        if isinstance(outcome, Long):
            return {index: partial(analyze_on, jobs[index], outcome.result, outcome.next)}
        count()
        return None

    def fail(index: int, error: Exception) -> None:
        if isinstance(error, CancelledError):
            raise MicroexprError(
                'the scheduler is lost: run the same command again, what is done is kept'
            ) from error
        kind = '' if isinstance(error, MicroexprError) else f'{type(error).__name__}: '
        jobs[index].write_failed(kind + ' '.join(str(error).split()))
        count()

    run(todo, workers, report, fail)
    return read_status(out)


def read_status(out: str) -> FleetStatus:
    """Return how far a fleet is, also while it is being analyzed.

    Raises:
        MicroexprError: No fleet is analyzed into this folder.
    """
    store = Store(out)
    if PLAN not in store.names():
        raise MicroexprError(f'{out} has no {PLAN}: give the --out of a fleet')
    recordings = json.loads(store.read(PLAN))['recordings']
    there = store.names(RECORDS)
    failed = {
        address: json.loads(store.read(f'{RECORDS}/{name}{FAILED}'))['reason']
        for name, address in recordings.items()
        if f'{name}{FAILED}' in there and f'{name}{DONE}' not in there
    }
    return FleetStatus(
        len(recordings), sum(f'{name}{DONE}' in there for name in recordings), failed
    )
