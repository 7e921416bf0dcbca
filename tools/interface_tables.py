"""Write the tables of messages and parameters in docs/ anew, from msg/ and from the nodes.

Run by `make docs`. A table stands between `<!-- table: NAME -->` and `<!-- end of table -->`;
test/docs fails where one is out of date.
"""

from __future__ import annotations

import dataclasses
import importlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MESSAGES = ROOT / 'docs' / 'messages.md'
NODES = ROOT / 'docs' / 'nodes.md'

_FIELD = re.compile(r'(?P<type>[\w/\[\]]+) +(?P<name>[a-z_]+) +# (?P<meaning>.+)')
_CONSTANT = re.compile(r'uint8 (?P<name>[A-Z_]+)=(?P<value>\d+) +# (?P<meaning>.+)')
_PLACE = re.compile(r'(<!-- table: (\w+) -->\n)(.*?)(<!-- end of table -->)', re.DOTALL)


def message_tables(definition: str) -> str:
    """Return the constants and the fields of a message as Markdown tables.

    Args:
        definition: text of a .msg file.

    Raises:
        ValueError: a constant or field has no comment.
    """
    constants, fields = [], []
    for line in definition.splitlines():
        if not line or line.startswith('#'):
            continue
        if found := _CONSTANT.fullmatch(line):
            constants.append((f'`{found["name"]}`', found['value'], found['meaning']))
        elif found := _FIELD.fullmatch(line):
            fields.append((f'`{found["name"]}`', f'`{found["type"]}`', found['meaning']))
        else:
            raise ValueError(f'{line!r} has no comment: say unit, range and clock')
    tables = [_table(('field', 'type', 'meaning'), fields)]
    if constants:
        tables.insert(0, _table(('constant', 'value', 'meaning'), constants))
    return '\n'.join(tables)


def parameter_table(kind: type) -> str:
    """Return the parameters of a node as a Markdown table, without those of every node.

    Args:
        kind: dataclass of the node's parameters.
    """
    rows = [
        (
            f'`{field.name}`',
            _default(field.default),
            _allowed(field),
            field.metadata['description'],
        )
        for field in dataclasses.fields(kind)
        if field.name != 'autostart'
    ]
    return _table(('parameter', 'default', 'allowed', 'meaning'), rows)


def fill(text: str, tables: dict[str, str]) -> str:
    """Return a page with its tables replaced.

    Raises:
        ValueError: the page has no place for one of the tables, or a place without a table.
    """
    places = [found[2] for found in _PLACE.finditer(text)]
    if sorted(places) != sorted(tables):
        raise ValueError(f'places for {sorted(places)}, tables of {sorted(tables)}')
    return _PLACE.sub(lambda found: f'{found[1]}\n{tables[found[2]]}\n{found[4]}', text)


def messages_page() -> str:
    """Return docs/messages.md as it should be."""
    definitions = {file.stem: file.read_text() for file in (ROOT / 'msg').glob('*.msg')}
    tables = {name: message_tables(text) for name, text in definitions.items()}
    return fill(MESSAGES.read_text(), tables)


def nodes_page() -> str:
    """Return docs/nodes.md as it should be; needs rclpy."""
    from microexpr_ros.ros.nodes.pipeline import NODES as HOSTED

    classes = {**HOSTED, 'pipeline': 'PipelineNode'}
    tables = {}
    for name, node in classes.items():
        module = importlib.import_module(f'microexpr_ros.ros.nodes.{name}')
        tables[name] = parameter_table(getattr(module, node).Parameters)
    return fill(NODES.read_text(), tables)


def _default(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ', '.join(f'`{element}`' for element in value) or 'empty'
    if isinstance(value, str):
        return f'`{value}`' if value else 'empty'
    return str(value)


def _allowed(field: dataclasses.Field[object]) -> str:
    about = field.metadata
    if about['choices']:
        return ', '.join(f'`{choice}`' for choice in about['choices'] if choice)
    if about['minimum'] is None:
        return ''
    return f'{about["minimum"]} to {about["maximum"]}'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ['| ' + ' | '.join(row) + ' |' for row in (head, *rows)]
    lines.insert(1, '|---' * len(head) + '|')
    return '\n'.join(lines) + '\n'


def main() -> None:
    """Bring both pages up to date."""
    sys.path.insert(0, str(ROOT))
    MESSAGES.write_text(messages_page())
    NODES.write_text(nodes_page())


if __name__ == '__main__':
    main()
