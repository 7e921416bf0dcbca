"""Make .venv: ROS 2 and the Python packages from wheels, then build this package into it.

Run by `make setup`. Every step is skipped when nothing that it depends on has changed.
Only the standard library is used, because nothing else is there yet.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / '.venv'
PYTHON = VENV / 'bin' / 'python'
REQUIREMENTS = ROOT / 'requirements'
SUPPORTED = ((3, 10), (3, 12))

# ROS 2 that is sourced in the calling shell must not mix with the one in .venv.
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name not in {'PYTHONPATH', 'AMENT_PREFIX_PATH', 'CMAKE_PREFIX_PATH', 'COLCON_PREFIX_PATH'}
} | {
    'AMENT_PREFIX_PATH': str(VENV),
    'VIRTUAL_ENV': str(VENV),
    'PATH': f'{VENV / "bin"}{os.pathsep}{os.environ["PATH"]}',
}


def fail(message: str) -> None:
    """End with one line that says what is wrong and what to do."""
    sys.exit(f'setup: {message}')


def digest(files: Iterable[Path], names: Iterable[Path] = ()) -> str:
    """Hash the contents of some files and the mere existence of others."""
    state = hashlib.sha256(sys.version.encode())
    for file in sorted(files):
        state.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    for name in sorted(names):
        state.update(str(name.relative_to(ROOT)).encode())
    return state.hexdigest()


def step(title: str, stamp: str, key: str) -> bool:
    """Return whether a step must run, because its stamp in .venv differs from the key."""
    file = VENV / stamp
    if file.is_file() and file.read_text() == key:
        return False
    file.unlink(missing_ok=True)
    print(f'setup: {title}', flush=True)
    return True


def done(stamp: str, key: str) -> None:
    """Record that a step finished."""
    (VENV / stamp).write_text(key)


def run(*command: str | Path) -> None:
    """Run a command in the environment; its failure ends the set-up."""
    result = subprocess.run([str(word) for word in command], cwd=ROOT, env=ENVIRONMENT)
    if result.returncode:
        fail(f'{command[0]} failed with exit code {result.returncode}; see the lines above')


def check_machine() -> None:
    """Name every missing tool at once, with the command that installs them."""
    low, high = SUPPORTED
    if not low <= sys.version_info[:2] <= high:
        fail(
            f'Python {low[0]}.{low[1]} to {high[0]}.{high[1]} is needed, this is '
            f'{sys.version_info[0]}.{sys.version_info[1]}; run `make PYTHON=python3.11 ...`'
        )
    missing = [tool for tool in ('g++', 'cmake', 'make') if shutil.which(tool) is None]
    if missing:
        fail(f'{", ".join(missing)} not found; run `sudo apt install g++ cmake make`')


def install_packages() -> None:
    """Install the pinned wheels."""
    key = digest(REQUIREMENTS.glob('*.txt'))
    if not step('installing packages into .venv (minutes, once)', '.packages', key):
        return
    try:
        subprocess.run([sys.executable, '-m', 'venv', str(VENV)], check=True)
    except subprocess.CalledProcessError:
        fail('python venv failed; run `sudo apt install python3-venv`')
    quiet = [] if sys.stdout.isatty() else ['--quiet']
    pip: list[str | Path] = [PYTHON, '-m', 'pip', 'install', '--disable-pip-version-check', *quiet]
    run(*pip, *(f'--requirement={REQUIREMENTS / name}.txt' for name in ('ros', 'run', 'dev')))
    run(*pip, '--no-deps', f'--requirement={REQUIREMENTS / "no-deps.txt"}')
    install_extras(pip)
    relocate_cmake_files()
    done('.packages', key)


def install_extras(pip: list[str | Path]) -> None:
    """Install the libraries of cameras that have a wheel for this machine; name the others."""
    lines = (REQUIREMENTS / 'cameras.txt').read_text().splitlines()
    for extra in (line for line in lines if line and not line.startswith('#')):
        result = subprocess.run(
            [*map(str, pip), '--only-binary=:all:', extra],
            cwd=ROOT,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
        )
        if not result.returncode:
            continue
        if 'No matching distribution found' not in result.stderr:
            print(result.stderr, file=sys.stderr)
            fail(f'{extra} could not be installed; see the lines above')
        print(f'setup: left out {extra}, which has no wheel for this machine', flush=True)


def relocate_cmake_files() -> None:
    """Point the wheels' CMake targets, which carry the paths of their build machine, here."""
    tag = f'cp{sys.version_info[0]}{sys.version_info[1]}'
    python = f'python{sys.version_info[0]}.{sys.version_info[1]}'
    query = (
        'import numpy, sysconfig; print(numpy.get_include()); print(sysconfig.get_path("include"))'
    )
    numpy_include, python_include = subprocess.check_output(
        [str(PYTHON), '-c', query], text=True, env=ENVIRONMENT
    ).split()
    prefix = f'/opt/python/{tag}-{tag}'
    for file in (VENV / 'share').rglob('*.cmake'):
        text = file.read_text()
        moved = text.replace(
            f'{prefix}/lib/{python}/site-packages/numpy/_core/include', numpy_include
        ).replace(f'{prefix}/include/{python}', python_include)
        if moved != text:
            file.write_text(moved)


def interface_packages() -> list[Path]:
    """Return the standard interfaces that no wheel has, which are built beside the package."""
    return sorted(file.parent for file in (ROOT / 'interfaces').glob('*/package.xml'))


def build() -> None:
    """Build the messages and install the package into .venv, sources as links."""
    contents = [ROOT / 'CMakeLists.txt', ROOT / 'package.xml']
    for folder, pattern in (('msg', '*.msg'), ('cmake', '*.in'), ('interfaces', '**/*')):
        contents += [file for file in (ROOT / folder).glob(pattern) if file.is_file()]
    names = [
        file
        for folder in ('microexpr_ros', 'launch', 'config')
        for file in (ROOT / folder).rglob('*')
        if file.is_file() and '__pycache__' not in file.parts
    ]
    key = digest(contents, names) + (VENV / '.packages').read_text()
    if not step('building the package', '.build', key):
        return
    run(
        *(PYTHON, '-m', 'colcon', '--log-base', ROOT / 'build' / 'log', 'build'),
        *('--base-paths', '.'),
        *interface_packages(),
        *('--build-base', ROOT / 'build'),
        *('--merge-install', '--install-base', VENV, '--symlink-install'),
        *('--event-handlers', 'console_stderr-', 'summary-', 'console_start_end+'),
        *('--cmake-args', '-DBUILD_TESTING=OFF', f'-DPython3_EXECUTABLE={PYTHON}'),
    )
    done('.build', key)


def main() -> None:
    """Bring .venv up to date."""
    started = time.monotonic()
    check_machine()
    install_packages()
    build()
    print(f'setup: ready in {time.monotonic() - started:.1f} s', flush=True)


if __name__ == '__main__':
    main()
