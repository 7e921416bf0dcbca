"""Hosts that only this machine can reach."""

from __future__ import annotations

import ipaddress
from typing import Final

LOOPBACK: Final = '127.0.0.1'


def is_loopback(host: str) -> bool:
    """Return whether a host can only be reached from this machine.

    Example:
        >>> is_loopback('localhost'), is_loopback('::1'), is_loopback('0.0.0.0')
        (True, True, False)
    """
    if host == 'localhost':
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
