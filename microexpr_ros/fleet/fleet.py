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
    Done,
    Failed,
    Job,
    Long,
    Outcome,
    PartDone,
    Settings,
    analyze_later_part,
    analyze_source,
    join_later,
)
from microexpr_ros.jobs import run

PLAN: Final = 'fleet.json'

_Key = tuple[int, int]
"""Index of a recording, and part of it; _JOIN for joining the parts."""

_JOIN: Final = -1


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
    plan = {'model': settings.model, 'recordings': {job.id: job.source.address for job in jobs}}
    store.write(PLAN, json.dumps(plan, indent=1).encode())
    there = store.names(RECORDS)
    todo = {
        (n, 0): partial(analyze_source, job)
        for n, job in enumerate(jobs)
        if f'{job.id}{DONE}' not in there
    }
    waiting: dict[int, set[int]] = {}
    through = len(jobs) - len(todo)
    progress(through, len(jobs))

    def count() -> None:
        nonlocal through
        through += 1
        progress(through, len(jobs))

    def report(key: _Key, outcome: Outcome) -> dict[_Key, Callable[[], Outcome]] | None:
        index, number = key
        if isinstance(outcome, Done):
            count()
        elif isinstance(outcome, Failed):
            give_up(index)
        elif isinstance(outcome, Long):
            numbers = tuple(start.number for start in outcome.starts)
            waiting[index] = set(numbers)
            joins[index] = partial(join_later, jobs[index], outcome.result, numbers)
            return {
                (index, start.number): partial(
                    analyze_later_part, jobs[index], outcome.result, start
                )
                for start in outcome.starts
            }
        elif isinstance(outcome, PartDone) and index in waiting:
            waiting[index].discard(number)
            if not waiting[index]:
                del waiting[index]
                return {(index, _JOIN): joins[index]}
        return None

    def give_up(index: int) -> None:
        # A recording fails once, however many of its parts do.
        if index not in given_up:
            given_up.add(index)
            waiting.pop(index, None)
            count()

    def fail(key: _Key, error: Exception) -> None:
        if isinstance(error, CancelledError):
            raise MicroexprError(
                'the scheduler is lost: run the same command again, what is done is kept'
            ) from error
        jobs[key[0]].write_failed(' '.join(f'{type(error).__name__}: {error}'.split()))
        give_up(key[0])

    joins: dict[int, Callable[[], Outcome]] = {}
    given_up: set[int] = set()
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
