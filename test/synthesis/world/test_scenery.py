import numpy as np
import pytest

from microexpr_ros.synthesis.world.motion import REST
from microexpr_ros.synthesis.world.scenery import (
    Path,
    Scenery,
    Thing,
    sample_scenery,
    sample_shoulders,
)

STILL = np.zeros(2)


def place(start, velocity=(0.0, 0.0), spin=0.0):
    return Path(start, velocity, (REST, REST), 0.0, spin)


def square(start, velocity=(0.0, 0.0)):
    texture = np.full((32, 32), 5, np.float32)
    return Thing(texture, np.ones((32, 32), np.float32), 0.2, place(start, velocity))


def test_a_thing_is_where_its_path_leads():
    wall = Scenery(np.ones((256, 256), np.float32), 1.0, place((0, 0)), (), ())
    thing = square((0.25, 0.5), (0.5, 0.0))
    for t_ns, column in ((0, 25), (1_000_000_000, 75)):
        picture = wall.background(100, 100, t_ns, STILL)
        thing.draw(picture, t_ns, STILL)
        np.testing.assert_allclose(picture[50, column - 8 : column + 8], 5)
        assert picture[50, column - 12] == picture[50, column + 12] == 1
        assert picture[38, column] == picture[62, column] == 1


def test_a_thing_outside_of_the_picture_changes_nothing():
    picture = np.ones((60, 100), np.float32)
    square((3.0, 0.3)).draw(picture, 0, STILL)
    assert (picture == 1).all()


def test_what_is_behind_is_drawn_with_the_wall_and_what_is_before_is_not():
    wall = np.ones((256, 256), np.float32)
    scenery = Scenery(wall, 1.0, place((0, 0)), (square((0.2, 0.3)),), (square((0.8, 0.3)),))
    picture = scenery.background(60, 100, 0, STILL)
    assert (picture[30, 20], picture[30, 80]) == (5, 1)
    scenery.cover(picture, 0, STILL)
    assert picture[30, 80] == 5


def test_the_wall_goes_on_without_an_end_and_shakes_with_the_camera():
    rng = np.random.default_rng(0)
    wall = rng.random((256, 256)).astype(np.float32)
    scenery = Scenery(wall, 1.0, place((0, 0), (1.0, 0.0)), (), ())
    first = scenery.background(256, 256, 0, STILL)
    np.testing.assert_allclose(scenery.background(256, 256, 10**9, STILL), first, atol=1e-3)
    shaken = scenery.background(256, 256, 0, np.array([8 / 256, 0]))
    np.testing.assert_allclose(shaken[:, 8:], first[:, :-8], atol=1e-3)


def test_the_fastest_thing_sets_the_speed():
    scenery = Scenery(
        np.ones((256, 256), np.float32),
        1.0,
        place((0, 0), (0.1, 0)),
        (square((0, 0), (0.3, 0.4)),),
        (),
    )
    assert scenery.speed == pytest.approx(0.5)


def test_samples_are_light_and_depend_on_the_seed_alone():
    one, same = (sample_scenery(np.random.default_rng(4), 100.0, 0.75, (), 1.0) for _ in range(2))
    np.testing.assert_array_equal(one.wall, same.wall)
    assert 0 < one.wall.min() <= one.wall.max() <= 100
    shoulders = sample_shoulders(np.random.default_rng(4), 100.0, (0.5, 0.3, 0.3))
    assert shoulders.path.start[1] > 0.3 + 0.15
    assert shoulders.cover[0].max() < 0.1 < shoulders.cover[-1].max()
