"""The server of the live page: its files over HTTP, snapshots over a WebSocket.

It has a thread to itself. Nothing is composed while nobody watches. A viewer acknowledges each
snapshot that it has drawn; while too many are on their way, it is sent none, and then the newest:
a slow viewer gets fewer snapshots, and neither the pipeline nor another viewer waits for it.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from microexpr_ros.errors import MicroexprError
from microexpr_ros.loopback import LOOPBACK, is_loopback
from microexpr_ros.view.page_files import read_page_files

SOCKET_PATH: Final = '/snapshots'
"""Address of the WebSocket."""

SHORTEST_TOKEN: Final = 8
MOST_VIEWERS: Final = 8
MOST_UNSHOWN: Final = 3
"""Snapshots on their way to a viewer: enough for 25 Hz over a network with 100 ms of delay."""

WRONG_TOKEN: Final = 4401
"""Code with which the connection of a viewer without the token is closed."""

_TOKEN_PATIENCE_S: Final = 5.0
_LONGEST_FROM_VIEWER: Final = 1024
_HEADERS: Final = {
    'Cache-Control': 'no-cache',
    'Content-Security-Policy': (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    'Referrer-Policy': 'no-referrer',
    'X-Content-Type-Options': 'nosniff',
}

# websockets logs each port scan with a traceback; what a person has to know is said by the page.
_logger = logging.getLogger(__name__)
_logger.setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where the page is served, and to whom.

    Attributes:
        host: address to listen on; others than loopback need a token.
        port: port to listen on; 0: any that is free.
        token: what a viewer must know; empty: nothing.
        rate_hz: snapshots per second.

    Raises:
        MicroexprError: the page would be open to the network, or the token is too short.
    """

    host: str = LOOPBACK
    port: int = 8090
    token: str = ''
    rate_hz: float = 25.0

    def __post_init__(self) -> None:
        if self.token and len(self.token) < SHORTEST_TOKEN:
            raise MicroexprError(
                f'a token of {len(self.token)} characters can be guessed; give at least '
                f'{SHORTEST_TOKEN}, for example the output of `openssl rand -hex 16`'
            )
        if not self.token and not is_loopback(self.host):
            raise MicroexprError(
                f'host {self.host} can be reached from the network: give a token too, for '
                'example the output of `openssl rand -hex 16`, or leave host at 127.0.0.1'
            )


class ViewServer:
    """Serve the page until it is stopped.

    Args:
        options: where and to whom.
        compose: called on the server's thread while somebody watches, `rate_hz` times a second;
            returns the next snapshot as bytes, None if there is nothing new.
        on_viewers: called on the server's thread when the first viewer has come, and when the
            last one has left.
    """

    def __init__(
        self,
        options: ServerOptions,
        compose: Callable[[], bytes | None],
        on_viewers: Callable[[], object],
    ) -> None:
        self._options = options
        self._compose = compose
        self._on_viewers = on_viewers
        self._files = read_page_files()
        self._viewers: set[_Viewer] = set()
        self._port: Future[int] = Future()

    @property
    def url(self) -> str:
        """Address of the page, for a browser on this machine, without the token."""
        host = self._options.host
        if host in ('0.0.0.0', '::'):
            host = LOOPBACK
        return f'http://{f"[{host}]" if ":" in host else host}:{self._port.result()}/'

    @property
    def viewers(self) -> int:
        """Number of viewers."""
        return len(self._viewers)

    def run(self) -> None:
        """Serve on this thread until `stop` is called on another."""
        try:
            asyncio.run(self._serve())
        except Exception as error:
            if self._port.done():
                raise
            # Whoever waits for the port must not wait for ever.
            self._port.set_exception(error)

    def wait_until_listening(self) -> None:
        """Wait until viewers can come.

        Raises:
            MicroexprError: the address cannot be used.
        """
        try:
            self._port.result()
        # A name that no host can have is an error of its encoding.
        except (OSError, UnicodeError) as error:
            host, port = self._options.host, self._options.port
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            raise MicroexprError(
                f'the page cannot be served at {host}:{port} ({reason}): '
                'choose another port, or an address of this machine'
            ) from None

    def stop(self) -> None:
        """Close all connections, and let `run` return."""
        if self._port.done() and self._port.exception() is None:
            with suppress(RuntimeError):  # It has ended by itself.
                self._loop.call_soon_threadsafe(self._stopping.set)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping, self._watched = asyncio.Event(), asyncio.Event()
        async with serve(
            self._attend,
            self._options.host,
            self._options.port,
            process_request=self._respond,
            compression=None,  # JPEGs are compressed.
            max_size=_LONGEST_FROM_VIEWER,
            server_header=None,
            logger=_logger,
        ) as server:
            self._port.set_result(next(iter(server.sockets)).getsockname()[1])
            composing = asyncio.create_task(self._compose_while_watched())
            stopped = asyncio.create_task(self._stopping.wait())
            # Composing only ends with a defect, which must not stay hidden.
            await asyncio.wait((composing, stopped), return_when=asyncio.FIRST_COMPLETED)
            if composing.done():
                composing.result()
            composing.cancel()

    async def _compose_while_watched(self) -> None:
        period_s = 1 / self._options.rate_hz
        due_s = 0.0
        while True:
            await self._watched.wait()
            due_s = max(due_s + period_s, self._loop.time())
            await asyncio.sleep(due_s - self._loop.time())
            if not any(viewer.ready for viewer in self._viewers):
                continue
            snapshot = self._compose()
            if snapshot is not None:
                for viewer in self._viewers:
                    viewer.offer(snapshot)

    def _respond(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer with a file; None lets a WebSocket be opened."""
        if not self._is_own_host(request.headers):
            return _refuse(HTTPStatus.FORBIDDEN, 'without a token, only this machine may watch')
        path = urlsplit(request.path).path
        if path == SOCKET_PATH:
            if not _is_own_origin(request.headers):
                return _refuse(HTTPStatus.FORBIDDEN, 'the page of another site may not watch')
            if self.viewers >= MOST_VIEWERS:
                return _refuse(HTTPStatus.SERVICE_UNAVAILABLE, 'there are too many viewers')
            return None
        file = self._files.get(path)
        if file is None:
            return _refuse(HTTPStatus.NOT_FOUND, 'there is no such file')
        return _answer(HTTPStatus.OK, file.media_type, file.content)

    def _is_own_host(self, headers: Headers) -> bool:
        # A site can give its own name the address 127.0.0.1, and be of one origin with this page
        # for the browser; it does not know a token.
        return bool(self._options.token) or is_loopback(_host_name(headers.get('Host', '')))

    async def _attend(self, connection: ServerConnection) -> None:
        if self._options.token and not await self._knows_token(connection):
            await connection.close(WRONG_TOKEN, 'wrong token')
            return
        viewer = _Viewer(connection)
        self._viewers.add(viewer)
        if len(self._viewers) == 1:
            self._watched.set()
            self._on_viewers()
        try:
            await viewer.follow()
        finally:
            self._viewers.remove(viewer)
            if not self._viewers:
                self._watched.clear()
                self._on_viewers()

    async def _knows_token(self, connection: ServerConnection) -> bool:
        # In a message and not in the address, which proxies write into their logs.
        try:
            given = await asyncio.wait_for(connection.recv(), _TOKEN_PATIENCE_S)
        except (ConnectionClosed, asyncio.TimeoutError):
            return False
        data = given.encode() if isinstance(given, str) else given
        return hmac.compare_digest(data, self._options.token.encode())


class _Viewer:
    """One connection: the newest snapshot waits until the viewer is ready for it."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self._waiting: bytes | None = None
        self._unshown = 0
        self._changed = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether the next snapshot would be sent at once."""
        return self._unshown < MOST_UNSHOWN

    def offer(self, snapshot: bytes) -> None:
        """Send a snapshot as soon as the viewer is ready, unless a newer one comes before."""
        self._waiting = snapshot
        self._changed.set()

    async def follow(self) -> None:
        """Send snapshots until the connection is closed."""
        sending = asyncio.create_task(self._send())
        try:
            async for _ in self._connection:  # Each message says that one snapshot was drawn.
                self._unshown = max(self._unshown - 1, 0)
                self._changed.set()
        except ConnectionClosed:
            pass
        finally:
            sending.cancel()

    async def _send(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._waiting is not None and self.ready:
                snapshot, self._waiting = self._waiting, None
                self._unshown += 1
                try:
                    await self._connection.send(snapshot)
                except ConnectionClosed:
                    return


def _host_name(host: str) -> str:
    """Return the name or address in a Host header, without port and brackets."""
    with suppress(ValueError):
        return urlsplit(f'//{host}').hostname or ''
    return ''


def _is_own_origin(headers: Headers) -> bool:
    """Return whether a request comes from this server's page; all browsers name the origin."""
    host = headers.get('Host', '').lower()
    return bool(host) and headers.get('Origin', '').lower() in (
        f'http://{host}',
        f'https://{host}',
    )


def _answer(status: HTTPStatus, media_type: str, content: bytes) -> Response:
    headers = Headers(
        {'Content-Type': media_type, 'Content-Length': str(len(content)), **_HEADERS}
    )
    headers['Connection'] = 'close'
    return Response(status.value, status.phrase, headers, content)


def _refuse(status: HTTPStatus, reason: str) -> Response:
    return _answer(status, 'text/plain; charset=utf-8', f'{reason}\n'.encode())
