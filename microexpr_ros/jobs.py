"""Dividing work: into parts for a batch system, and among processes of one machine."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from microexpr_ros.errors import MicroexprError

Key = TypeVar('Key')
Result = TypeVar('Result')


@dataclass(frozen=True, slots=True)
class Share:
    """One of several parts of the work, which are as equal as possible.

    Attributes:
        part: number of this part, from 1.
        of: number of parts.
    """

    part: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> Share:
        """Return the share that a text such as 2/3 names.

        Example:
            >>> Share.parse('2/3')
            Share(part=2, of=3)

        Raises:
            MicroexprError: The text is not part/parts, counted from 1.
        """
        part, _, of = text.partition('/')
        if not (part.isdecimal() and of.isdecimal() and 1 <= int(part) <= int(of)):
            raise MicroexprError(
                f'--shard {text!r} is not a part of parts: give for example 1/3, 2/3 or 3/3'
            )
        return cls(int(part), int(of))

    def has(self, number: int) -> bool:
        """Return whether a piece of work, counted from 0, is in this part."""
        return number % self.of == self.part - 1


def run(
    tasks: Mapping[Key, Callable[[], Result]], workers: int, report: Callable[[Key, Result], None]
) -> None:
    """Run tasks, in several processes if there are several workers.

    Args:
        tasks: Functions to call; several workers need functions that can be pickled.
        workers: Number of processes.
        report: Called in this process with each task's key and result, in any order.
    """
    if workers == 1 or len(tasks) < 2:
        for key, task in tasks.items():
            report(key, task())
        return
    # Fresh processes: forking one with running threads (numba, progress bar) can hang.
    context = multiprocessing.get_context('spawn')
    with _one_thread_each(), ProcessPoolExecutor(workers, context) as pool:
        futures = {pool.submit(task): key for key, task in tasks.items()}
        try:
            for future in as_completed(futures):
                report(futures[future], future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
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
