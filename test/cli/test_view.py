"""`microexpr view` in a process of its own, and in a browser."""

import re
import signal
from urllib.parse import urlsplit

import browser
import pytest
from command_line import assert_one_clear_line, read_line

pytest.importorskip('rclpy')
pytest.importorskip('microexpr_ros.msg')

from microexpr_ros.cli.demo.sources import cache_folder

CACHE = cache_folder()
"""Of the user, before a test has one of its own: the recording is downloaded once."""

STATE = "document.getElementById('state-words').textContent"
SPREAD = """(() => {
  const canvas = document.querySelector('.reconstruction canvas');
  const { data } = canvas.getContext('2d').getImageData(32, 32, 64, 64);
  const grey = data.filter((_, index) => index % 4 === 0);
  return Math.max(...grey) - Math.min(...grey);
})()"""


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (('--host', '0.0.0.0'), 'give a token'),
        (('--token', 'short'), 'can be guessed'),
        (('--sensor', '640x480'), '--sensor and --time-unit are for a recording'),
        (('nowhere.raw',), 'there is no recording nowhere.raw'),
    ],
)
def test_what_cannot_be_is_one_clear_line(microexpr, arguments, message):
    result = microexpr('view', *arguments)
    assert_one_clear_line(result)
    assert message in result.stderr


def test_it_says_that_the_network_can_read_along(start):
    process = start('view', '--host', '0.0.0.0', '--port', '0', '--token', 'long enough')
    lines = [read_line(process, process.stderr) for _ in range(2)]
    assert re.search(r'open http://127.0.0.1:\d+/', lines[0])
    assert 'not encrypted' in lines[1]
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=120)
    # A line that is logged while the process ends cannot go to /rosout, as rcl says.
    rest = [line for line in rest.splitlines() if 'rosout' not in line]
    assert (process.returncode, rest) == (0, [])


@pytest.mark.slow
@pytest.mark.skipif(browser.CHROMIUM is None, reason='chromium is not installed')
def test_a_movement_of_a_real_face_is_shown_also_after_a_restart(start, tmp_path, monkeypatch):
    monkeypatch.setenv('MICROEXPR_CACHE', str(CACHE))
    process, url = begin(start, 0)
    page = browser.Browser(tmp_path / 'profile')
    try:
        page.open(url)
        page.until("document.querySelectorAll('#movements button').length > 0", 60)
        assert page.evaluate("document.querySelector('#movements .names').textContent")
        # Eyes, mouth and cheeks of a reconstructed face differ in brightness.
        page.until(f'{SPREAD} > 50')
        process.send_signal(signal.SIGINT)
        page.until(f"{STATE} === 'Waiting for the pipeline, which is not reached'", 60)
        begin(start, urlsplit(url).port)
        page.until(f"!{STATE}.startsWith('Waiting')", 60)
    finally:
        page.close()


def begin(start, port):
    """Start the demo's recording; return the process and the address of the page."""
    # At this speed a busy machine has time for images, too.
    process = start('view', 'real', '--port', str(port), '--rate', '0.3')
    line = read_line(process, process.stderr, 600)
    if 'could not be downloaded' in line:
        pytest.skip(line)
    return process, re.search(r'http://\S+', line)[0]
