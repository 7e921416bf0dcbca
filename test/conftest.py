"""Settings and fixtures for all tests."""

import pytest
from hypothesis import settings

# Kernels compile and machines are busy: how long an example takes says nothing about it.
settings.register_profile('default', deadline=None)
settings.load_profile('default')


@pytest.fixture(scope='session')
def make_clip():
    import small_clips

    return small_clips.make_clip


@pytest.fixture(scope='session')
def sparse_clips():
    # Heavy: only where it is asked for.
    import small_clips

    from microexpr_ros.learning.data.clips import make_sparse

    return [make_sparse(small_clips.make_clip(number)) for number in range(12)]


@pytest.fixture(scope='session')
def data(tmp_path_factory):
    import small_clips

    root = tmp_path_factory.mktemp('data')
    small_clips.write_data_set(root, ('train', 'val', 'test'))
    return root


@pytest.fixture(scope='session')
def lean_data_set(tmp_path_factory):
    """A data set of `fake_clips.CLIPS` clips, which no test may change."""
    import fake_clips

    root = tmp_path_factory.mktemp('lean')
    fake_clips.write_lean_clips(root)
    return root


@pytest.fixture
def made_clips(monkeypatch):
    """The numbers of the clips that are made from now on; they are lean."""
    import fake_clips

    return fake_clips.replace_clips(monkeypatch)
