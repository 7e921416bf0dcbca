"""Who may watch, and what each viewer is sent."""

import contextlib
import http.client
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest
from browser import wait_until
from view_pages import serving
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from microexpr_ros.errors import MicroexprError
from microexpr_ros.view import ServerOptions
from microexpr_ros.view.server import MOST_UNSHOWN, MOST_VIEWERS, SOCKET_PATH, WRONG_TOKEN

TOKEN = 'a long enough token'


class Counter:
    """Composes numbers."""

    def __init__(self):
        self.count = 0

    def compose(self):
        self.count += 1
        return str(self.count).encode()


@pytest.fixture
def counter():
    return Counter()


@pytest.fixture
def server(counter):
    with serving(counter.compose, rate_hz=100.0) as server:
        yield server


@contextlib.contextmanager
def watch(server, origin='own', token=None):
    """Connect as the page does."""
    place = urlsplit(server.url).netloc
    origin = f'http://{place}' if origin == 'own' else origin
    with connect(f'ws://{place}{SOCKET_PATH}', origin=origin, proxy=None) as viewer:
        if token is not None:
            viewer.send(token)
        yield viewer


def get(server, path, **headers):
    """Request a path exactly as it is written."""
    place = urlsplit(server.url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=60)
    connection.request('GET', path, headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


def test_the_page_is_served_with_nothing_from_elsewhere(server):
    response, body = get(server, '/')
    assert response.status == 200
    assert response.headers['Content-Type'] == 'text/html; charset=utf-8'
    policy = response.headers['Content-Security-Policy']
    assert "default-src 'none'" in policy
    assert 'http' not in policy
    assert response.headers['X-Content-Type-Options'] == 'nosniff'
    assert b'https://' not in body
    for path, kind in [('/main.js', 'text/javascript'), ('/view.css', 'text/css')]:
        response, _ = get(server, path)
        assert (response.status, response.headers['Content-Type'].split(';')[0]) == (200, kind)


@pytest.mark.parametrize(
    'path',
    [
        '/page',
        '/page/',
        '/index.html',
        '/../server.py',
        '/..%2fserver.py',
        '/%2e%2e/server.py',
        '//etc/passwd',
        '/main.js/..',
        '/server.py',
    ],
)
def test_there_is_no_listing_and_no_way_to_the_disk(server, path):
    response, body = get(server, path)
    assert (response.status, body) == (404, b'there is no such file\n')


@pytest.mark.parametrize('host', ['evil.example', '127.0.0.1.evil.example', '[', ''])
def test_a_name_that_leads_here_from_elsewhere_is_refused(server, host):
    response, body = get(server, '/', Host=host)
    assert response.status == 403
    assert body == b'without a token, only this machine may watch\n'


@pytest.mark.parametrize(
    'origin', ['http://evil.example', 'null', 'http://127.0.0.1:1', 'http://[', None]
)
def test_the_page_of_another_site_may_not_watch(server, counter, origin):
    with pytest.raises(InvalidStatus) as refused, watch(server, origin):
        pass
    assert refused.value.response.status_code == 403
    assert server.viewers == counter.count == 0


def test_nothing_is_composed_while_nobody_watches(counter):
    changes = []
    with serving(counter.compose, lambda: changes.append(server.viewers), rate_hz=100.0) as server:
        time.sleep(0.2)
        assert counter.count == 0
        with watch(server) as viewer:
            assert viewer.recv(timeout=30) == b'1'
            with watch(server) as other:
                other.recv(timeout=30)
        wait_until(lambda: server.viewers == 0, 30)
        count = counter.count
        time.sleep(0.2)
        assert counter.count == count
        assert changes == [1, 0]


def test_a_viewer_that_draws_is_sent_everything_in_order(server):
    with watch(server) as viewer:
        numbers = []
        for _ in range(50):
            numbers.append(int(viewer.recv(timeout=30)))
            viewer.send('drawn')
    assert numbers == list(range(1, 51))


def test_a_slow_viewer_gets_fewer_and_the_newest_and_nobody_waits(server):
    with watch(server) as slow, watch(server) as fast:
        for _ in range(MOST_UNSHOWN):
            slow.recv(timeout=30)
        seen = []
        for _ in range(40):
            seen.append(int(fast.recv(timeout=30)))
            fast.send('drawn')
        with pytest.raises(TimeoutError):
            slow.recv(timeout=0.1)
        slow.send('drawn')
        assert int(slow.recv(timeout=30)) >= seen[-1]


def test_nothing_is_composed_for_viewers_that_do_not_draw(server, counter):
    with watch(server) as viewer:
        for _ in range(MOST_UNSHOWN):
            viewer.recv(timeout=30)
        count = counter.count
        time.sleep(0.2)
        assert counter.count == count == MOST_UNSHOWN


def test_there_is_an_end_to_the_number_of_viewers(server):
    with contextlib.ExitStack() as viewers:
        for _ in range(MOST_VIEWERS):
            viewers.enter_context(watch(server))
        wait_until(lambda: server.viewers == MOST_VIEWERS, 30)
        with pytest.raises(InvalidStatus) as refused, watch(server):
            pass
        assert refused.value.response.status_code == 503
    wait_until(lambda: server.viewers == 0, 30)


def test_a_viewer_needs_the_token(counter):
    with serving(counter.compose, token=TOKEN) as server:
        for wrong in ('', 'a long enough tokeN', TOKEN + ' '):
            with watch(server, token=wrong) as viewer, pytest.raises(ConnectionClosed) as closed:
                viewer.recv(timeout=30)
            assert closed.value.rcvd.code == WRONG_TOKEN
        assert counter.count == 0
        with watch(server, token=TOKEN) as viewer:
            assert viewer.recv(timeout=30) == b'1'
        # Behind a proxy it has another name.
        assert get(server, '/', Host='robot.example')[0].status == 200


def test_a_viewer_that_says_nothing_is_sent_nothing(counter):
    with serving(counter.compose, token=TOKEN) as server, watch(server) as viewer:
        with pytest.raises(TimeoutError):
            viewer.recv(timeout=0.3)
        assert server.viewers == counter.count == 0


@pytest.mark.parametrize('host', ['0.0.0.0', '::', '192.168.1.5', 'robot.local'])
def test_the_network_needs_a_token(host):
    with pytest.raises(MicroexprError, match=f'host {host} .*give a token'):
        ServerOptions(host)
    assert ServerOptions(host, token=TOKEN).token == TOKEN


def test_a_short_token_is_refused():
    with pytest.raises(MicroexprError, match='7 characters can be guessed; give at least 8'):
        ServerOptions(token='1234567')


def test_a_port_that_is_taken_is_named(server, counter):
    port = urlsplit(server.url).port
    with (
        pytest.raises(MicroexprError, match=f'127.0.0.1:{port} .*choose another port'),
        serving(counter.compose, port=port),
    ):
        pass


def test_a_defect_of_what_is_shown_does_not_stay_hidden():
    caught = []

    def broken():
        raise ZeroDivisionError

    hook, threading.excepthook = threading.excepthook, lambda given: caught.append(given.exc_type)
    try:
        with (
            serving(broken) as server,
            watch(server) as viewer,
            pytest.raises(ConnectionClosed),
        ):
            viewer.recv(timeout=30)
    finally:
        threading.excepthook = hook
    assert caught == [ZeroDivisionError]


def test_what_is_no_request_disturbs_nobody(server):
    place = urlsplit(server.url)
    with socket.create_connection((place.hostname, place.port)) as raw:
        raw.sendall(b'\x16\x03\x01 not http\r\n\r\n')
    with watch(server) as viewer:
        assert viewer.recv(timeout=30)
