"""A terminal for a process under test, and what stands on its screen."""

import fcntl
import os
import pty
import re
import select
import termios
from contextlib import contextmanager


class Terminal:
    """A pseudo-terminal.

    Attributes:
        end: file descriptor for the process under test.
    """

    def __init__(self):
        self._ours, self.end = pty.openpty()
        self._shown = b''

    def read(self):
        """Return all that was written so far."""
        while select.select([self._ours], [], [], 0)[0]:
            self._shown += os.read(self._ours, 4096)
        return self._shown.decode(errors='ignore')

    def press(self, keys):
        os.write(self._ours, keys)

    def control(self):
        """Return options of a process that the terminal is to control."""
        return {
            'stdin': self.end,
            'stdout': self.end,
            'stderr': self.end,
            'start_new_session': True,
            'preexec_fn': lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        }

    def close(self):
        os.close(self._ours)
        os.close(self.end)


@contextmanager
def open_terminal():
    terminal = Terminal()
    try:
        yield terminal
    finally:
        terminal.close()


def screen(text):
    """Return the lines that stand on a screen of any size after some output.

    >>> screen('one\\r\\ntwo\\r\\x1b[2Kthree\\r\\n\\x1b[1A\\x1b[2Kfour')
    ['one', 'four', '']
    """
    lines, row, column = [''], 0, 0
    for code, plain in re.findall(r'(\x1b\[[?\d;]*[A-Za-z]|[\r\n])|([^\x1b\r\n]+)', text):
        if plain:
            lines[row] = (
                lines[row][:column].ljust(column) + plain + lines[row][column:][len(plain) :]
            )
            column += len(plain)
        elif code == '\r':
            column = 0
        elif code == '\n':
            row += 1
            if row == len(lines):
                lines.append('')
        elif code.endswith('A'):
            row = max(0, row - int(code[2:-1] or 1))
        elif code.endswith('K'):
            lines[row] = ''
    return lines
