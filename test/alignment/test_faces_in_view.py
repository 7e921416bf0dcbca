from dataclasses import replace

import pytest

from microexpr_ros.alignment.faces_in_view import FacesInView
from microexpr_ros.alignment.slices import blank_slice

STEP_NS = 10
BLANK = blank_slice(8, STEP_NS)


def show(view, number, faces):
    """Return what is lost before each slice of one number."""
    slice_ = replace(BLANK, end_ns=number * STEP_NS)
    return [view.take(face, slice_) for face in faces]


def test_a_face_is_lost_once_the_slices_of_one_end_came_without_it():
    view = FacesInView(-1)
    assert show(view, 1, [7, 8]) == [[], []]
    assert show(view, 2, [8]) == [[]]
    # Until now the slice of face 7 might still come.
    assert view.faces == [7, 8]
    assert show(view, 3, [8]) == [[7]]
    assert view.faces == [8]


def test_another_face_takes_the_place_of_the_one_that_is_lost():
    view = FacesInView(-1)
    show(view, 1, [0])
    assert show(view, 2, [1]) == [[]]
    assert show(view, 3, [1]) == [[0]]


def test_where_nobody_is_all_are_lost_at_once():
    view = FacesInView(-1)
    show(view, 1, [0, 1])
    assert show(view, 2, [-1]) == [[0, 1]]
    assert view.faces == [-1]
    assert show(view, 3, [2]) == [[-1]]
    assert view.faces == [2]


def test_the_order_may_change_and_the_nearest_comes_first():
    view = FacesInView(-1)
    assert view.nearest == -1
    for number, faces in enumerate([[0, 1], [1, 0], [0, 1]], start=1):
        assert show(view, number, faces) == [[], []]
        assert view.nearest == faces[0]


@pytest.mark.parametrize('number', [1, 5])
def test_slices_right_after_a_gap_prove_nothing(number):
    view = FacesInView(-1)
    show(view, 2, [0, 1])
    # The one of face 0 may be among the missing ones.
    show(view, number, [1])
    assert show(view, number + 1, [1, 0]) == [[], []]
    show(view, number + 2, [1])
    assert show(view, number + 3, [1]) == [[0]]


def test_a_face_that_comes_twice_begins_other_slices():
    view = FacesInView(-1)
    show(view, 1, [0, 1])
    assert show(view, 1, [0, 1]) == [[], []]
    assert view.nearest == 0
