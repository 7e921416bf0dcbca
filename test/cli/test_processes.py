import subprocess
import sys
import threading

from command_line import wait_for

from microexpr_ros.cli.bench.processes import measure_usage, watch_peak_memory

WORK = 'import sys; data = bytearray(80_000_000); print(flush=True); sys.stdin.read()'


def begin():
    process = subprocess.Popen(
        [sys.executable, '-c', WORK],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    return process


def test_memory_and_time_are_those_of_the_process():
    process = begin()
    usage = measure_usage({'one': process})['one']
    assert 80 < usage.memory_mb < 200
    assert 0 <= usage.cpu_s < 5
    process.communicate()
    assert measure_usage({'one': process}) == {}


def test_a_process_that_has_ended_unnoticed_is_left_out():
    process = begin()
    process.stdin.close()
    wait_for(lambda: measure_usage({'one': process}) == {})
    process.stdout.close()


def test_the_peak_is_kept_until_the_leader_ends():
    leader, other = begin(), begin()
    threading.Timer(0.5, leader.stdin.close).start()
    peaks = watch_peak_memory({'leader': leader, 'other': other}, 'leader')
    assert leader.returncode == 0
    assert all(80 < peaks[name] < 200 for name in ('leader', 'other'))
    other.communicate()
    leader.stdout.close()
