# SPDX-License-Identifier: Apache-2.0
import pytest

from mtl_split_ros.topic_watch import Publishers, describe_loss, describe_silence

IMAGE = 'sensor_msgs/msg/Image'


@pytest.mark.parametrize(
    ('publishers', 'parts'),
    [
        (Publishers(), ['publishers: 0', 'remap the topic']),
        (
            Publishers(elsewhere='/image/compressed has 1: set image_transport to compressed'),
            ['publishers: 0', 'set image_transport to compressed'],
        ),
        (Publishers(total=1), ['publishers: 1', 'incompatible QoS: 0', 'send nothing']),
        (
            Publishers(total=2, incompatible=('ERROR: Best effort publisher;',)),
            ['publishers: 2', 'incompatible QoS: 1', 'Best effort', 'qos_overrides./image'],
        ),
        (
            Publishers(total=1, other_types=('sensor_msgs/msg/CompressedImage',)),
            ['another type: 1 (sensor_msgs/msg/CompressedImage)', 'image_transport'],
        ),
    ],
)
def test_one_line_says_everything(publishers: Publishers, parts: list[str]) -> None:
    line = describe_silence('/image', IMAGE, '12:00:00 (4 s)', publishers)
    assert '\n' not in line
    for part in ['/image', IMAGE, 'since 12:00:00 (4 s)', *parts]:
        assert part in line


def test_one_line_on_what_is_lost() -> None:
    line = describe_loss('/image', 3.4, 9.2, 921_600.0, 'let both sides be reliable')
    assert line == (
        '9.2 of 12.6 messages a second on /image of 922 kB are lost on their way here: '
        'let both sides be reliable'
    )
    assert describe_loss('/image', 0.0, 15.0, 0.0, 'x').startswith('15.0 of 15.0 messages')
