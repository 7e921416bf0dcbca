"""Threads with names, and the heap that they share."""

import platform
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from microexpr_ros.child import python
from microexpr_ros.threads import LONGEST_NAME, start_thread

COUNT_HEAPS = """
import ctypes, threading
from microexpr_ros.threads import share_heap
{before}
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
libc.fclose.argtypes = [ctypes.c_void_p]
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
together = threading.Barrier(4)
def allocate():
    libc.malloc(1000)
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
file = libc.fopen(b'/dev/stdout', b'w')
libc.malloc_info(0, file)
libc.fclose(file)
"""


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


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='the C library is not glibc')
def test_threads_share_one_heap():
    def count(before):
        program = COUNT_HEAPS.format(before=before)
        done = subprocess.run(python(program), capture_output=True, text=True, check=True)
        return done.stdout.count('<heap nr=')

    assert count('') > 1
    assert count('share_heap()') == 1
