import subprocess
import sys
from pathlib import Path

import microexpr_ros
from microexpr_ros.child import python

PROGRAM = 'import json, microexpr_ros; print(json.dumps([microexpr_ros.__file__, sys.argv[1:]]))'


def test_a_child_has_the_modules_of_its_parent_and_none_of_the_working_directory(
    tmp_path, monkeypatch
):
    (tmp_path / 'json.py').write_text('raise SystemExit("of the working directory")')
    root = str(Path(microexpr_ros.__file__).parents[1])
    # As if this package had been found in a working directory that is no longer the present one.
    monkeypatch.setattr(sys, 'path', ['', *(place for place in sys.path if place != root)])
    output = subprocess.check_output([*python(PROGRAM), 'a', 'b'], cwd=tmp_path, text=True)
    assert output == f'["{microexpr_ros.__file__}", ["a", "b"]]\n'
