# SPDX-License-Identifier: Apache-2.0
"""Socket buffers that take a raw image whole, as those set them who send raw images by DDS.

With the 208 kB that Linux gives by default, most of the packets of a raw image find the buffer full
and are sent twice: a rival would be measured that nobody uses.
"""

import os
import xml.etree.ElementTree as ET
from pathlib import Path

from mtl_split_tools.lab.lab import PROFILES
from mtl_split_tools.shipped import shipped

BYTES = 4_194_304
MOST_RECEIVED = Path('/proc/sys/net/core/rmem_max')
_VARIABLE = 'FASTRTPS_DEFAULT_PROFILES_FILE'
_SPACE = 'http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles'


def large_buffers(folder: Path) -> dict[str, str]:
    """Write the profile of Fast DDS that ships, with large buffers added.

    Args:
        folder: Gets it; made if missing.

    Returns:
        The environment by which nodes use it; empty where there is a profile of the user's own.
    """
    source = shipped(PROFILES)
    if source is None or _VARIABLE in os.environ:
        return {}
    ET.register_namespace('', _SPACE)
    tree = ET.parse(source)
    for place in tree.iter(f'{{{_SPACE}}}rtps'):
        for name in ('sendSocketBufferSize', 'listenSocketBufferSize'):
            ET.SubElement(place, f'{{{_SPACE}}}{name}').text = str(BYTES)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder.resolve() / 'fastdds.xml'
    tree.write(path, encoding='utf-8', xml_declaration=True)
    return {_VARIABLE: str(path)}


def allowed_kb() -> int:
    """Return how large a buffer to receive this machine allows, kB (1000 bytes)."""
    return int(MOST_RECEIVED.read_text(encoding='ascii')) // 1000
