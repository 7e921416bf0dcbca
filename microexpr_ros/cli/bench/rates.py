"""Speeds to play at, as an option lists them."""

from __future__ import annotations

from microexpr_ros.errors import MicroexprError


def parse_rates(rates: str, option: str = 'rates') -> list[float]:
    """Return the numbers of a comma-separated list.

    Args:
        rates: The list.
        option: Name of the option, for errors.

    Raises:
        MicroexprError: Something is not a positive number.

    Example:
        >>> parse_rates('1,2.5')
        [1.0, 2.5]
    """
    try:
        speeds = [float(rate) for rate in rates.split(',')]
    except ValueError:
        speeds = []
    if not speeds or min(speeds) <= 0:
        raise MicroexprError(
            f'--{option} {rates!r} are not positive numbers; give for example 1,2'
        )
    return speeds
