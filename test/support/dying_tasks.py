"""Work in whose midst its process is killed."""

import os
import signal


def die_once(folder, number):
    """Return a square; kill the process before the fourth, unless one has been killed already."""
    marker = folder / 'killed'
    if number == 3 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def die_always():
    """Kill the process."""
    os.kill(os.getpid(), signal.SIGKILL)
