"""The Python sources alone, for tools that need the metadata of a setup.py.

Robots build the same sources with colcon, which follows package.xml and CMakeLists.txt; do not
install both ways into one environment. What `pip install .` leaves out: norse, which must be
installed with `pip install --no-deps norse==1.1.0` (its own requirements do not fit; see
requirements/no-deps.txt); and the message definitions, so bags need those of a colcon build or
of a checkout.
"""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def requirements(name: str) -> list[str]:
    """Return the pins of one file in requirements/."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    return [line for line in lines if line and not line.startswith('#')]


setup(
    name='microexpr_ros',
    version='0.1.0',
    description='Facial micro-expressions for robots, read with event cameras',
    license='Apache-2.0',
    packages=find_packages(include=['microexpr_ros', 'microexpr_ros.*']),
    package_data={
        'microexpr_ros': ['py.typed'],
        'microexpr_ros.fleet': ['templates/*'],
        'microexpr_ros.learning.report': ['templates/*'],
        'microexpr_ros.perception': ['weights/*'],
        'microexpr_ros.view': ['page/*'],
    },
    python_requires='>=3.10,<3.13',
    install_requires=requirements('run'),
    extras_require={
        'cameras': requirements('cameras'),
        'fleet': requirements('fleet') + requirements('parquet'),
        'parquet': requirements('parquet'),
    },
    entry_points={'console_scripts': ['microexpr = microexpr_ros.cli:main']},
)
