"""Results of a fleet: one Parquet per recording, and the parts of long ones until it is there."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, fields
from typing import Any, Final

import numpy as np

from microexpr_ros.analysis import tables
from microexpr_ros.analysis.chain import TimedMovement
from microexpr_ros.analysis.parts import Part
from microexpr_ros.analysis.results import ROW_ARRAYS, Analysis
from microexpr_ros.facs import ExpressionKind
from microexpr_ros.perception.spotting import MicroExpression

METADATA: Final = b'microexpr_ros'
"""Key of the summary and the movements in the metadata of a Parquet."""


def encode_result(analysis: Analysis) -> bytes:
    """Return a recording's Action Units as Parquet, with summary and movements as metadata.

    The same content gives the same bytes, whatever the recording is called.
    """
    # An extra, which takes a while to load.
    import pyarrow
    from pyarrow import parquet

    summary = {key: value for key, value in analysis.summarize().items() if key != 'recording'}
    movements = {
        name: values if isinstance(values, list) else values.tolist()
        for name, values in tables.tabulate_movements(analysis).items()
    }
    text = json.dumps({'summary': summary, 'movements': movements})
    table = pyarrow.table(dict(tables.tabulate_units(analysis)), metadata={METADATA: text})
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression='zstd')
    return buffer.getvalue()


def read_metadata(file: Any) -> dict[str, Any]:
    """Return summary and movements of a result, without reading its table."""
    from pyarrow import parquet

    content: dict[str, Any] = json.loads(parquet.read_schema(file).metadata[METADATA])
    return content


def encode_part(part: Part) -> bytes:
    """Return a part as .npz; where the next one begins is left out."""
    analysis = part.analysis
    values = {
        field.name: getattr(analysis, field.name)
        for field in fields(analysis)
        if field.name not in (*ROW_ARRAYS, 'movements')
    }
    movements = [
        {**asdict(one), 'expression': {**asdict(one.expression), 'kind': int(one.expression.kind)}}
        for one in analysis.movements
    ]
    text = json.dumps({'number': part.number, 'values': values, 'movements': movements})
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        allow_pickle=False,
        text=np.frombuffer(text.encode(), np.uint8),
        **{name: getattr(analysis, name) for name in ROW_ARRAYS},
    )
    return buffer.getvalue()


def decode_part(content: bytes) -> Part:
    """Return a part of `encode_part`."""
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        text = json.loads(archive['text'].tobytes())
        arrays = {name: archive[name] for name in ROW_ARRAYS}
    values = text['values']
    movements = tuple(_to_movement(one) for one in text['movements'])
    values |= {'sensor': tuple(values['sensor']), 'damage': tuple(values['damage'])}
    return Part(text['number'], Analysis(**values, **arrays, movements=movements))


def _to_movement(stored: dict[str, Any]) -> TimedMovement:
    expression = stored['expression']
    expression |= {
        'codes': tuple(expression['codes']),
        'kind': ExpressionKind(expression['kind']),
    }
    return TimedMovement(**{**stored, 'expression': MicroExpression(**expression)})
