"""All results of a fleet in one table and on one page."""

from __future__ import annotations

import io
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from microexpr_ros.facs import CODES, NAMES
from microexpr_ros.fleet.fleet import PLAN, FleetStatus, read_status
from microexpr_ros.fleet.results import read_metadata
from microexpr_ros.fleet.store import Store
from microexpr_ros.fleet.tasks import DONE, RECORDS
from microexpr_ros.perception.classifier import BLIND, Status

SUMMARY: Final = 'summary.parquet'
PAGE: Final = 'summary.html'

_TEMPLATES: Final = Path(__file__).with_name('templates')

_READERS: Final = 16
"""Results whose metadata are read at once: a store is slow to answer, not busy."""

_SLICES_PER_MIN: Final = 6000


def write_summary(out: str) -> None:
    """Write the table and the page of all results that are there.

    Raises:
        MicroexprError: The results cannot be read or written.
    """
    # An extra, which takes a while to load.
    import pyarrow
    from pyarrow import parquet

    store = Store(out)
    rows = summarize_results(store)
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), buffer)
    store.write(SUMMARY, buffer.getvalue())
    store.write(PAGE, render_page(rows, read_status(out)).encode())


def summarize_results(store: Store) -> list[dict[str, Any]]:
    """Return a row per recording, sorted by its address."""
    plan = json.loads(store.read(PLAN))['recordings']
    done = store.names(RECORDS)
    names = [f'{RECORDS}/{name}{DONE}' for name in plan if f'{name}{DONE}' in done]
    with ThreadPoolExecutor(_READERS) as readers:
        rows = readers.map(lambda name: _summarize(store, name), names)
        return sorted(rows, key=lambda row: str(row['recording']))


def _summarize(store: Store, record: str) -> dict[str, Any]:
    found = json.loads(store.read(record))
    content = store.read_some(found['result'], read_metadata)
    summary, movements = content['summary'], content['movements']
    slices, statuses = summary['slices'], summary['status']
    seen = slices - sum(statuses.get(status.name, 0) for status in BLIND)
    minutes = seen / _SLICES_PER_MIN
    by_unit = Counter(
        int(code) for codes in movements['codes'] for code in codes.split('+') if code
    )
    return {
        'recording': found['recording'],
        'result': found['result'],
        'seconds': summary['seconds'],
        'minutes_with_face': minutes,
        'events': summary['events'],
        'frames': summary['frames'],
        'ok_share': statuses.get(Status.OK.name, 0) / slices if slices else 0.0,
        'head_moving_share': statuses.get(Status.HEAD_MOVING.name, 0) / slices if slices else 0.0,
        'faces': summary['faces'],
        **{
            kind: summary[kind]
            for kind in ('micro_expressions', 'expressions', 'blinks', 'speech')
        },
        'left_out': sum(summary['left_out'].values()),
        'left_out_by_reason': json.dumps(summary['left_out']),
        'damaged_places': len(summary['damage']),
        **{
            f'AU{code:02d}_per_min': by_unit[code] / minutes if minutes else None for code in CODES
        },
    }


def render_page(rows: list[dict[str, Any]], status: FleetStatus) -> str:
    """Return the page: movements per minute by unit, losses and quality of the recordings."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    minutes = sum(row['minutes_with_face'] for row in rows)
    units = [
        {
            'code': code,
            'name': NAMES[code],
            'per_min': sum(
                (row[f'AU{code:02d}_per_min'] or 0.0) * row['minutes_with_face'] for row in rows
            )
            / minutes
            if minutes
            else 0.0,
        }
        for code in CODES
    ]
    losses: Counter[str] = Counter()
    for row in rows:
        losses.update(json.loads(row['left_out_by_reason']))
    return environment.get_template('summary.html').render(
        rows=rows,
        status=status,
        units=units,
        highest=max((unit['per_min'] for unit in units), default=0.0) or 1.0,
        minutes=minutes,
        hours=sum(row['seconds'] for row in rows) / 3600,
        losses=losses.most_common(),
    )
