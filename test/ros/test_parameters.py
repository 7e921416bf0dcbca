from dataclasses import dataclass

import pytest
from rclpy.node import Node
from rclpy.parameter import Parameter

from microexpr_ros.errors import MicroexprError
from microexpr_ros.ros.parameters import declare, overrides, parameter, read


@dataclass(frozen=True)
class Values:
    speed: float = parameter(1.0, 'speed', minimum=0.0, maximum=2.0)
    mode: str = parameter('slow', 'mode', choices=('slow', 'fast'))
    box: tuple[int, ...] = parameter((), 'box', element=int)
    names: tuple[str, ...] = parameter((), 'names', element=str)
    shares: tuple[float, ...] = parameter((), 'shares', element=float)


def make_node(world, **given):
    node = Node(
        'n',
        context=world.context,
        parameter_overrides=overrides(given),
        automatically_declare_parameters_from_overrides=True,
    )
    declare(node, Values)
    return node


def make(world, **given):
    return read(make_node(world, **given), Values)


def test_defaults_come_from_the_dataclass(world):
    assert make(world) == Values()


def test_given_values_are_taken(world):
    assert make(world, speed=2, mode='fast', box=[1, 2]) == Values(2.0, 'fast', (1, 2))


def test_an_unknown_name_is_refused_with_the_known_ones(world):
    with pytest.raises(
        MicroexprError, match=r'unknown parameter sped; n knows box, mode, names, shares, speed'
    ):
        make(world, sped=1.0)


def test_a_value_out_of_range_is_refused(world):
    with pytest.raises(MicroexprError, match=r'speed = 3\.0: give 0 to 2'):
        make(world, speed=3.0)


def test_a_value_of_another_type_is_refused(world):
    with pytest.raises(MicroexprError, match='speed'):
        make(world, speed='quick')


def test_a_text_must_be_one_of_its_choices(world):
    with pytest.raises(MicroexprError, match='choose one of slow, fast'):
        make(world, mode='sideways')


@pytest.mark.parametrize(
    ('name', 'value', 'element'),
    [
        ('box', 5, 'int'),
        ('box', [1.5], 'int'),
        ('names', '/images', 'str'),
        ('shares', 0.5, 'float'),
        ('shares', 'half', 'float'),
        ('shares', ['half'], 'float'),
    ],
)
def test_what_is_no_list_of_the_element_is_refused(world, name, value, element):
    with pytest.raises(MicroexprError, match=f'{name} = .*: a list of {element} is expected'):
        make(world, **{name: value})


def test_whole_numbers_may_stand_where_floats_are_meant(world):
    assert make(world, shares=[1, 2]).shares == (1.0, 2.0)


def test_an_array_that_was_empty_can_be_set_later(world):
    node = make_node(world)
    (result,) = node.set_parameters([Parameter('box', value=[3, 4])])
    assert result.successful, result.reason
    declare(node, Values)  # as a node does when it is configured
    assert read(node, Values).box == (3, 4)
    node.set_parameters([Parameter('box', value=['a'])])
    with pytest.raises(MicroexprError, match='a list of int is expected'):
        declare(node, Values)


@dataclass(frozen=True)
class Offset:
    offset: str = parameter('auto', 'a number of seconds, or auto')


@pytest.mark.parametrize('given', [0.0373, -120, '0.5', 'auto'])
def test_a_number_may_stand_where_a_text_is_meant(world, given):
    node = Node(
        'n',
        context=world.context,
        parameter_overrides=overrides({'offset': given}),
        automatically_declare_parameters_from_overrides=True,
    )
    declare(node, Offset)
    assert read(node, Offset) == Offset(str(given))
