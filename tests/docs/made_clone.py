# SPDX-License-Identifier: Apache-2.0
"""What the commands of the documents name: bundles, recordings and folders, all small."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from rosbags.interfaces import ConnectionExtRosbag2
from tests.made_profile import made_profile
from tests.tiny_bundle import make_tiny_bundle, street_image
from tests.tools.commands import TYPES, image_message, stamp

from mtl_split_core.bundle import Bundle
from mtl_split_core.profile import machine_name, profile_path, save_profile
from mtl_split_tools.bags import offered_qos, write_bag


def make_camvid(directory: Path) -> Bundle:
    """Write a small bundle of that name, with a profile of this machine."""
    bundle = make_tiny_bundle(directory / 'camvid', name='camvid')
    profile = made_profile(bundle.fingerprint, rates=len(bundle.rates))
    points = tuple(replace(point, edge_memory_mb=100.0) for point in profile.points)
    save_profile(replace(profile, points=points), profile_path(bundle, machine_name()))
    return bundle


def make_bag(path: Path, topic: str, pictures: int = 3) -> Path:
    """Write a recording of raw pictures."""
    kind = 'sensor_msgs/msg/Image'
    with write_bag(path) as writer:
        connection: ConnectionExtRosbag2 = writer.add_connection(
            topic, kind, typestore=TYPES, offered_qos_profiles=[offered_qos()]
        )
        for number in range(pictures):
            picture = np.ascontiguousarray(street_image(96, 64, number))
            writer.write(connection, stamp(number), image_message(stamp(number), picture))
    return path
