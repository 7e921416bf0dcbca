"""What commands print, and where."""

import json
import subprocess
import sys

import pytest
from command_line import ROOT
from terminals import screen

from microexpr_ros.cli import output


def run_in(terminal, script):
    """Run a script whose standard error is a terminal; return its standard output."""
    return subprocess.run(
        [sys.executable, '-c', script],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=terminal.end,
        text=True,
        timeout=120,
        check=True,
    ).stdout


def test_logs_stand_above_a_live_view_on_lines_of_their_own(terminal):
    script = """
import os, sys, time
from microexpr_ros.cli.output import live_view
drawn = 0
def draw():
    global drawn
    drawn += 1
    return 'playing'
def wait():
    until = drawn + 3
    while drawn < until:
        time.sleep(0.01)
with live_view(draw, per_second=50):
    wait()
    os.write(2, b'written by a library\\n')
    wait()
    os.write(2, b'one [bold]and')
    wait()
    print(' more', file=sys.stderr)
    wait()
    os.write(2, b'\\x1b[33mthe last\\x1b[0m\\n')
print('result')
print('after', file=sys.stderr)
"""
    assert run_in(terminal, script) == 'result\n'
    shown = terminal.read()
    assert shown.count('playing') > 5
    assert '\x1b[33mthe last' in shown
    assert [line for line in screen(shown) if line] == [
        'written by a library',
        'one [bold]and more',
        'the last',
        'after',
    ]


def test_a_live_view_needs_a_terminal(capfd):
    with output.live_view(lambda: pytest.fail('nobody sees this')):
        output.note('a line')
    assert capfd.readouterr() == ('', 'a line\n')


def test_an_error_in_a_live_view_gives_standard_error_back(terminal):
    script = """
import sys
from microexpr_ros.cli.output import live_view
try:
    with live_view(lambda: 'playing'):
        raise RuntimeError
except RuntimeError:
    print(sys.stderr.isatty())
"""
    assert run_in(terminal, script) == 'True\n'


def test_a_bar_counts_and_leaves_only_lines(terminal):
    script = """
import time
from microexpr_ros.cli.output import progress_bar
with progress_bar('clips') as bar:
    bar.update(1, 4)
    bar.print('first [done]')
    time.sleep(1.0)
    bar.update(0.5, title='half')
    time.sleep(1.0)
"""
    assert run_in(terminal, script) == ''
    shown = terminal.read()
    assert 'clips 1/4' in shown
    assert 'half' in shown
    assert [line for line in screen(shown) if line.strip()] == ['first [done]']


def test_without_a_terminal_a_bar_is_only_its_lines(capsys):
    with output.progress_bar('clips') as bar:
        bar.update(1, 4)
        bar.print('first [done]')
    assert capsys.readouterr() == ('', 'first [done]\n')


def test_a_group_is_named_once(capsys):
    rows = [{'stream': name, 'Mev/s': f'{rate}'} for name, rate in (('a', 10), ('a', 9), ('b', 8))]
    output.print_table(rows, text=('stream',), group='stream', title='title')
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert [line.split() for line in lines if any(c.isdigit() for c in line)] == [
        ['a', '10'],
        ['9'],
        ['b', '8'],
    ]


def test_json_stands_alone(capsys):
    output.print_values({'a': 1}, as_json=True)
    assert json.loads(capsys.readouterr().out) == {'a': 1}
