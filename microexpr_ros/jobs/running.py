"""Running tasks on an executor: any of `concurrent.futures`, or of a Dask cluster."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Final, TypeAlias, TypeVar

Key = TypeVar('Key')
Result = TypeVar('Result')

Tasks: TypeAlias = Mapping[Key, Callable[[], Result]]
"""Functions to call, by key; those that run in other processes must be picklable."""

_IN_FLIGHT: Final = 4000
"""Tasks that an executor holds at once: enough for a thousand workers, while a scheduler need not
keep a million clips in memory."""


def run(
    tasks: Tasks[Key, Result],
    workers: int | Executor,
    report: Callable[[Key, Result], Tasks[Key, Result] | None],
    fail: Callable[[Key, Exception], None] | None = None,
) -> None:
    """Run tasks, and those that follow from their results.

    Args:
        tasks: What to run.
        workers: Number of processes on this machine, 1 for this one; or an executor.
        report: Called in this process with each task's key and result, in any order. It may
            return further tasks.
        fail: Called with a task's key and the exception that it ended with; without it the
            exception ends the run.
    """
    if isinstance(workers, Executor):
        _run_on(workers, tasks, report, fail)
    elif workers == 1 or len(tasks) < 2:
        _run_here(tasks, report, fail)
    else:
        # Fresh processes: forking one with running threads (numba, progress bar) can hang.
        context = multiprocessing.get_context('spawn')
        with _one_thread_each(), ProcessPoolExecutor(workers, context) as pool:
            _run_on(pool, tasks, report, fail)


def _run_here(
    tasks: Tasks[Key, Result],
    report: Callable[[Key, Result], Tasks[Key, Result] | None],
    fail: Callable[[Key, Exception], None] | None,
) -> None:
    waiting = deque(tasks.items())
    while waiting:
        key, task = waiting.popleft()
        try:
            result = task()
        except Exception as error:
            if fail is None:
                raise
            fail(key, error)
            continue
        # What follows comes first, so that a piece of work that has begun is soon complete.
        waiting.extendleft((report(key, result) or {}).items())


def _run_on(
    executor: Executor,
    tasks: Tasks[Key, Result],
    report: Callable[[Key, Result], Tasks[Key, Result] | None],
    fail: Callable[[Key, Exception], None] | None,
) -> None:
    waiting = deque(tasks.items())
    keys: dict[Future[Result], Key] = {}
    done: SimpleQueue[Future[Result]] = SimpleQueue()
    try:
        while waiting or keys:
            while waiting and len(keys) < _IN_FLIGHT:
                key, task = waiting.popleft()
                future = executor.submit(task)
                keys[future] = key
                future.add_done_callback(done.put)
            future = done.get()
            key = keys.pop(future)
            error = future.exception()
            if isinstance(error, Exception) and fail is not None:
                fail(key, error)
                continue
            waiting.extendleft((report(key, future.result()) or {}).items())
    except BaseException:
        for future in keys:
            future.cancel()
        raise


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Keep the workers' linear algebra to one thread: there are as many workers as cores."""
    names = ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS', 'MKL_NUM_THREADS')
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, '1'))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
