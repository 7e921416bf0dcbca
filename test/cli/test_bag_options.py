import pytest

from microexpr_ros.cli.bag_options import DEFAULTS, SEVERAL, spell_out


@pytest.mark.parametrize(
    ('given', 'spelled'),
    [
        ('bag', 'bag'),
        ('bag --clock', 'bag --clock 40'),
        ('--clock bag', '--clock 40 bag'),
        ('--clock 5.5 bag', '--clock 5.5 bag'),
        ('bag --topics /a /b -l', 'bag --topics /a --topics /b -l'),
        ('bag -m /a:=/b /c:=/d', 'bag -m /a:=/b -m /c:=/d'),
        ('bag --topics', 'bag --topics'),
    ],
)
def test_options_are_those_of_ros2_bag(given, spelled):
    assert spell_out(given.split(), SEVERAL, DEFAULTS) == spelled.split()
