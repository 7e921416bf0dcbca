import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ('package', 'absent'),
    [
        ('microexpr_ros.perception', ('torch', 'norse', 'cv2')),
        ('microexpr_ros.perception.reconstruction', ('torch', 'norse')),
    ],
)
def test_public_names_are_imported_without_heavy_libraries(package, absent):
    script = f"""
import importlib, sys
package = importlib.import_module({package!r})
assert all(hasattr(package, name) for name in package.__all__)
assert not set({absent!r}) & set(sys.modules)
"""
    environment = os.environ | {'PYTHONPATH': str(Path(__file__).resolve().parents[2])}
    subprocess.run([sys.executable, '-c', script], env=environment, check=True)
