"""What runs the tasks of a command: this process, processes of this machine, or a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from microexpr_ros.cli import output
from microexpr_ros.errors import MicroexprError
from microexpr_ros.jobs import cluster
from microexpr_ros.jobs.cluster import EVEN_SHARE

SchedulerOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help='Dask scheduler whose workers do the work: tls://HOST:PORT, on this machine also '
        'tcp://127.0.0.1:PORT.'
    ),
]

CertificatesOption: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help='Folder with ca.pem, cert.pem and key.pem for tls://; by default those of the '
        'configuration of Dask.'
    ),
]

MemoryOption: TypeAlias = Annotated[
    str,
    typer.Option(
        help='Most memory that a process of --workers may take, such as 4GB; by default an even '
        'share of all.'
    ),
]


@dataclass(frozen=True, slots=True)
class Engine:
    """What runs the tasks.

    Attributes:
        workers: processes of this machine.
        scheduler: address of a cluster in their place.
        certificates: folder of the certificates; None for those of Dask's configuration.
        memory: most that a process may take; auto for an even share.

    Raises:
        MicroexprError: an option has no effect with the others.
    """

    workers: int = 1
    scheduler: str | None = None
    certificates: Path | None = None
    memory: str = EVEN_SHARE

    def __post_init__(self) -> None:
        if self.scheduler is None and self.certificates is not None:
            raise MicroexprError('--certificates are for a --scheduler: give one')
        if self.scheduler is not None and self.workers != 1:
            raise MicroexprError(
                '--workers are processes of this machine, and --scheduler has workers of its own: '
                'leave out one'
            )
        if self.scheduler is not None and self.memory != EVEN_SHARE:
            raise MicroexprError(
                '--memory is for --workers; those of a --scheduler are given it by `dask worker '
                '--memory-limit`'
            )

    @contextmanager
    def pool(self) -> Iterator[int | Executor]:
        """Yield what `jobs.run` takes: a number of processes, or the cluster."""
        if self.scheduler is None:
            yield self.workers
            return
        with cluster.connect(self.scheduler, self.certificates) as connected:
            output.note(f'dashboard: {connected.dashboard}')
            yield connected.executor

    @contextmanager
    def supervised(self) -> Iterator[int | Executor]:
        """Yield the same, but processes as a cluster: one that dies is replaced.

        One worker is this process, which keeps to no limit of memory, unless there is one.
        """
        if self.scheduler is not None or (self.workers == 1 and self.memory == EVEN_SHARE):
            with self.pool() as pool:
                yield pool
            return
        with cluster.local_cluster(self.workers, self.memory) as started:
            output.note(f'dashboard: {started.dashboard}')
            yield started.executor
