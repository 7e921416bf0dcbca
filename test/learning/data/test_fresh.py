from itertools import pairwise

import numpy as np
import pytest
from fake_clips import needs_face

from microexpr_ros.alignment.face_alignment import align
from microexpr_ros.errors import MicroexprError
from microexpr_ros.learning.data import fresh
from microexpr_ros.learning.data.fresh import (
    FreshClips,
    FreshConfiguration,
    mix_clip,
    mix_excerpts,
    vary_sensor,
)
from microexpr_ros.synthesis.appearance.scenes import list_scenes, measure_scenes, read_scene
from microexpr_ros.synthesis.dataset.recipe import Recipe
from microexpr_ros.synthesis.dataset.take import sample_take
from microexpr_ros.synthesis.sensors.event_sensor import SENSORS
from microexpr_ros.synthesis.world.labels import face_landmarks

pytestmark = needs_face
RECIPE = Recipe('train', 5)


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp('scenes')
    assert measure_scenes(folder, RECIPE, 2) == 2
    return folder


def test_scenes_are_measured_once(scenes):
    assert measure_scenes(scenes, RECIPE, 2) == 0
    assert list_scenes(scenes) == [0, 1]
    first, second = (read_scene(scenes, number) for number in (0, 1))
    assert first.identity != second.identity
    assert first.sensor in SENSORS


def test_scenes_of_another_recipe_are_refused(scenes):
    with pytest.raises(MicroexprError, match='another recipe, which differs in seed'):
        measure_scenes(scenes, Recipe('train', 6), 2)


def test_a_folder_without_scenes_names_the_command(tmp_path):
    with pytest.raises(MicroexprError, match='microexpr synth --scenes'):
        FreshClips(FreshConfiguration(tmp_path), 0)


def test_a_scene_without_metadata_is_measured_again(scenes):
    (scenes / '000001.json').unlink()
    assert list_scenes(scenes) == [0]
    assert measure_scenes(scenes, RECIPE, 2) == 1
    assert list_scenes(scenes) == [0, 1]


def test_mixed_clips_are_those_of_a_data_set(scenes):
    scene = read_scene(scenes, 0)
    one, same, other = (mix_clip(scene, np.random.default_rng(n)) for n in (3, 3, 4))
    np.testing.assert_array_equal(one.cells, same.cells)
    assert len(one.cells) != len(other.cells)
    assert 80 <= one.slices <= 120
    assert one.clip.sides.shape == (one.slices, 18, 2)
    assert one.counts.sum() > 100


def test_landmarks_follow_the_head(scenes):
    """As well as a linear flow can: within a fiftieth of the distance between the eyes."""
    scene, take = read_scene(scenes, 0), sample_take(RECIPE, 0)
    times = np.array([0, 500_000_000], np.int64)
    exact = face_landmarks(take.scene, take.motion, times)
    found = fresh.move_landmarks(scene, take.motion, times)
    eyes = np.linalg.norm(exact[0, 1] - exact[0, 0])
    assert np.abs(found - exact).max() < eyes / 50
    assert align(found[0]).side == pytest.approx(align(exact[0]).side, rel=0.01)


def test_fresh_clips_are_replaced_after_their_uses(scenes):
    clips = FreshClips(FreshConfiguration(scenes, clips=2, uses=2, clips_per_scene=1), 0)
    used = [clips.use(0) for _ in range(6)]
    # The first one may have had a use less.
    changes = [one is not other for one, other in pairwise(used)]
    assert changes[2:] in ([True, False, True], [False, True, False])
    assert len({id(clip) for clip in used}) == clips.mixed
    assert len(clips) == 2


def test_the_same_seed_gives_the_same_clips_in_the_same_order(scenes):
    configuration = FreshConfiguration(scenes, clips=6, clips_per_scene=2, excerpts=0.5)
    one, other = (FreshClips(configuration, 4) for _ in range(2))
    for number in range(6):
        np.testing.assert_array_equal(one.use(number).cells, other.use(number).cells)


def test_excerpts_of_stories_come_beside_the_clips_of_the_split(scenes):
    def count(excerpts):
        fresh = FreshClips(FreshConfiguration(scenes, clips=8, excerpts=excerpts), 1)
        # All excerpts sway and have glances, and last longer than a clip without calm.
        return sum({'gaze', 'sway', 'blink'} <= {*fresh.use(n).clip.distractors} for n in range(8))

    assert count(1.0) == 8
    assert count(0.0) < 4


def test_excerpts_to_validate_on_show_all_scenes(scenes):
    mixed = mix_excerpts(scenes, 5, 0)
    assert len(mixed) == 5
    assert len({clip.clip.identity for clip in mixed}) == 2
    again = mix_excerpts(scenes, 5, 0)
    assert [len(clip.cells) for clip in mixed] == [len(clip.cells) for clip in again]


def test_varied_sensors_stay_within_what_sensors_are():
    rng = np.random.default_rng(0)
    varied = [vary_sensor(rng, SENSORS['vga']) for _ in range(200)]
    assert all(0.1 <= p.threshold_on <= 0.4 and 0.08 <= p.threshold_off <= 0.5 for p in varied)
    assert all(30 <= p.corner_hz <= 400 for p in varied)
    assert 5 >= max(p.shot_hz for p in varied) > 2 > 0.05 > min(p.shot_hz for p in varied)


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'clips': 0}, 'at least'),
        ({'uses': 0}, 'at least'),
        ({'exact_epochs': -1}, 'at least'),
        ({'excerpts': 1.5}, 'excerpts 1.5 must be 0 to 1'),
    ],
)
def test_mixtures_that_make_no_sense_are_refused(changes, reason):
    with pytest.raises(ValueError, match=reason):
        FreshConfiguration(**changes)
