# SPDX-License-Identifier: Apache-2.0
"""The messages: ours as documented, and vision_msgs the same as everybody's."""

import json
import re
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_share_path
from mtl_split.msg import FeatureMap, FrameStatus, LinkReport, SplitContract
from rosidl_parser.definition import UnboundedSequence
from vision_msgs import msg as vision_msgs

from mtl_split_core.codec_ids import CodecId
from mtl_split_edge.fates import Outcome

SOURCES = Path(__file__).parents[2] / 'msg'

# RIHS01 of ros-perception/vision_msgs 4.1.1 (branch ros2), built from its own definitions. Two
# nodes whose hashes differ do not understand each other.
UPSTREAM = {
    'BoundingBox2D': '008eacbb0cf8f26e83795547bed013eec3675485ef386ec056d80eaaf1c1ce2f',
    'BoundingBox2DArray': '2464e82838009386d371b523211c21c91d74d313fcdd6788223c531d621cf691',
    'Classification': 'f74db28d0eaef3afb78f48bf2161cd709a1383a0309d3454383b25be11345143',
    'Detection2D': '0d12b69df5c593b3455b7346fac8205437a7d4bcb09b9e0e0b2dde787ded38ea',
    'Detection2DArray': '214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968',
    'LabelInfo': '3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783',
    'ObjectHypothesis': '51da43cec11c01957a64d1e05a24acd18aae7745ec30b74348ad5f6d634f7f90',
    'ObjectHypothesisWithPose': '41c12344c0396c48b81df12467c192d99b2a0eb1463c5c37194e4223251c80bc',
    'Point2D': 'eab0e83f44ab4de92ceaf76dd7d0e7638f2bdd1d16ffbe16c7a136c48e407247',
    'Pose2D': 'b0b5d1d7b4c20dd4fcde3ed1d4b289a919290572007d67a97043814db25d3648',
    'VisionClass': '1e4a11f0fed50b5623cb8ff26ca0e37952a48a9c074d16f804b44e9164c2037a',
}


def type_hash(package: str, name: str) -> str:
    """Return the hash that a built message type announces itself with."""
    path = get_package_share_path(package) / 'msg' / f'{name}.json'
    hashes = json.loads(path.read_text())['type_hashes']
    return next(
        entry['hash_string'] for entry in hashes if entry['type_name'] == f'{package}/msg/{name}'
    )


@pytest.mark.parametrize('name', UPSTREAM)
def test_vision_msgs_is_upstreams(name: str) -> None:
    assert hasattr(vision_msgs, name)
    assert type_hash('vision_msgs', name) == f'RIHS01_{UPSTREAM[name]}'


def test_feature_map_fields() -> None:
    assert FeatureMap.get_fields_and_field_types() == {
        'header': 'std_msgs/Header',
        'fingerprint': 'uint64',
        'sequence': 'uint32',
        'answer_session': 'uint64',
        'answer_until_us': 'uint64',
        'probe': 'boolean',
        'codec': 'uint8',
        'codec_version': 'uint8',
        'rate': 'uint8',
        'channels': 'uint16',
        'height': 'uint16',
        'width': 'uint16',
        'source_width': 'uint16',
        'source_height': 'uint16',
        'letterbox_scale': 'float',
        'letterbox_left': 'uint16',
        'letterbox_top': 'uint16',
        'wait_us': 'uint32',
        'convert_us': 'uint32',
        'letterbox_us': 'uint32',
        'encode_us': 'uint32',
        'entropy_us': 'uint32',
        'crc32': 'uint32',
        'data': 'sequence<uint8>',
    }


def test_codec_numbers_are_those_of_core() -> None:
    constants = {codec: getattr(FeatureMap, f'CODEC_{codec.name}') for codec in CodecId}
    assert constants == {codec: codec.value for codec in CodecId}


def test_payload_is_bytes_not_objects() -> None:
    """`byte[]` would arrive as a list of objects and takes most of a second for 2 MB."""
    kind = FeatureMap.SLOT_TYPES[-1]
    assert isinstance(kind, UnboundedSequence)
    assert kind.value_type.typename == 'uint8'


def test_split_contract_fields() -> None:
    fields = SplitContract.get_fields_and_field_types()
    assert list(fields) == [
        'header', 'fingerprint', 'session', 'bundle', 'version', 'family', 'tasks', 'channels',
        'height', 'width', 'input_width', 'input_height', 'rate_bytes',
    ]  # fmt: skip
    assert fields['session'] == 'uint64'
    assert fields['tasks'] == 'sequence<string>'
    assert fields['rate_bytes'] == 'sequence<float>'


def test_link_report_fields() -> None:
    fields = LinkReport.get_fields_and_field_types()
    assert list(fields) == [
        'header', 'fingerprint', 'session', 'clock_us', 'interval', 'received', 'lost', 'refused',
        'late', 'answered', 'goodput', 'last_sequence', 'hold_us', 'service_us', 'done_sequence',
        'done_mask', 'busy_fraction', 'refusal', 'padding',
    ]  # fmt: skip


def test_frame_status_outcomes_are_those_of_the_edge() -> None:
    constants = {outcome: getattr(FrameStatus, outcome.name) for outcome in Outcome}
    assert constants == {outcome: outcome.value for outcome in Outcome}
    assert list(FrameStatus.get_fields_and_field_types()) == [
        'header', 'outcome', 'mode', 'way', 'reason', 'bytes', 'expected_ms', 'elapsed_ms',
    ]  # fmt: skip


@pytest.mark.parametrize('path', sorted(SOURCES.glob('*.msg')), ids=lambda path: path.stem)
def test_every_field_says_unit_and_range(path: Path) -> None:
    fields = re.findall(r'^(?:\w+/)?\w+(?:\[\])? \w+.*$', path.read_text(), re.MULTILINE)
    assert fields
    assert [field for field in fields if '#' not in field] == []
