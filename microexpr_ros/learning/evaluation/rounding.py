"""Reports as JSON can hold them."""

from __future__ import annotations

import math
from typing import Any


def json_values(report: Any) -> Any:
    """Return a report that JSON can hold: no number where there is none, four digits else."""
    if isinstance(report, dict):
        return {key: json_values(value) for key, value in report.items()}
    if isinstance(report, list | tuple):
        return [json_values(value) for value in report]
    if isinstance(report, float):
        return round(report, 4) if math.isfinite(report) else None
    return report
