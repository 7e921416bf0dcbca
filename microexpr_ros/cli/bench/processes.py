"""Processes whose processor time and memory are measured from outside."""

from __future__ import annotations

import subprocess
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

import psutil

from microexpr_ros.child import python

Process = subprocess.Popen[str]

_INTERVAL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used so far.

    Attributes:
        cpu_s: processor time.
        memory_mb: resident memory.
        threads_s: processor time of its threads by the name that the operating system has; threads
            of one name count together.
    """

    cpu_s: float
    memory_mb: float
    threads_s: Mapping[str, float] = field(default_factory=dict)


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


def measure_usage(processes: Mapping[str, Process]) -> dict[str, Usage]:
    """Return what each process has used; those that have ended are left out."""
    found = {}
    for name, process in processes.items():
        if process.poll() is not None:
            continue
        try:
            observed = psutil.Process(process.pid)
            with observed.oneshot():
                times, memory = observed.cpu_times(), observed.memory_info()
            threads_s = _measure_threads(observed)
        except psutil.NoSuchProcess:  # It has just ended.
            continue
        if memory.rss:  # One that is about to end has none.
            found[name] = Usage(times.user + times.system, memory.rss / 1e6, threads_s)
    return found


def _measure_threads(process: psutil.Process) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for thread in process.threads():
        with suppress(OSError):  # It has just ended.
            name = Path(f'/proc/{process.pid}/task/{thread.id}/comm').read_text().rstrip('\n')
            found[name] += thread.user_time + thread.system_time
    return dict(found)


def watch_peak_memory(processes: Mapping[str, Process], leader: str) -> dict[str, float]:
    """Wait for the end of one process; return the largest resident memory of each, in MB."""
    peaks: dict[str, float] = {}
    while processes[leader].poll() is None:
        for name, usage in measure_usage(processes).items():
            peaks[name] = max(peaks.get(name, 0.0), usage.memory_mb)
        time.sleep(_INTERVAL_S)
    return peaks
