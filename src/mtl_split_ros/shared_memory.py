# SPDX-License-Identifier: Apache-2.0
"""Whose shared memory Fast DDS uses on this machine: it serves the processes of one user alone."""

import os
import pwd
import re
from collections.abc import Mapping
from pathlib import Path

from mtl_split_ros.discovery import DEFAULT_RMW, local_only

REMEDY = (
    'run all as one user, or set FASTDDS_BUILTIN_TRANSPORTS=UDPv4 on one of both sides (with '
    'ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET)'
)
"""One side is enough: the other one then takes the network to it, too. In the range LOCALHOST
rmw_fastrtps always adds shared memory."""

_PORT = re.compile(r'(?:fastrtps|fastdds)_port(\d+)')
_FIRST_PORT, _PORTS = 7400, 250
"""RTPS 2.5, 9.6.2.3: the ports of a domain. Shared memory has files of the same numbers."""
_NETWORK_ALONE = ('UDPv4', 'UDPv6')


def strangers(
    directory: Path = Path('/dev/shm'),
    environment: Mapping[str, str] = os.environ,
    uid: int | None = None,
) -> tuple[str, ...]:
    """Name the other users whose shared memory of Fast DDS lies here, in this process's domain.

    Processes find each other over the network. On one machine they then write into memory of each
    other, which their users do not allow, and nothing arrives (Fast DDS documentation, Shared
    Memory Transport).

    Args:
        directory: Where Linux keeps shared memory.
        environment: Variables of the process; its domain is the ``ROS_DOMAIN_ID`` there, or 0.
        uid: Its user, None for that of this process.

    Returns:
        Their names, sorted; none where this process takes the network or another middleware.
    """
    asked = environment.get('FASTDDS_BUILTIN_TRANSPORTS') in _NETWORK_ALONE
    network = asked and not local_only(environment)
    middleware = environment.get('RMW_IMPLEMENTATION') or DEFAULT_RMW
    if network or not middleware.startswith('rmw_fastrtps'):
        return ()
    own = os.geteuid() if uid is None else uid
    ports = _ports(environment.get('ROS_DOMAIN_ID') or '0')
    owners = {
        owner
        for path in directory.glob('fast*_port*')
        if (found := _PORT.fullmatch(path.name)) and int(found[1]) in ports
        for owner in _owner(path)
    }
    return tuple(sorted(map(_name, owners - {own})))


def _ports(domain: str) -> range:
    first = _FIRST_PORT + _PORTS * int(domain) if domain.isdecimal() else _FIRST_PORT
    return range(first, first + _PORTS)


def _owner(path: Path) -> tuple[int, ...]:
    try:
        return (path.stat().st_uid,)
    except OSError:  # its process has just ended
        return ()


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
