"""Dask as an executor: a cluster of this machine, or one that already runs.

Tasks are pickled, and who can send a pickle can run anything: everything stays on the loopback,
or speaks TLS with certificates.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from microexpr_ros.errors import MicroexprError
from microexpr_ros.loopback import LOOPBACK, is_loopback

CA_FILE: Final = 'ca.pem'
CERTIFICATE_FILE: Final = 'cert.pem'
KEY_FILE: Final = 'key.pem'

EVEN_SHARE: Final = 'auto'
"""As a limit of memory: an even share of the machine's for each worker."""

_PATIENCE_S: Final = 10
_RESTART: Final = '24h'
"""How long a worker that was killed may take to start anew."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Dask cluster.

    Attributes:
        executor: Runs tasks; those of a worker that dies are run again by another.
        client: Dask's own interface.
        dashboard: Address of its page.
    """

    executor: Executor
    client: Any
    dashboard: str


def require_cluster() -> None:
    """Check that Dask is installed.

    Raises:
        MicroexprError: It is not.
    """
    if find_spec('distributed') is None:
        raise MicroexprError(
            'several workers need Dask, which is not installed: pip install -r '
            'requirements/fleet.txt'
        )


@contextmanager
def local_cluster(workers: int, memory: str = EVEN_SHARE) -> Iterator[Cluster]:
    """Start a cluster of this machine; it listens on the loopback alone.

    Args:
        workers: Processes, of one thread each.
        memory: Most that a worker may take, for example 4GB, before it is restarted, or
            EVEN_SHARE.

    Raises:
        MicroexprError: Dask is not installed, or an argument is wrong.
    """
    require_cluster()
    # An extra, which takes a while to load.
    import dask
    from dask.utils import parse_bytes
    from distributed import LocalCluster

    if workers < 1:
        raise MicroexprError(f'--workers {workers} is too small: give at least 1')
    try:
        limit = memory if memory == EVEN_SHARE else parse_bytes(memory)
    except ValueError:
        raise MicroexprError(f'{memory!r} is no amount of memory: give for example 4GB') from None
    with (
        # Otherwise Dask gives up a worker whose next process takes longer to start than 15 s, and
        # waits for ever when all of them are given up.
        dask.config.set({'distributed.deploy.lost-worker-timeout': _RESTART}),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host=LOOPBACK,
            dashboard_address=f'{LOOPBACK}:0',
            # Otherwise the page of each worker would be open to the network.
            worker_dashboard_address=f'{LOOPBACK}:0',
            memory_limit=limit,
            silence_logs=logging.CRITICAL,
        ) as started,
        _client(started.scheduler_address) as cluster,
    ):
        yield cluster


@contextmanager
def connect(address: str, certificates: Path | None = None) -> Iterator[Cluster]:
    """Connect to a scheduler.

    Args:
        address: tls://HOST:PORT; on the loopback also tcp://.
        certificates: Folder with ca.pem, cert.pem and key.pem; None for those of Dask's own
            configuration.

    Raises:
        MicroexprError: Dask is not installed, the address is not allowed, it has no
            certificates, or nothing answers.
    """
    require_cluster()
    require_safe(address)
    security = _find_certificates(certificates) if address.startswith('tls://') else None
    with _client(address, security) as cluster:
        info = cluster.client.scheduler_info(n_workers=-1)
        for used in (info['address'], *info['workers']):
            require_safe(used)
        yield cluster


def require_safe(address: str) -> None:
    """Check that an address may carry tasks.

    Raises:
        MicroexprError: It may not.

    Example:
        >>> require_safe('tls://head:8786')
        >>> require_safe('tcp://127.0.0.1:8786')
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if parts.scheme not in ('tcp', 'tls') or not host or not port:
        raise MicroexprError(
            f'{address!r} is not the address of a scheduler or worker: give tls://HOST:PORT'
        )
    if parts.scheme == 'tcp' and not is_loopback(host):
        raise MicroexprError(
            f'{address} would carry tasks without encryption to another machine, and who can send '
            'a task can run anything there: give tls://, with certificates'
        )


def _find_certificates(folder: Path | None) -> Any:
    from distributed.security import Security

    if folder is None:
        security = Security(require_encryption=True)
        missing = [
            name
            for name in ('tls_ca_file', 'tls_client_cert', 'tls_client_key')
            if not getattr(security, name)
        ]
        if missing:
            raise MicroexprError(
                f'tls:// needs certificates, and Dask is configured without {missing[0]}: give '
                f'--certificates FOLDER with {CA_FILE}, {CERTIFICATE_FILE} and {KEY_FILE}'
            )
        return security
    paths = [folder / name for name in (CA_FILE, CERTIFICATE_FILE, KEY_FILE)]
    for path in paths:
        if not path.is_file():
            raise MicroexprError(f'there is no {path}: put {path.name} there')
    ca, certificate, key = map(str, paths)
    return Security(
        tls_ca_file=ca, tls_client_cert=certificate, tls_client_key=key, require_encryption=True
    )


@contextmanager
def _client(address: str, security: Any = None) -> Iterator[Cluster]:
    # An extra, which takes a while to load.
    from distributed import Client

    try:
        client = Client(address, security=security, timeout=_PATIENCE_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise MicroexprError(
            f'the scheduler {address} does not answer ({error}): check address, certificates and '
            'that it runs'
        ) from error
    with client:
        yield Cluster(client.get_executor(), client, client.dashboard_link)
