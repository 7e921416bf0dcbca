"""Threads with names."""

import sys
import threading
from pathlib import Path

import pytest

from microexpr_ros.threads import LONGEST_NAME, start_thread


def test_a_thread_does_its_work_under_its_name():
    seen = []
    thread = start_thread('a name', lambda: seen.append(threading.current_thread().name))
    thread.join()
    assert seen == ['a name']
    assert thread.daemon


@pytest.mark.skipif(sys.platform != 'linux', reason='other systems keep the names elsewhere')
def test_the_operating_system_shows_the_name():
    seen = []
    long = 'a name that is longer than Linux keeps'
    start_thread(long, lambda: seen.append(Path('/proc/thread-self/comm').read_text())).join()
    assert seen == [long[:LONGEST_NAME] + '\n']
