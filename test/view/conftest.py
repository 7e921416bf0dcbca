"""A browser for the tests of the page."""

import browser
import pytest


@pytest.fixture(scope='session')
def chromium(tmp_path_factory):
    """One Chromium for all tests; starting it takes longest."""
    if browser.CHROMIUM is None:
        pytest.skip('chromium is not installed: the page is not tested; apt install chromium')
    opened = browser.Browser(tmp_path_factory.mktemp('profile'))
    yield opened
    opened.close()


@pytest.fixture
def page(chromium):
    """A blank page of the size of a laptop's screen; it must have thrown no error at the end."""
    chromium.open('about:blank')
    chromium.resize(1280, 800)
    chromium.errors.clear()
    yield chromium
    assert chromium.errors == []
    chromium.open('about:blank')
