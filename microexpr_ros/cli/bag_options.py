"""Options as `ros2 bag` takes them: several values behind one name, or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from typer.core import TyperCommand

SEVERAL: Final = ('--topics', '--remap', '-m')
DEFAULTS: Final = {'--clock': '40'}
"""Options that may stand without a value, and the value that they have then."""


class BagCommand(TyperCommand):
    """A command whose options are written as those of `ros2 bag`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments as the shell passes them."""
        return super().parse_args(ctx, spell_out(args, SEVERAL, DEFAULTS))


def spell_out(
    args: Sequence[str], several: Sequence[str], defaults: Mapping[str, str]
) -> list[str]:
    """Return arguments with a name before every value, and a value behind every name.

    Example:
        >>> spell_out(['bag', '--topics', '/a', '/b', '--clock', '-l'], SEVERAL, DEFAULTS)
        ['bag', '--topics', '/a', '--topics', '/b', '--clock', '40', '-l']

    Args:
        args: Arguments as the shell passes them.
        several: Options that take all values up to the next option.
        defaults: Options that may stand without a value, and the value that they have then.
    """
    spelled: list[str] = []
    name = ''
    for index, arg in enumerate(args):
        if arg.startswith('-'):
            name = ''
            following = args[index + 1 : index + 2]
            if arg in several and following:
                name = arg
                continue
            spelled.append(arg)
            if arg in defaults and not (following and _is_number(following[0])):
                spelled.append(defaults[arg])
        else:
            spelled += [name, arg] if name else [arg]
    return spelled


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
