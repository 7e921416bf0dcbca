"""Data sets of clips in a store, against the same on a disk."""

import os
import signal

import pytest
from command_line import invoke
from fake_clips import CLIPS, needs_face

from microexpr_ros.cli.synth import app
from microexpr_ros.errors import MicroexprError
from microexpr_ros.fleet.clips import check_stored_clips, generate_stored_clips
from microexpr_ros.fleet.store import Store
from microexpr_ros.jobs import Share
from microexpr_ros.synthesis.dataset import generate as making
from microexpr_ros.synthesis.dataset.generate import generate_clips
from microexpr_ros.synthesis.dataset.recipe import Recipe

fsspec = pytest.importorskip('fsspec', reason='an extra: requirements/fleet.txt')


@pytest.fixture
def out(request):
    """An empty store in the memory of this process."""
    files = fsspec.filesystem('memory')
    yield f'memory://{request.node.name}'
    files.rm('/', recursive=True)


def contents(root):
    """Return the content of each file of a data set, by its path."""
    files, path = fsspec.core.url_to_fs(str(root))
    return {name[len(path) :].strip('/'): files.cat_file(name) for name in files.find(path)}


@pytest.mark.usefixtures('made_clips')
def test_a_store_gets_the_bytes_of_a_disk(out, lean_data_set):
    seen = []
    split = generate_stored_clips(out, Recipe(), CLIPS, progress=lambda *n: seen.append(n))
    assert (split.clips, split.complete) == (CLIPS, True)
    assert seen == [(0, 28), (12, 28), (24, 28), (28, 28)]
    assert contents(out) == contents(lean_data_set)
    assert check_stored_clips(out, 'train') == split


def test_shards_that_are_there_are_not_made_again(out, made_clips, lean_data_set):
    def interrupt(done, _):
        if done == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate_stored_clips(out, Recipe(), CLIPS, progress=interrupt)
    assert made_clips == list(range(12))
    with pytest.raises(MicroexprError, match='is incomplete'):
        check_stored_clips(out, 'train')
    made_clips.clear()
    generate_stored_clips(out, Recipe(), CLIPS)
    assert made_clips == list(range(12, 28))
    assert contents(out) == contents(lean_data_set)
    made_clips.clear()
    generate_stored_clips(out, Recipe(), CLIPS)
    assert made_clips == []


def test_a_split_grows_and_its_damaged_shards_are_made_again(out, made_clips, lean_data_set):
    generate_stored_clips(out, Recipe(), 20)
    store = Store(f'{out}/train')
    store.write('shard-00000.npz', store.read('shard-00000.npz')[:-1] + b'?')
    with pytest.raises(MicroexprError, match=r'shard-00000\.npz in .* are damaged'):
        check_stored_clips(out, 'train')
    made_clips.clear()
    generate_stored_clips(out, Recipe(), CLIPS)
    assert made_clips == list(range(28))
    assert contents(out) == contents(lean_data_set)


@pytest.mark.usefixtures('made_clips')
def test_jobs_that_share_a_store_end_in_the_bytes_of_one(out, lean_data_set):
    for part in (3, 1, 2):
        split = generate_stored_clips(out, Recipe(), CLIPS, share=Share(part, 3))
        assert split.complete == (part == 2)
    assert contents(out) == contents(lean_data_set)


@pytest.mark.usefixtures('made_clips')
def test_splits_of_one_data_set_are_listed_together_and_other_recipes_refused(out, tmp_path):
    for split in ('train', 'val'):
        generate_stored_clips(out, Recipe(split), 2)
        generate_clips(tmp_path, Recipe(split), 2)
    assert contents(out) == contents(tmp_path)
    with pytest.raises(MicroexprError, match='seed 0 instead of 1'):
        generate_stored_clips(out, Recipe(seed=1), 2)


@pytest.mark.usefixtures('made_clips')
def test_images_of_another_split_are_refused(out, tmp_path):
    path = tmp_path / 'skin.png'
    path.write_bytes(b'a skin')
    generate_stored_clips(out, Recipe('train', photographs=(path,)), 2)
    with pytest.raises(MicroexprError, match='in the splits train and val'):
        generate_stored_clips(out, Recipe('val', photographs=(path,)), 2)


@pytest.mark.usefixtures('made_clips')
def test_the_command_takes_an_url_for_clips_alone(out):
    result = invoke(app, '--out', out, '--clips', 3)
    assert f'3 clips in {out}/train' in result.stdout
    assert 'whole and undamaged' in invoke(app, '--out', out, '--check').stdout
    with pytest.raises(MicroexprError, match='takes clips alone'):
        invoke(app, '--out', out, '--bags')


@needs_face
@pytest.mark.slow
def test_in_s3_by_two_workers_of_which_one_is_killed(tmp_path, s3, cluster):
    recipe, clips, killed = Recipe(step_px=1.0), 14, []

    def kill_one(done, _):
        if done and not killed:
            killed.extend(list(cluster.client.run(os.getpid).values())[:1])
            os.kill(killed[0], signal.SIGKILL)

    run = cluster.executor
    split = generate_stored_clips('s3://fleet/mfs', recipe, clips, run, kill_one)
    assert killed
    assert split.complete
    assert check_stored_clips('s3://fleet/mfs', 'train', run) == split
    # The second shard is short: making all of it again on the disk would take a minute.
    shard = tmp_path / 'shard-00001.npz'
    making.make_shard(shard, recipe, range(12, 14))
    assert Store('s3://fleet/mfs/train').read(shard.name) == shard.read_bytes()
