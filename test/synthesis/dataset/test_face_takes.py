import numpy as np
import pytest

from microexpr_ros.errors import MicroexprError
from microexpr_ros.synthesis.dataset import face_takes
from microexpr_ros.synthesis.dataset.face_takes import (
    FaceRecipe,
    describe_take,
    generate_face_takes,
    make_face_take,
    read_face_take,
)
from microexpr_ros.synthesis.sensors.event_sensor import SENSORS

SHORT = FaceRecipe(duration_ns=300_000_000)


@pytest.fixture(scope='module')
def take():
    return make_face_take(SHORT, 8)


def test_a_take_has_counts_of_each_slice_and_its_faces(take):
    rows, columns = take.shape
    assert columns == 160
    assert take.dense(29).shape == (2, rows, columns)
    assert len(take.starts) == 31
    assert take.landmarks.shape[1:] == (30, 5, 2)
    assert sum(int(take.dense(n).sum()) for n in range(30)) == take.counts.sum() > 0


def test_landmarks_are_a_face_that_is_upright(take):
    assert len(take.landmarks) == 2
    for right_eye, left_eye, nose, right_mouth, left_mouth in take.landmarks[:, 0]:
        assert right_eye[0] < nose[0] < left_eye[0]
        assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])


def test_the_same_number_is_the_same_take(take):
    again = make_face_take(SHORT, 8)
    np.testing.assert_array_equal(again.cells, take.cells)
    np.testing.assert_array_equal(again.landmarks, take.landmarks)


def test_nobody_is_a_take_without_faces():
    nobody = make_face_take(FaceRecipe(faces=False, duration_ns=300_000_000), 0)
    assert len(nobody.landmarks) == 0
    assert nobody.counts.any()


def test_sensor_and_light_of_a_take_are_known_without_making_it(monkeypatch):
    chosen = {}

    def sense(pictures, sensor, light, rng):
        chosen.update(light=light.name, width=sensor.width)
        return iter(())

    monkeypatch.setattr(face_takes, 'sense', sense)
    recipe = FaceRecipe('shift', exact=True, duration_ns=20_000_000)
    for index in range(3):
        take = make_face_take(recipe, index)
        described = describe_take(recipe, index)
        assert described['light'] == chosen['light']
        assert SENSORS[described['sensor'].split('-')[0]].width == take.width == chosen['width']
    assert describe_take(SHORT, 0)['sensor'] == 'coarse'


def test_takes_are_kept_and_only_the_missing_ones_are_made(tmp_path, monkeypatch):
    (path,) = generate_face_takes(tmp_path, SHORT, 1)
    before = read_face_take(path)
    made = []

    def make(recipe, index):
        made.append(index)
        return before

    monkeypatch.setattr(face_takes, 'make_face_take', make)
    assert len(generate_face_takes(tmp_path, SHORT, 3)) == 3
    assert made == [1, 2]
    np.testing.assert_array_equal(read_face_take(path).counts, before.counts)


def test_takes_of_another_recipe_are_not_mixed_in(tmp_path):
    folder = tmp_path / 'train'
    folder.mkdir()
    (folder / 'recipe.json').write_text('{}')
    with pytest.raises(MicroexprError, match='another recipe'):
        generate_face_takes(tmp_path, SHORT, 1)


def test_an_unknown_split_is_refused(tmp_path):
    with pytest.raises(MicroexprError, match='choose train'):
        generate_face_takes(tmp_path, FaceRecipe('nowhere'), 1)
