"""Data sets that several jobs make, and what checksums find in them."""

import json
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from fake_clips import CLIPS, digest, lean_clip, needs_face

from microexpr_ros.errors import MicroexprError
from microexpr_ros.jobs import Share
from microexpr_ros.synthesis.dataset import generate as making
from microexpr_ros.synthesis.dataset.generate import generate_clips
from microexpr_ros.synthesis.dataset.index import check_clips, read_clip, read_clips, read_index
from microexpr_ros.synthesis.dataset.recipe import Recipe


@pytest.fixture
def whole(tmp_path, lean_data_set):
    shutil.copytree(lean_data_set, tmp_path / 'whole')
    return digest(lean_data_set / 'train')


def test_jobs_that_share_a_folder_end_in_the_bytes_of_one(tmp_path, made_clips, whole):
    root = tmp_path / 'shared'
    for part in (3, 1, 2):
        index = generate_clips(root, Recipe(), CLIPS, share=Share(part, 3))
        assert index.complete == (part == 2)
    assert sorted(made_clips) == list(range(CLIPS))
    assert digest(root / 'train') == whole


@pytest.mark.usefixtures('made_clips')
def test_jobs_at_the_same_time_end_in_the_bytes_of_one(tmp_path, whole):
    root = tmp_path / 'shared'
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(generate_clips, root, Recipe(), CLIPS, share=Share(n, 4))
            for n in range(1, 5)
        ]
    assert any(job.result().complete for job in jobs)
    assert digest(root / 'train') == whole


@pytest.mark.usefixtures('made_clips')
def test_an_index_that_is_older_than_a_shard_does_not_stay(tmp_path, monkeypatch, whole):
    root = tmp_path / 'shared'
    write, others = making.write_json, []

    def slow(path, content):
        # The last job ends between what this one saw and what it writes of it.
        if content.get('clips') and not others:
            others.append(2)
            generate_clips(root, Recipe(), CLIPS, share=Share(2, 2))
        write(path, content)

    monkeypatch.setattr(making, 'write_json', slow)
    assert generate_clips(root, Recipe(), CLIPS, share=Share(1, 2)).complete
    assert others
    assert digest(root / 'train') == whole


def test_copies_are_joined_by_copying(tmp_path, made_clips, whole):
    for part in (1, 2):
        generate_clips(tmp_path / f'copy{part}', Recipe(), CLIPS, share=Share(part, 2))
    shutil.copytree(tmp_path / 'copy1', tmp_path / 'copy2', dirs_exist_ok=True)
    made_clips.clear()
    assert generate_clips(tmp_path / 'copy2', Recipe(), CLIPS).complete
    assert made_clips == []
    assert digest(tmp_path / 'copy2/train') == whole


def test_a_shard_of_another_seed_is_made_again(tmp_path, made_clips, whole):
    generate_clips(tmp_path / 'other', Recipe(seed=1), CLIPS)
    shutil.copy(tmp_path / 'other/train/shard-00001.npz', tmp_path / 'whole/train')
    made_clips.clear()
    generate_clips(tmp_path / 'whole', Recipe(), CLIPS)
    assert made_clips == list(range(12, 24))
    assert digest(tmp_path / 'whole/train') == whole


@pytest.mark.usefixtures('whole')
def test_what_is_whole_is_left_alone(tmp_path):
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / 'whole/train').glob('s*')}
    generate_clips(tmp_path / 'whole', Recipe(), CLIPS)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(check_clips(tmp_path / 'whole', 'train')) == CLIPS
    command = ['sha256sum', '--check', '--quiet', 'SHA256SUMS']
    assert subprocess.run(command, cwd=tmp_path / 'whole/train', check=False).returncode == 0


def test_a_flipped_bit_is_found_and_repaired(tmp_path, made_clips, whole):
    shard = tmp_path / 'whole/train/shard-00002.npz'
    content = bytearray(shard.read_bytes())
    # Half way: in the arrays, where the metadata still read well.
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(MicroexprError, match=r'shard-00002\.npz in .* damaged'):
        check_clips(tmp_path / 'whole', 'train')
    index = read_index(tmp_path / 'whole', 'train')
    with pytest.raises(MicroexprError, match=r'cannot read clip \d+ from .*shard-00002\.npz'):
        list(read_clips(index))
    generate_clips(tmp_path / 'whole', Recipe(), CLIPS)
    assert made_clips == list(range(24, CLIPS))
    assert digest(tmp_path / 'whole/train') == whole


@pytest.mark.usefixtures('whole', 'made_clips')
def test_what_is_missing_is_an_error(tmp_path):
    folder = tmp_path / 'whole/train'
    index = read_index(tmp_path / 'whole', 'train')
    (folder / 'shard-00002.npz').unlink()
    with pytest.raises(MicroexprError, match='shard-00002'):
        check_clips(tmp_path / 'whole', 'train')
    with pytest.raises(MicroexprError, match='No such file'):
        read_clip(index, CLIPS - 1)
    (folder / 'SHA256SUMS').unlink()
    with pytest.raises(MicroexprError, match='has no SHA256SUMS'):
        check_clips(tmp_path / 'whole', 'train')
    generate_clips(tmp_path / 'part', Recipe(), CLIPS, share=Share(1, 2))
    with pytest.raises(MicroexprError, match='incomplete'):
        check_clips(tmp_path / 'part', 'train')


@pytest.mark.usefixtures('made_clips')
def test_a_data_set_without_checksums_is_read_and_gets_them(tmp_path, whole):
    for name in ('SHA256SUMS', 'card.md', 'card.png'):
        (tmp_path / 'whole/train' / name).unlink()
    assert read_clip(read_index(tmp_path / 'whole', 'train'), 0).index == 0
    generate_clips(tmp_path / 'whole', Recipe(), CLIPS)
    assert digest(tmp_path / 'whole/train') == whole


def test_the_card_says_what_was_made(tmp_path, whole):
    folder = tmp_path / 'whole/train'
    card = json.loads((folder / 'card.json').read_text())
    text = (folder / 'card.md').read_text()
    assert card['clips_by_dominant_unit']['AU12'] == CLIPS
    assert card['distractors'] == {'blink': CLIPS, 'sway': CLIPS}
    amplitude = card['histograms']['amplitude of the main unit']
    counts = dict(zip(amplitude['edges'], amplitude['counts'], strict=False))
    assert counts[0.25] == sum(amplitude['counts']) == CLIPS
    # Three to five slices of events that are counted by hand.
    rates = card['histograms']['events of a clip']
    events = [lean_clip(Recipe(), n).counts for n in range(CLIPS)]
    wanted, _ = np.histogram(
        np.clip([c.sum() / len(c) / 10 for c in events], rates['edges'][0], rates['edges'][-1]),
        rates['edges'],
    )
    assert rates['counts'] == wanted.tolist()
    assert f'clips: {CLIPS}, of 5 persons' in text
    assert 'seed 0' in text
    assert 'No accuracy on real event cameras' in text
    assert (folder / 'card.png').read_bytes().startswith(b'\x89PNG')
    # Twelve faces beside their events, four in a row.
    assert cv2.imread(str(folder / 'faces.png')).shape == (3 * 128, 4 * 256, 3)
    overview = json.loads((tmp_path / 'whole/card.json').read_text())
    assert overview['splits']['train']['clips'] == CLIPS
    assert '[train](train/card.md) | 28 | 5 |' in (tmp_path / 'whole/card.md').read_text()


@needs_face
@pytest.mark.slow
def test_one_process_two_workers_and_three_shards_give_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(making, 'SHARD_CLIPS', 1)
    recipe = Recipe('shift', 5)
    generate_clips(tmp_path / 'one', recipe, 3)
    generate_clips(tmp_path / 'two', recipe, 3, workers=2)
    for part in (1, 2, 3):
        generate_clips(tmp_path / 'three', recipe, 3, share=Share(part, 3))
    one = digest(tmp_path / 'one/shift')
    assert len(one) == 9
    assert one == digest(tmp_path / 'two/shift') == digest(tmp_path / 'three/shift')
