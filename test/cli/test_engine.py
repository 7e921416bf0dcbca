"""What runs the tasks of a command."""

import pytest

from microexpr_ros.cli.engine import Engine
from microexpr_ros.errors import MicroexprError

LOOPBACK = 'tcp://127.0.0.1:1'


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'certificates': 'folder'}, '--certificates are for a --scheduler'),
        ({'scheduler': LOOPBACK, 'workers': 2}, 'leave out one'),
        ({'scheduler': LOOPBACK, 'memory': '4GB'}, '--memory is for --workers'),
    ],
)
def test_an_option_without_effect_is_refused(options, message):
    with pytest.raises(MicroexprError, match=message):
        Engine(**options)


def test_one_worker_is_this_process_unless_its_memory_is_limited():
    with Engine().supervised() as pool:
        assert pool == 1
    pytest.importorskip('distributed', reason='requirements/fleet.txt')
    with (
        pytest.raises(MicroexprError, match="'lots' is no amount of memory"),
        Engine(memory='lots').supervised(),
    ):
        pass
