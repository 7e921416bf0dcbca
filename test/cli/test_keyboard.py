import os
import pty
import subprocess
import sys


def test_a_terminal_that_is_not_ours_is_left_alone():
    ours, theirs = pty.openpty()
    script = (
        'from microexpr_ros.cli.keyboard import pressed_keys\n'
        'with pressed_keys(print):\n'
        "    print('ran')\n"
    )
    # In a session of its own, the process has a terminal but does not control it.
    ended = subprocess.run(
        [sys.executable, '-c', script],
        stdin=theirs,
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=120,
    )
    os.close(ours)
    os.close(theirs)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, 'ran\n', '')
