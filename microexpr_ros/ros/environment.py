"""Environment variables that must be set before `rclpy.init()`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PROFILE = 'config/fast_dds.xml'

ALLOCATION = {'MALLOC_ARENA_MAX': '1'}
"""For processes that are started: all threads share one heap. By default each of a dozen threads
keeps one of its own, of which no other takes what is free. It has no effect on the process itself,
whose imports have started threads already."""


def share(package: str = 'microexpr_ros') -> Path:
    """Return the folder with a package's launch and configuration files.

    Raises:
        FileNotFoundError: the package is neither installed nor run from its sources.
    """
    prefixes = [*os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep), sys.prefix]
    folders = [Path(prefix) / 'share' / package for prefix in prefixes if prefix]
    folders.append(Path(__file__).resolve().parents[2])
    for folder in folders:
        if (folder / PROFILE).is_file():
            return folder
    raise FileNotFoundError(f'{PROFILE} of {package} not found in any of {prefixes}')


def prepare() -> None:
    """Let rclpy find its installation, let large messages pass, and let processes meet soon.

    With its default transport Fast DDS loses best-effort messages of about a megabyte; the
    profile enlarges its shared-memory segment, and shortens the time until a process that was
    started again is found. Processes that this one starts share a heap among their threads.
    Variables that the user has set stay as they are.
    """
    for name, value in ALLOCATION.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault('AMENT_PREFIX_PATH', sys.prefix)
    os.environ.setdefault('FASTRTPS_DEFAULT_PROFILES_FILE', str(share() / PROFILE))


def keep_on_loopback() -> None:
    """Keep all packets on this machine, unless the user has set a discovery range."""
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
