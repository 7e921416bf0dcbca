"""The examples of analyze, as they stand in the README and in docs/analyze.md."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from face_bags import write_face_bag

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize('page', ['README.md', 'docs/analyze.md'])
def test_the_example_runs(page, tmp_path):
    blocks = re.findall(r'```python\n(.*?)```', (ROOT / page).read_text(), re.DOTALL)
    [code] = [block for block in blocks if 'import analyze' in block]
    write_face_bag(tmp_path / 'session', 0.5)
    result = subprocess.run(
        [sys.executable, '-c', code],
        cwd=tmp_path,
        env=os.environ | {'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    expected = '50 slices of 10 ms' if page == 'README.md' else '(50, 18)'
    assert result.stdout.startswith(expected)
