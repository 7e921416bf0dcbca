"""The same seed gives the same bytes: a dozen clips of each split, as hashes.

The hashes change only with a new `GENERATOR`. After raising it, write them anew:
`PYTHONPATH=. python test/synthesis/dataset/test_golden_clips.py`
"""

import hashlib
import json
import platform
import sys
from pathlib import Path

import numpy as np
import pytest
from fake_clips import needs_face

from microexpr_ros.synthesis.dataset.generate import make_clip
from microexpr_ros.synthesis.dataset.recipe import GENERATOR, Recipe
from microexpr_ros.synthesis.dataset.splits import SPLITS

GOLDEN = Path(__file__).with_name('golden_clips.json')
SEED = 1
CLIPS = 12
QUICK = {'train': 2, 'val': 2, 'test': 2, 'shift': 2}
"""Split to the clip that is checked on every run; one of `calm` takes five times as long."""


def digest(clip):
    """Hash every array with its name, type and shape, and the metadata."""
    hashed = hashlib.sha256()
    for name in ('counts', 'sides', 'frames', 'frame_slice', 'target', 'target_slice'):
        array = np.ascontiguousarray(getattr(clip, name))
        hashed.update(f'{name}{array.dtype}{array.shape}'.encode())
        hashed.update(array.tobytes())
    hashed.update(json.dumps(clip.metadata.to_json(), sort_keys=True).encode())
    return hashed.hexdigest()[:16]


def make_digest(split, number):
    return digest(make_clip(Recipe(split=split, seed=SEED), number))


pytestmark = needs_face


@pytest.fixture(scope='module')
def golden():
    if (platform.system(), platform.machine()) != ('Linux', 'x86_64'):
        pytest.skip('floating point may round differently off Linux x86_64')
    content = json.loads(GOLDEN.read_text())
    assert content['generator'] == GENERATOR, f'write {GOLDEN.name} anew, see this module'
    return content['clips']


@pytest.mark.parametrize('split', QUICK)
def test_a_clip_of_each_split_keeps_its_bytes(golden, split):
    number = QUICK[split]
    assert make_digest(split, number) == golden[split][number]


@pytest.mark.slow
@pytest.mark.parametrize('split', SPLITS)
def test_a_dozen_clips_of_each_split_keep_their_bytes(golden, split):
    assert len(golden[split]) == CLIPS
    assert [make_digest(split, number) for number in range(CLIPS)] == golden[split]


def write_golden():
    """Write the hashes, unless they changed under the same generator version."""
    clips = {split: [make_digest(split, number) for number in range(CLIPS)] for split in SPLITS}
    before = json.loads(GOLDEN.read_text())
    if before['generator'] == GENERATOR and before['clips'] != clips:
        sys.exit(f'clips changed, but GENERATOR is still {GENERATOR}: raise it first')
    content = {**before, 'generator': GENERATOR, 'seed': SEED, 'clips': clips}
    GOLDEN.write_text(json.dumps(content, indent=1) + '\n')


if __name__ == '__main__':
    write_golden()
