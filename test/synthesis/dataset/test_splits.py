import numpy as np
import pytest
from fake_clips import needs_face

from microexpr_ros.errors import MicroexprError
from microexpr_ros.synthesis.dataset.generate import make_clip
from microexpr_ros.synthesis.dataset.recipe import Recipe, check_recipe
from microexpr_ros.synthesis.dataset.splits import SPLITS
from microexpr_ros.synthesis.person.ranges import FIRST_PERSON, PERSONS


def test_no_person_has_two_uses():
    starts = sorted(FIRST_PERSON.values())
    assert {*SPLITS, 'stream', 'live'} == {*FIRST_PERSON}
    assert min(np.diff(starts)) >= PERSONS == 1_000_000


def test_what_belongs_to_another_split_is_refused(tmp_path):
    with pytest.raises(MicroexprError, match="--light 'dim' is unknown"):
        check_recipe(Recipe('shift', light='dim'))
    with pytest.raises(MicroexprError, match="--light 'night' is unknown"):
        check_recipe(Recipe('test', light='night'))
    with pytest.raises(MicroexprError, match='--skin-dir'):
        check_recipe(Recipe('shift', photographs=(tmp_path / 'skin.jpg',)))


@needs_face
def test_a_clip_names_its_light_and_sensor():
    clip = make_clip(Recipe('shift', 2, 'davis346', 'moving'), 0)
    assert clip.light == 'moving'
    assert clip.sensor in ('davis346-sensitive', 'davis346-coarse')
    assert 4_000_000 <= clip.identity < 5_000_000
    assert clip.counts.sum() > 0
