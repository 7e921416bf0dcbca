"""The machine that a benchmark ran on."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def read_machine() -> dict[str, object]:
    """Return processor, usable cores, load and versions: what a number depends on."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith('model name'):
                processor = line.partition(':')[2].strip()
                break
    return {
        'processor': processor,
        'cores': len(os.sched_getaffinity(0)),
        'system': platform.platform(),
        'load': round(os.getloadavg()[0], 2),
        'python': platform.python_version(),
    }
