# SPDX-License-Identifier: Apache-2.0
"""How processes find each other: as the environment says, and a restarted node at once."""

import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_share_path

VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
DEFAULT_RMW = 'rmw_fastrtps_cpp'
_FILE = Path('config') / 'fastdds.xml'


def local_only(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a process is told to look for others on this machine alone.

    Args:
        environment: Of the process.
    """
    return (
        environment.get('ROS_LOCALHOST_ONLY') == '1'
        or environment.get('ROS_AUTOMATIC_DISCOVERY_RANGE') == 'LOCALHOST'
    )


def announce_often(environment: MutableMapping[str, str] = os.environ) -> None:
    """Name our profile to Fast DDS, unless there is one already. Other middlewares ignore it.

    Args:
        environment: Of the process; Fast DDS reads it when the first node is made.
    """
    if any(environment.get(name) for name in VARIABLES):
        return
    try:
        path = get_package_share_path('mtl_split') / _FILE
    except PackageNotFoundError:
        path = Path(__file__).parents[2] / _FILE
    if path.is_file():
        environment[VARIABLES[0]] = str(path)
