"""What all commands print: results on standard output, everything else on standard error.

With `--json`, standard output holds one JSON object and nothing else. Bars, spinners and live
views need a terminal; in a log file only lines that stay are left.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer
from rich.console import Console

if TYPE_CHECKING:
    from rich.console import JustifyMethod, RenderableType
    from rich.progress import Progress

JsonOption: TypeAlias = Annotated[
    bool, typer.Option('--json', help='Print one JSON object, nothing else.')
]


def print_json(result: Any) -> None:
    """Print a result as one JSON object."""
    typer.echo(json.dumps(result))


def print_text(text: str) -> None:
    """Print a result for people."""
    typer.echo(text)


def print_values(result: Mapping[str, Any], as_json: bool) -> None:
    """Print a result of many numbers, as one JSON object or indented for people."""
    if as_json:
        print_json(result)
    else:
        Console().print(result)


def print_table(
    rows: Sequence[Mapping[str, str]],
    *,
    text: Collection[str],
    group: str | None = None,
    title: str | None = None,
    caption: str | None = None,
) -> None:
    """Print rows as a table.

    Args:
        rows: Cells by heading; all rows have the same headings.
        text: Headings of columns of text; the others hold numbers and are aligned to the right.
        group: Heading whose equal cells in a row of rows are printed once, above a line.
        title: Stands above the table.
        caption: Stands below the table.
    """
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(title=title, caption=caption, box=SIMPLE, collapse_padding=True)
    for heading in rows[0] if rows else ():
        justify: JustifyMethod = 'left' if heading in text else 'right'
        table.add_column(heading, justify=justify, overflow='fold')
    before = None
    for row in rows:
        cells = dict(row)
        if group is not None:
            if cells[group] == before:
                cells[group] = ''
            else:
                table.add_section()
                before = cells[group]
        table.add_row(*cells.values())
    Console().print(table, markup=False)


def note(text: str) -> None:
    """Print a line that is not part of the result."""
    typer.echo(text, err=True)


def print_error(error: Exception) -> None:
    """Print an error that the user can correct."""
    note(f'error: {error}')


class ProgressBar:
    """How far some work is."""

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._title = title
        self._task = progress.add_task(title, total=None)

    def update(self, done: float, total: float = 1.0, title: str | None = None) -> None:
        """Show how much is done.

        Args:
            done: What is done of the total.
            total: All that is to do. A count is shown beside the bar if it is a whole number.
            title: What is being done, if it has changed.
        """
        self._title = title or self._title
        count = f' {done}/{total}' if isinstance(total, int) else ''
        self._progress.update(
            self._task, completed=done, total=total, description=self._title + count
        )

    def print(self, text: str) -> None:
        """Print a line above the bar, where it stays."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress_bar(title: str) -> Iterator[ProgressBar]:
    """Show a bar until the work is done.

    Args:
        title: What is being done.
    """
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn('{task.description}', markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn('ETA'),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        yield ProgressBar(progress, title)


@contextmanager
def spinner(text: str) -> Iterator[Callable[[str], None]]:
    """Show that something is being done whose end is unknown; yield what changes the text."""
    from rich.markup import escape

    with Console(stderr=True).status(escape(text)) as status:
        yield lambda new: status.update(escape(new))


@contextmanager
def live_view(
    render: Callable[[], RenderableType], per_second: float = 4.0, keep: bool = False
) -> Iterator[None]:
    """Keep a view at the bottom of the terminal that is drawn again and again.

    What is written to standard error meanwhile, also by a library in C such as the log of ROS,
    is printed above the view, on lines of its own.

    Args:
        render: Returns the view; called on a thread of its own.
        per_second: How often it is drawn.
        keep: Whether the last view stays on the screen.
    """
    if not sys.stderr.isatty():
        yield
        return
    from rich.live import Live
    from rich.text import Text

    with ExitStack() as stack:
        descriptor = sys.stderr.fileno()
        terminal = stack.enter_context(os.fdopen(os.dup(descriptor), 'w'))
        console = Console(file=terminal)
        live = Live(
            get_renderable=render,
            console=console,
            refresh_per_second=per_second,
            transient=not keep,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        stack.enter_context(live)

        def print_above(line: str) -> None:
            console.print(Text.from_ansi(line), soft_wrap=True)

        stack.enter_context(_lines_written_to(descriptor, print_above))
        yield


@contextmanager
def _lines_written_to(descriptor: int, on_line: Callable[[str], None]) -> Iterator[None]:
    """Take every line that this process writes to a file descriptor."""
    original = os.dup(descriptor)
    reading, writing = os.pipe()
    os.dup2(writing, descriptor)
    os.close(writing)

    def read() -> None:
        with os.fdopen(reading, errors='replace') as lines:
            for line in lines:
                on_line(line.rstrip('\n'))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield
    finally:
        # This closes the writing end, so that the reader ends with the last line.
        os.dup2(original, descriptor)
        os.close(original)
        reader.join()
