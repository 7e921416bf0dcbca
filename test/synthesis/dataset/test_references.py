import json

import numpy as np
import pytest
from fake_clips import fake_clip, needs_face
from typer.testing import CliRunner

from microexpr_ros.cli.synth import app
from microexpr_ros.errors import MicroexprError
from microexpr_ros.learning.data.clips import align_references, load_split
from microexpr_ros.synthesis.dataset import generate as making
from microexpr_ros.synthesis.dataset import generate_references as making_references
from microexpr_ros.synthesis.dataset.generate import generate_clips
from microexpr_ros.synthesis.dataset.generate_references import (
    AGE_S,
    generate_references,
    make_references,
)
from microexpr_ros.synthesis.dataset.index import read_index
from microexpr_ros.synthesis.dataset.recipe import Recipe
from microexpr_ros.synthesis.dataset.references import (
    ARRAYS,
    References,
    has_references,
    read_references,
)

RECIPE = Recipe('val', 3)


def fake_references(recipe, number):
    rng = np.random.default_rng([recipe.seed, number])
    frames = rng.integers(0, 256, (2, 128, 128)).astype(np.uint8)
    eyes = [[40, 50], [88, 50], [64, 75], [48, 95], [80, 95]]
    return References(np.float32([2, 30]), frames, np.float32([eyes, eyes]))


@pytest.fixture
def split(tmp_path, monkeypatch):
    monkeypatch.setattr(making, 'make_clip', fake_clip)
    monkeypatch.setattr(making_references, 'make_references', fake_references)
    monkeypatch.setattr(making_references, 'SHARD_CLIPS', 2)
    monkeypatch.setattr('microexpr_ros.synthesis.dataset.references.SHARD_CLIPS', 2)
    generate_clips(tmp_path, RECIPE, 3)
    return tmp_path


def test_what_is_made_is_read(split):
    assert not has_references(read_index(split, 'val'))
    assert load_split(split, 'val', images=True)[0].references is None
    counted = []
    folder = generate_references(split, RECIPE, 1, lambda *done: counted.append(done))
    assert sorted(path.name for path in folder.iterdir()) == [
        'shard-00000.npz',
        'shard-00001.npz',
    ]
    assert counted == [(0, 3), (2, 3), (3, 3)]
    index = read_index(split, 'val')
    for number, found in enumerate(read_references(index)):
        made = fake_references(RECIPE, number)
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(found, name), getattr(made, name))
    clips = load_split(split, 'val', images=True)
    np.testing.assert_array_equal(
        clips[2].references, align_references(fake_references(RECIPE, 2))
    )
    assert load_split(split, 'val', images=True, targets=False)[0].references is None


def test_only_what_is_missing_or_damaged_is_made(split, monkeypatch):
    folder = generate_references(split, RECIPE)
    (folder / 'shard-00001.npz').write_bytes(b'no archive')
    with pytest.raises(MicroexprError, match=r'shard-00001\.npz.*--references'):
        read_references(read_index(split, 'val'))
    made = []
    monkeypatch.setattr(
        making_references,
        'make_references',
        lambda recipe, number: made.append(number) or fake_references(recipe, number),
    )
    generate_references(split, RECIPE)
    assert made == [2]
    assert len(read_references(read_index(split, 'val'))) == 3


def test_another_recipe_is_refused(split):
    with pytest.raises(MicroexprError, match='another recipe'):
        generate_references(split, Recipe('val', 4))


@needs_face
def test_a_reference_shows_the_person_of_the_clip_in_its_light():
    """Aligned, it is nearer to the clip than to the clip of another light."""
    made = make_references(RECIPE, 0)
    again = make_references(RECIPE, 0)
    np.testing.assert_array_equal(made.frames, again.frames)
    assert ((AGE_S[0] <= made.age_s) & (made.age_s <= AGE_S[1])).all()
    aligned = align_references(made).astype(np.float32)
    other = align_references(make_references(RECIPE, 1)).astype(np.float32)
    within = np.abs(aligned[0] - aligned[1])[32:96, 32:96].mean()
    between = np.abs(aligned[0] - other[0])[32:96, 32:96].mean()
    assert within < between


@needs_face
def test_a_reference_has_the_exposure_of_its_clip():
    """What stands still behind the head is as bright in both, whatever would suit the face."""
    recipe = Recipe('val', 3, step_px=1.0)
    clip = making.make_clip(recipe, 0)
    corner = slice(0, 8), slice(0, 8)
    for frame in make_references(recipe, 0).frames:
        assert frame[corner].mean() == pytest.approx(clip.frames[0][corner].mean(), abs=2.0)


def test_the_command_adds_them(split):
    given = ['--out', str(split), '--split', 'val', '--seed', '3', '--references']
    result = CliRunner().invoke(app, [*given, '--json'])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)['folder'] == str(split / 'val' / 'references')
    assert has_references(read_index(split, 'val'))
    with pytest.raises(MicroexprError, match='--references goes with neither'):
        CliRunner().invoke(app, [*given, '--bags'], catch_exceptions=False)
