import json
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from fake_clips import digest, fake_clip, needs_face, replace_clips

from microexpr_ros import facs
from microexpr_ros.errors import MicroexprError
from microexpr_ros.synthesis.dataset import generate as making
from microexpr_ros.synthesis.dataset.clip import ARRAYS, Clip
from microexpr_ros.synthesis.dataset.generate import generate_clips
from microexpr_ros.synthesis.dataset.index import check_clips, read_clip, read_index
from microexpr_ros.synthesis.dataset.recipe import Recipe
from microexpr_ros.synthesis.dataset.splits import SPLITS


@pytest.fixture
def fast(monkeypatch):
    return replace_clips(monkeypatch, fake_clip)


def same(first, second):
    assert first.metadata == second.metadata
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
        assert getattr(first, name).dtype == getattr(second, name).dtype


@pytest.mark.usefixtures('fast')
def test_what_is_written_is_read(tmp_path):
    recipe = Recipe('val', 3)
    index = generate_clips(tmp_path, recipe, 14)
    assert index.complete
    assert len(index) == 14
    assert [entry.shard for entry in index.entries[11:13]] == [
        'shard-00000.npz',
        'shard-00001.npz',
    ]
    for number in (0, 11, 13):
        same(read_clip(index, number), fake_clip(recipe, number))
    assert (
        json.loads((tmp_path / 'val/card.json').read_text())['clips_by_dominant_unit']['AU12']
        == 14
    )


def test_the_schema_names_every_array_and_value():
    schema = (Path(__file__).parents[3] / 'docs/data.md').read_text('utf-8')
    rows = [row.split('|')[1] for row in schema.splitlines() if row.startswith('| `')]
    named = {name for row in rows for name in re.findall('`([a-z_]+)`', row)}
    assert {field.name for field in fields(Clip)} <= named
    for split in SPLITS:
        assert f'| `{split}` |' in schema


def test_an_interrupted_run_goes_on_and_ends_in_the_same_bytes(tmp_path, fast):
    generate_clips(tmp_path / 'a', Recipe(), 30)
    whole = digest(tmp_path / 'a/train')

    def interrupt(done, _):
        if done == 24:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_clips(tmp_path / 'b', Recipe(), 30, progress=interrupt)
    partial = read_index(tmp_path / 'b', 'train')
    assert not partial.complete
    assert len(partial) == 24
    (tmp_path / 'b/train/shard-00000.npz').write_bytes(b'half a file')
    fast.clear()
    generate_clips(tmp_path / 'b', Recipe(), 30)
    assert sorted(fast) == [*range(12), *range(24, 30)]
    assert digest(tmp_path / 'b/train') == whole


def test_a_split_can_grow(tmp_path, fast):
    generate_clips(tmp_path, Recipe(), 5)
    fast.clear()
    assert len(generate_clips(tmp_path, Recipe(), 13)) == 13
    assert fast == list(range(13))
    fast.clear()
    generate_clips(tmp_path, Recipe(), 13)
    assert fast == []


@pytest.mark.usefixtures('fast')
def test_another_recipe_is_refused(tmp_path):
    generate_clips(tmp_path, Recipe(seed=1), 2)
    with pytest.raises(MicroexprError, match='seed 1 instead of 2'):
        generate_clips(tmp_path, Recipe(seed=2), 2)


def test_a_split_that_shrinks_has_the_card_and_checksums_of_what_is_left(tmp_path, fast):
    recipe = Recipe('val', 3)
    generate_clips(tmp_path, recipe, 24)
    index = generate_clips(tmp_path, recipe, 12)
    assert len(check_clips(tmp_path, 'val')) == len(index) == 12
    assert json.loads((tmp_path / 'val/card.json').read_text())['clips'] == 12
    (tmp_path / 'val/shard-00001.npz').unlink()
    check_clips(tmp_path, 'val')


def test_images_that_were_shared_out_anew_are_refused(tmp_path, fast):
    paths = []
    for number in range(3):
        path = tmp_path / f'{number}.png'
        path.write_bytes(bytes([number]))
        paths.append(path)
    generate_clips(tmp_path / 'data', Recipe('train', photographs=tuple(paths[:2])), 1)
    generate_clips(tmp_path / 'data', Recipe('val', photographs=(paths[2],)), 1)
    with pytest.raises(MicroexprError, match=r'1\.png would be in the splits train and test'):
        generate_clips(tmp_path / 'data', Recipe('test', photographs=(paths[1],)), 1)


@pytest.mark.parametrize(
    ('recipe', 'clips', 'workers', 'word'),
    [
        (Recipe('dev'), 1, 1, 'split'),
        (Recipe(sensor='prophesee'), 1, 1, 'sensor'),
        (Recipe(light='neon'), 1, 1, 'light'),
        (Recipe(seed=-1), 1, 1, 'seed'),
        (Recipe(step_px=2.0), 1, 1, 'step-px'),
        (Recipe(step_px=0.0), 1, 1, 'step-px'),
        (Recipe(), 0, 1, 'clips'),
        (Recipe(), 1, 0, 'workers'),
    ],
)
def test_options_without_sense_are_refused(tmp_path, recipe, clips, workers, word):
    with pytest.raises(MicroexprError, match=f'--{word}'):
        generate_clips(tmp_path, recipe, clips, workers)


def test_a_missing_split_says_how_to_make_it(tmp_path):
    with pytest.raises(MicroexprError, match='microexpr synth --split val'):
        read_index(tmp_path, 'val')


@pytest.mark.usefixtures('fast')
def test_another_layout_is_refused(tmp_path):
    generate_clips(tmp_path, Recipe(), 1)
    path = tmp_path / 'train/index.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | {'version': 99}))
    with pytest.raises(MicroexprError, match='layout 99'):
        read_index(tmp_path, 'train')


def test_photographs_are_in_one_split_only(tmp_path):
    from microexpr_ros.synthesis.person.skin import list_photographs

    for count in (3, 8, 20):
        for number in range(count):
            (tmp_path / f'{number:02d}.jpg').touch()
        parts = [set(list_photographs(tmp_path, split)) for split in ('train', 'val', 'test')]
        assert all(parts)
        assert sum(map(len, parts)) == len(set.union(*parts)) == count
    for path in sorted(tmp_path.iterdir())[2:]:
        path.unlink()
    with pytest.raises(MicroexprError, match='2 images'):
        list_photographs(tmp_path, 'train')


@pytest.fixture(scope='module')
def clip():
    return making.make_clip(Recipe('test', 4, 'davis346', 'bright'), 1)


@needs_face
def test_a_clip_has_the_promised_shapes(clip):
    slices = len(clip.counts)
    assert 80 <= slices <= 120
    assert clip.counts.shape[1:] == (2, 128, 128)
    assert clip.intensity.shape == (slices, len(facs.CODES))
    assert clip.intensity.dtype == np.float32
    assert len(clip.frames) == pytest.approx(slices * 0.3, abs=2)
    np.testing.assert_array_equal(clip.target_slice, np.arange(3, slices, 4))
    assert clip.target.shape == (len(clip.target_slice), 128, 128)
    assert (np.diff(clip.frame_slice) > 0).all()
    assert clip.frame_slice[-1] < slices
    assert 0.5 < clip.pixels_per_cell < 5
    assert 2_000_000 <= clip.identity < 3_000_000
    assert clip.counts.sum() > 0


@needs_face
def test_frames_and_targets_show_the_same_face(clip):
    nearest = np.abs(clip.target_slice[:, None] - clip.frame_slice).argmin(axis=1)
    difference = clip.target.astype(float) - clip.frames[nearest].astype(float)
    assert np.abs(difference).mean() < 8


@needs_face
def test_a_clip_depends_on_its_recipe_and_number_alone(clip):
    # Another clip between them, of another person: nothing is left over from it.
    other = making.make_clip(Recipe('test', 4, 'davis346', 'bright'), 7)
    same(making.make_clip(Recipe('test', 4, 'davis346', 'bright'), 1), clip)
    assert other.identity != clip.identity


@needs_face
def test_a_coarser_clip_shows_the_same_with_nearly_as_many_events(clip):
    coarse = making.make_clip(Recipe('test', 4, 'davis346', 'bright', step_px=1.0), 1)
    np.testing.assert_array_equal(coarse.sides, clip.sides)
    assert (coarse.identity, coarse.dominant) == (clip.identity, clip.dominant)
    assert 0.8 < coarse.counts.sum() / clip.counts.sum() < 1.05
    difference = coarse.frames.astype(float) - clip.frames.astype(float)
    assert np.abs(difference).mean() < 4


@needs_face
@pytest.mark.slow
def test_workers_do_not_change_a_byte(tmp_path, monkeypatch):
    monkeypatch.setattr(making, 'SHARD_CLIPS', 1)
    generate_clips(tmp_path / 'a', Recipe(), 3, workers=1)
    generate_clips(tmp_path / 'b', Recipe(), 3, workers=2)
    assert digest(tmp_path / 'a/train') == digest(tmp_path / 'b/train')
