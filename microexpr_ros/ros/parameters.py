"""ROS parameters from a frozen dataclass: name, type, default, range and meaning live there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, cast

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    ParameterType,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from microexpr_ros.errors import MicroexprError

Values = TypeVar('Values')

STANDARD = ('use_sim_time', 'start_type_description_service', 'qos_overrides')
"""Parameters that every ROS 2 node has."""

TYPES = {
    bool: ParameterType.PARAMETER_BOOL,
    int: ParameterType.PARAMETER_INTEGER,
    float: ParameterType.PARAMETER_DOUBLE,
    str: ParameterType.PARAMETER_STRING,
}
ARRAYS = {
    int: ParameterType.PARAMETER_INTEGER_ARRAY,
    float: ParameterType.PARAMETER_DOUBLE_ARRAY,
    str: ParameterType.PARAMETER_STRING_ARRAY,
}


def parameter(
    # As with dataclasses.field: its type is that of the default, which mypy cannot express.
    default: Any,
    description: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[str] = (),
    element: type | None = None,
) -> Any:
    """Return a dataclass field that describes one parameter.

    Args:
        default: its value where nobody sets it; a tuple for an array.
        description: what it means, with its unit.
        minimum: least value of a number.
        maximum: greatest value of a number.
        choices: the values that a text may have.
        element: type of an array's elements.
    """
    return dataclasses.field(
        default=default,
        metadata={
            'description': description,
            'minimum': minimum,
            'maximum': maximum,
            'choices': tuple(choices),
            'element': element,
        },
    )


def to_descriptor(field: dataclasses.Field[Any]) -> ParameterDescriptor:
    """Return a field as ROS describes a parameter."""
    about = field.metadata
    descriptor = ParameterDescriptor(description=about['description'])
    if about['element'] is not None:
        descriptor.type = ARRAYS[about['element']]
        # rclpy takes an empty list for a list of bytes, and would refuse all others later.
        descriptor.dynamic_typing = True
    else:
        descriptor.type = TYPES[type(field.default)]
    if about['choices']:
        descriptor.additional_constraints = 'one of ' + ', '.join(about['choices'])
    if about['minimum'] is not None and about['maximum'] is not None:
        if isinstance(field.default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(
                    from_value=float(about['minimum']), to_value=float(about['maximum'])
                )
            ]
        else:
            descriptor.integer_range = [
                IntegerRange(from_value=int(about['minimum']), to_value=int(about['maximum']))
            ]
    return descriptor


def declare(node: Node, kind: type[Any]) -> None:
    """Declare the parameters of a dataclass on a node.

    The node must have been made with `automatically_declare_parameters_from_overrides`, which
    shows what the user has set, unknown names too.

    Raises:
        MicroexprError: a name is unknown, or a value has the wrong type or range.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}
    # rclpy's annotation is wrong: the values are parameters.
    given = cast('dict[str, Parameter]', node.get_parameters_by_prefix(''))
    unknown = [name for name in given if name not in fields and name.split('.')[0] not in STANDARD]
    for field in fields.values():
        if node.has_parameter(field.name):
            node.undeclare_parameter(field.name)
        value = _convert(field, given[field.name].value if field.name in given else field.default)
        _check_type(field, value)
        _check_range(field, value)
        try:
            node.declare_parameter(field.name, value, to_descriptor(field), ignore_override=True)
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise MicroexprError(f'parameter {field.name} = {value!r}: {error}') from None
    if unknown:
        raise MicroexprError(
            f'unknown parameter {", ".join(sorted(unknown))}; '
            f'{node.get_name()} knows {", ".join(sorted(fields))}'
        )


def _convert(field: dataclasses.Field[Any], value: Any) -> Any:
    """Return a value with the type that its field has, where YAML cannot express it.

    YAML reads `1` as an integer where a float is meant, or a text such as a camera number, `0.04`
    as a float where a text is meant that may be a number, and has no type for an empty list.
    """
    if type(field.default) is str and type(value) in (int, float):
        return str(value)
    if isinstance(field.default, float) and isinstance(value, int):
        return float(value)
    if field.metadata['element'] is not None:
        return _convert_list(field, value)
    return value


def _convert_list(field: dataclasses.Field[Any], value: Any) -> Any:
    if value is None or value == '':
        return []
    # A lone value is left for `_check_type`: a text would fall into its characters.
    if isinstance(value, str) or not isinstance(value, Iterable):
        return value
    if field.metadata['element'] is float:
        return [float(number) if type(number) is int else number for number in value]
    return list(value)


def _check_type(field: dataclasses.Field[Any], value: Any) -> None:
    element = field.metadata['element']
    if element is None:
        # bool is an int to Python, not to ROS.
        if type(value) is not type(field.default):
            kind = type(field.default).__name__
            raise MicroexprError(f'parameter {field.name} = {value!r}: a {kind} is expected')
    elif not isinstance(value, list) or any(type(one) is not element for one in value):
        raise MicroexprError(
            f'parameter {field.name} = {value!r}: a list of {element.__name__} is expected, '
            'in square brackets'
        )


def _check_range(field: dataclasses.Field[Any], value: Any) -> None:
    low, high = field.metadata['minimum'], field.metadata['maximum']
    if low is not None and high is not None and not low <= value <= high:
        raise MicroexprError(f'parameter {field.name} = {value!r}: give {low:g} to {high:g}')


def read(node: Node, kind: type[Values]) -> Values:
    """Return a node's present parameters as the dataclass they were declared from.

    Raises:
        MicroexprError: a text is none of its choices.
    """
    values = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        value = node.get_parameter(field.name).value
        if isinstance(field.default, tuple):
            value = tuple(value or ())
        choices = field.metadata['choices']
        if choices and value not in choices:
            raise MicroexprError(
                f'parameter {field.name} = {value!r}: choose one of {", ".join(choices)}'
            )
        values[field.name] = value
    return kind(**values)


def overrides(values: dict[str, Any]) -> list[Parameter]:
    """Turn plain values into parameter overrides for a node's constructor."""
    return [Parameter(name, value=value) for name, value in values.items()]
