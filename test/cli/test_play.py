"""`microexpr play` in a process of its own."""

import re
import termios
import time

import pytest
from command_line import wait_for
from terminals import screen

pytest.importorskip('rclpy')
pytest.importorskip('microexpr_ros.msg')


@pytest.mark.slow
def test_keys_pause_step_and_change_the_rate(start, bag, terminal):
    before = termios.tcgetattr(terminal.end)
    player = start('play', bag, '--rate', '0.1', **terminal.control())

    def last(pattern):
        found = re.findall(pattern, terminal.read())
        return found[-1] if found else None

    def messages():
        return int(last(r'(\d+) messages') or 0)

    wait_for(lambda: messages() > 0)
    # No echo, no waiting for a line; Ctrl-C still interrupts.
    flags = termios.tcgetattr(terminal.end)[3]
    assert not flags & (termios.ECHO | termios.ICANON)
    assert flags & termios.ISIG
    terminal.press(b' ')
    wait_for(lambda: last('paused|playing') == 'paused')
    # A message that was due before is shown a little later.
    count = -1
    while count != messages():
        count = messages()
        time.sleep(1.0)
    terminal.press(b'\x1b[C')
    wait_for(lambda: messages() == count + 1)
    terminal.press(b's')
    wait_for(lambda: messages() == count + 2)
    terminal.press(b'\x1b[A\x1b[A\x1b[B ')
    wait_for(lambda: last(r'rate ([\d.]+)') == '0.2')
    wait_for(lambda: messages() > count + 10)
    terminal.press(b'\x03')
    assert player.wait(120) == 0
    assert termios.tcgetattr(terminal.end) == before


@pytest.mark.slow
def test_what_is_logged_stands_on_lines_of_its_own(start, bag, terminal):
    player = start('play', bag, '--wait-for-subscribers', '0', **terminal.control())
    assert player.wait(120) == 0
    shown = terminal.read()
    assert len(re.findall(r'playing  [\d.]+ s  rate 1 ', shown)) > 3
    lines = [line for line in screen(shown) if line]
    (log,) = [line for line in lines if 'the bag has ended: 200 messages' in line]
    assert re.fullmatch(r'\S*\[INFO\] \[[\d.]+\] \[player\]: the bag has ended: .* late', log)
    # Of the status line, only the result is left.
    assert re.fullmatch(r'the bag has ended  2\.0 s .*bag', lines[-1])
    assert not any('playing' in line for line in lines)


def test_two_interrupts_end_it_in_order(start, bag, terminal):
    player = start('play', bag, '--loop', **terminal.control())
    wait_for(lambda: 'playing' in terminal.read())
    terminal.press(b'\x03')
    time.sleep(0.05)
    terminal.press(b'\x03')
    assert player.wait(120) == 0
    assert 'Traceback' not in terminal.read()
    assert 'stopped' in screen(terminal.read())[-2]


@pytest.mark.parametrize(
    ('arguments', 'error'),
    [
        (['play', 'nowhere'], 'there is no bag nowhere'),
        (['play', 'bag', '--topics', '/nose', '/ear'], 'has no topic /nose'),
        (['play', 'bag', '--start-offset', '9'], 'is behind the end'),
    ],
)
def test_what_cannot_be_played_is_told(start, bag, arguments, error):
    process = start(*arguments)
    out, told = process.communicate(timeout=120)
    assert process.returncode == 2
    assert error in told
    assert out == ''
