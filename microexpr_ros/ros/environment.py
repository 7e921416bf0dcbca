"""What must be set before `rclpy.init()`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PROFILE = 'config/shared_memory.xml'


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
    """Let rclpy find the environment it is installed in, and large messages pass.

    With its default transport Fast DDS loses best-effort messages of about a megabyte; the
    profile widens its shared-memory segment. What the user has set is kept.
    """
    os.environ.setdefault('AMENT_PREFIX_PATH', sys.prefix)
    os.environ.setdefault('FASTRTPS_DEFAULT_PROFILES_FILE', str(share() / PROFILE))


def keep_on_loopback() -> None:
    """Let no packet leave the machine, unless the user chose a discovery range."""
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
