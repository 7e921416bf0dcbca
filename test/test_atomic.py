from __future__ import annotations

import pytest

from microexpr_ros.atomic import atomic_target
from microexpr_ros.errors import MicroexprError


def write_a_part(path):
    path.write_text('part')
    raise KeyboardInterrupt


@pytest.mark.parametrize('replace', [False, True])
def test_a_file_appears_when_the_block_ends(tmp_path, replace):
    target = tmp_path / 'file.txt'
    with atomic_target(target, replace=replace) as hidden:
        hidden.write_text('whole')
        assert hidden.suffix == target.suffix
        assert not target.exists()
    assert target.read_text() == 'whole'
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize('replace', [False, True])
def test_a_folder_appears_when_the_block_ends(tmp_path, replace):
    target = tmp_path / 'folder'
    with atomic_target(target, replace=replace) as hidden:
        hidden.mkdir()
        (hidden / 'file').write_text('whole')
        assert not target.exists()
    assert (target / 'file').read_text() == 'whole'
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize('replace', [False, True])
def test_an_error_leaves_nothing_behind(tmp_path, replace):
    target = tmp_path / 'file'
    with pytest.raises(KeyboardInterrupt), atomic_target(target, replace=replace) as hidden:
        write_a_part(hidden)
    assert list(tmp_path.iterdir()) == []


def test_only_a_new_target_gets_parents(tmp_path):
    target = tmp_path / 'new' / 'file'
    with (
        pytest.raises(MicroexprError, match='cannot write'),
        atomic_target(target, replace=True),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
    with atomic_target(target) as hidden:
        hidden.write_text('whole')
    assert target.read_text() == 'whole'


def test_a_file_is_replaced_only_when_that_is_asked_for(tmp_path):
    target = tmp_path / 'file'
    target.write_text('old')
    with pytest.raises(MicroexprError, match='already there'), atomic_target(target):
        pass
    assert target.read_text() == 'old'
    with atomic_target(target, replace=True) as hidden:
        hidden.write_text('new')
        assert target.read_text() == 'old'
    assert target.read_text() == 'new'
    assert list(tmp_path.iterdir()) == [target]


def test_an_error_keeps_the_file_that_was_to_be_replaced(tmp_path):
    target = tmp_path / 'file'
    target.write_text('old')
    with pytest.raises(KeyboardInterrupt), atomic_target(target, replace=True) as hidden:
        write_a_part(hidden)
    assert target.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [target]


def test_of_two_writers_that_replace_the_last_one_wins(tmp_path):
    target = tmp_path / 'file'
    with atomic_target(target, replace=True) as first:
        with atomic_target(target, replace=True) as second:
            first.write_text('first')
            second.write_text('second')
        assert target.read_text() == 'second'
    assert target.read_text() == 'first'
    assert list(tmp_path.iterdir()) == [target]


def test_of_two_writers_of_a_new_file_the_second_is_refused(tmp_path):
    target = tmp_path / 'file'
    with atomic_target(target) as first:
        with (
            pytest.raises(MicroexprError, match='being written by another process'),
            atomic_target(target),
        ):
            pass
        first.write_text('first')
    assert target.read_text() == 'first'


@pytest.mark.parametrize('replace', [False, True])
def test_a_target_that_cannot_be_written_is_named(tmp_path, replace):
    (tmp_path / 'file').write_text('not a folder')
    target = tmp_path / 'file' / 'below'
    with (
        pytest.raises(MicroexprError, match=rf'^cannot write {target} \(.*\): check disk'),
        atomic_target(target, replace=replace),
    ):
        pass
