"""Processes whose use of the machine is measured from outside."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from microexpr_ros.child import python

Process = subprocess.Popen[str]

_INTERVAL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used.

    Attributes:
        cpu_s: processor time so far.
        memory_mb: resident memory.
        peak_mb: largest resident memory so far.
    """

    cpu_s: float
    memory_mb: float
    peak_mb: float


def usages(processes: Mapping[str, Process]) -> dict[str, Usage]:
    """Return what each process has used; those that have ended are left out."""
    found = {name: _usage(process.pid) for name, process in processes.items()}
    return {name: used for name, used in found.items() if used is not None}


def start_node(name: str, arguments: list[str], log: IO[str]) -> Process:
    """Start a node of this package in a process of its own.

    Args:
        name: Name of the node.
        arguments: ROS arguments.
        log: Takes what it prints.
    """
    program = python(f'from microexpr_ros.ros.nodes.{name} import main; main()')
    command = [*program, '--ros-args', *arguments]
    return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, text=True)


def watch(processes: Mapping[str, Process], leader: str) -> dict[str, Usage]:
    """Wait for the end of one process; return what each had used when it was last seen."""
    seen: dict[str, Usage] = {}
    while processes[leader].poll() is None:
        seen |= usages(processes)
        time.sleep(_INTERVAL_S)
    return seen


def _usage(pid: int) -> Usage | None:
    folder = Path('/proc', str(pid))
    try:
        fields = (folder / 'stat').read_text().rpartition(')')[2].split()
        lines = (folder / 'status').read_text().splitlines()
    except OSError:
        return None
    sizes = dict(line.split(':', 1) for line in lines if line.startswith('Vm'))
    if not sizes:  # It has ended, and nobody has taken notice yet.
        return None
    ticks = int(fields[11]) + int(fields[12])
    resident, peak = (int(sizes[name].split()[0]) * 1024 / 1e6 for name in ('VmRSS', 'VmHWM'))
    return Usage(ticks / os.sysconf('SC_CLK_TCK'), resident, peak)
