"""Groups of commands that are quick to list."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup
from typer.main import get_command


def make_app(**options: Any) -> typer.Typer:
    """Return a Typer application in the style that all commands have.

    Args:
        options: As of `typer.Typer`.
    """
    return typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={'help_option_names': ['-h', '--help']},
        **options,
    )


def default_of(function: Callable[..., object], argument: str) -> Any:
    """Return the default of a function's argument, which an option then has, too.

    Example:
        >>> default_of(print, 'sep')
        ' '
    """
    return inspect.signature(function).parameters[argument].default


class LazyGroup(TyperGroup):
    """A group that imports a command's module when that command is run or explained.

    Attributes:
        package: package of the modules. Each is named as its command and has an `app`.
        summaries: one line about each command, for the group's own help.
    """

    package: ClassVar[str]
    summaries: ClassVar[Mapping[str, str]]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands: Any = _Modules(self.package, list(self.summaries))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the summaries."""
        with formatter.section('Commands'):
            formatter.write_dl(list(self.summaries.items()))


class _Modules(Mapping[str, Any]):
    """Commands by name, each imported when it is taken out."""

    def __init__(self, package: str, names: Sequence[str]) -> None:
        self._package = package
        self._names = names

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        command = get_command(import_module(f'{self._package}.{name}').app)
        command.name = name
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
