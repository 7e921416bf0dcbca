"""Tables of an analysis: Action Units as OpenFace and py-feat name them, and movements."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from microexpr_ros.analysis.results import Analysis
from microexpr_ros.errors import MicroexprError
from microexpr_ros.facs import CODES
from microexpr_ros.perception.classifier import Status

SCALE: Final = 5.0
"""Intensities `_r` are 0 to 5, as those of OpenFace: FACS grades A to E are 1 to 5."""

Table: TypeAlias = Mapping[str, NDArray[Any] | list[str]]
"""Columns by name, all of one length."""

_DIGITS: Final = {'timestamp': 3, 'confidence': 3}


def tabulate_units(analysis: Analysis) -> Table:
    """Return one row per slice.

    `frame` counts slices from 1, `timestamp` is the end of the slice in s since the begin of the
    first. `success` is 1 where a face is seen, `status` says what its estimate is worth.
    `confidence` is the mean over the units of the probability that `_c` is right. `AUxx_r` is the
    intensity of the stronger side, 0 to 5; `AUxx_c` is 1 where the unit is present; `_left_r` and
    `_right_r` are the intensities on the subject's own sides, `_confidence` the unit's own.
    """
    names = [f'AU{code:02d}' for code in CODES]
    seen = analysis.face >= 0
    intensity, sides = SCALE * analysis.intensity, SCALE * analysis.sides
    box = dict(zip(('x', 'y', 'width', 'height'), analysis.region.T, strict=True))
    return {
        'frame': np.arange(1, len(analysis) + 1),
        'face_id': analysis.face,
        'timestamp': analysis.time_s,
        'confidence': analysis.confidence.mean(axis=1),
        'success': seen.astype(np.int64),
        'status': [Status(status).name for status in analysis.status.tolist()],
        'stamp_ns': analysis.stamp_ns,
        **{f'face_{name}': values for name, values in box.items()},
        **{f'{name}_r': intensity[:, k] for k, name in enumerate(names)},
        **{f'{name}_c': analysis.active[:, k].astype(np.int64) for k, name in enumerate(names)},
        **{
            f'{name}_{side}_r': sides[:, k, s]
            for k, name in enumerate(names)
            for s, side in enumerate(('left', 'right'))
        },
        **{f'{name}_confidence': analysis.confidence[:, k] for k, name in enumerate(names)},
    }


def tabulate_movements(analysis: Analysis) -> Table:
    """Return one row per movement, in the order in which they were found.

    `onset`, `apex` and `offset` are in s since the begin of the first slice, `..._stamp_ns` the
    same as ROS times. `codes` are joined by `+`. `kind` is EXPRESSION, BLINK or SPEECH; a
    micro-expression is of kind EXPRESSION and `micro`. `peak` is 0 to 1.
    """
    found = [movement.expression for movement in analysis.movements]
    times = {
        'onset': [one.onset_ns for one in found],
        'apex': [one.apex_ns for one in found],
        'offset': [one.offset_ns for one in found],
    }
    stamps = {
        'onset': [one.onset_stamp_ns for one in analysis.movements],
        'apex': [one.apex_stamp_ns for one in analysis.movements],
        'offset': [one.offset_stamp_ns for one in analysis.movements],
    }
    return {
        'face_id': np.array([one.face for one in analysis.movements], np.int64),
        **{
            name: np.array([analysis.seconds(time) for time in values], np.float64)
            for name, values in times.items()
        },
        'kind': [one.kind.name for one in found],
        'micro': np.array([one.micro for one in found], np.int64),
        'codes': ['+'.join(map(str, one.codes)) for one in found],
        'peak': np.array([one.peak for one in found], np.float64),
        'confidence': np.array([one.confidence for one in found], np.float64),
        **{f'{name}_stamp_ns': np.array(v, np.int64) for name, v in stamps.items()},
    }


def write_csv(path: Path, table: Table) -> None:
    """Write a table; numbers with a fraction have four digits after the point, times three."""
    columns = [_format(name, values) for name, values in table.items()]
    with path.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*columns, strict=True))


def require_parquet() -> None:
    """Check that Parquet can be written.

    Raises:
        MicroexprError: pyarrow is not installed.
    """
    if find_spec('pyarrow') is None:
        raise MicroexprError(
            'Parquet needs pyarrow, which is not installed: pip install pyarrow, or leave out '
            '--parquet; the .csv holds the same'
        )


def write_parquet(path: Path, table: Table) -> None:
    """Write a table with all digits, by pyarrow."""
    # An extra, which takes a while to load.
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(dict(table)), path)


def _format(name: str, values: NDArray[Any] | list[str]) -> list[Any]:
    if isinstance(values, list) or not np.issubdtype(values.dtype, np.floating):
        return list(values)
    if name.startswith('face_'):
        # Whole pixels; empty without a face.
        return ['' if np.isnan(value) else f'{value:g}' for value in values.tolist()]
    digits = _DIGITS.get(name, 4)
    return [f'{value:.{digits}f}' for value in values.tolist()]
