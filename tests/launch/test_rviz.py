# SPDX-License-Identifier: Apache-2.0
"""rviz/mtl_split.rviz has the keys and values that RViz reads; others it drops in silence."""

from pathlib import Path
from typing import Any

import yaml
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage

from mtl_split_ros.result_messages import MASK
from mtl_split_tools.bags import open_bag

ROOT = Path(__file__).parents[2]
# Properties of rviz_default_plugins' ImageDisplay and of its topic (QosProfileProperty).
IMAGE = {
    'Class', 'Name', 'Enabled', 'Value', 'Topic',
    'Normalize Range', 'Min Value', 'Max Value', 'Median window',
}  # fmt: skip
TOPIC = {
    'Value': None,
    'Depth': None,
    'History Policy': {'System Default', 'Keep Last', 'Keep All'},
    'Reliability Policy': {'System Default', 'Reliable', 'Best Effort'},
    'Durability Policy': {'System Default', 'Transient Local', 'Volatile'},
}
MANAGER = {
    'Class', 'Displays', 'Enabled', 'Global Options', 'Name', 'Tools', 'Transformation', 'Value',
    'Views',
}  # fmt: skip
# Without the two of the docks RViz reads a value that nobody set.
WINDOW = {'Displays', 'Height', 'Width', 'Hide Left Dock', 'Hide Right Dock', 'QMainWindow State'}


def load() -> dict[str, Any]:
    text = (ROOT / 'rviz/mtl_split.rviz').read_text()
    content: dict[str, Any] = yaml.safe_load(text)
    return content


def test_keys_are_those_of_rviz() -> None:
    content = load()
    manager = content['Visualization Manager']
    assert set(content) == {'Panels', 'Visualization Manager', 'Window Geometry'}
    assert set(content['Window Geometry']) == WINDOW
    assert set(manager) == MANAGER
    assert set(manager['Global Options']) == {'Background Color', 'Fixed Frame', 'Frame Rate'}
    for display in manager['Displays']:
        assert display['Class'] == 'rviz_default_plugins/Image'
        assert set(display) == IMAGE
        assert set(display['Topic']) == set(TOPIC)
        for key, allowed in TOPIC.items():
            assert allowed is None or display['Topic'][key] in allowed


def test_fixed_frame_is_that_of_the_clip() -> None:
    with open_bag(ROOT / 'samples/camvid_val/bag') as bag:
        pictures = [c for c in bag.connections if c.topic == '/image/compressed']
        _, _, data = next(iter(bag.messages(pictures)))
    header = deserialize_message(data, CompressedImage).header
    assert load()['Visualization Manager']['Global Options']['Fixed Frame'] == header.frame_id


def test_topics_are_ours() -> None:
    displays = load()['Visualization Manager']['Displays']
    topics = {display['Topic']['Value']: display['Topic'] for display in displays}
    color = MASK.replace('mask', 'color')
    assert set(topics) == {'/overlay', f'/{color}', '/image', '/image/compressed'}
    # cameras may be best effort; our large results would lose fragments by it
    for topic, qos in topics.items():
        camera = topic.startswith('/image')
        assert qos['Reliability Policy'] == ('Best Effort' if camera else 'Reliable')


def test_each_display_has_its_place_in_the_window() -> None:
    """RViz finds it by the name of the display; those without one are squeezed to the left."""
    content = load()
    state = bytes.fromhex(content['Window Geometry']['QMainWindow State'])
    names = [display['Name'] for display in content['Visualization Manager']['Displays']]
    for name in ('Displays', *names):
        assert name.encode('utf-16-be') in state


def test_nothing_is_on_that_another_package_has_to_bring() -> None:
    """RViz stops reading its file at a display whose image transport is not installed."""
    displays = load()['Visualization Manager']['Displays']
    on = {display['Name'] for display in displays if display['Enabled']}
    assert on == {'Overlay', 'Segmentation'}
    assert all(display['Enabled'] is display['Value'] for display in displays)


def test_no_transform_is_asked_for() -> None:
    """Nothing of ours publishes any, so TF would be a warning that never goes."""
    current = load()['Visualization Manager']['Transformation']['Current']
    assert current == {'Class': 'rviz_common/Identity'}
