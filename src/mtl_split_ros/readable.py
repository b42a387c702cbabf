# SPDX-License-Identifier: Apache-2.0
"""Messages and parameters as YAML for people, and in files that ROS 2 reads again."""

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import yaml
from rclpy.node import Node

LONGEST_LIST = 64
"""Elements of a list of numbers that are still written out."""


def message_yaml(message: Any) -> str:
    """Write every field of a message as YAML; of long lists of numbers only how long they are."""
    return _dump(_plain(message))


def parameters_yaml(node: Node) -> str:
    """Write all parameters of a node as `ros2 param dump` does: a file to start it with again."""
    tree: dict[str, Any] = {}
    for name in sorted(node.list_parameters([], 0).names):
        place = tree
        *above, last = name.split('.')
        for part in above:
            place = place.setdefault(part, {})
        place[last] = _plain(node.get_parameter(name).value)
    return _dump({node.get_fully_qualified_name(): {'ros__parameters': tree}})


def _plain(value: Any) -> Any:
    if hasattr(value, 'get_fields_and_field_types'):
        return {name: _plain(getattr(value, name)) for name in value.get_fields_and_field_types()}
    if isinstance(value, bytes):
        return value[0] if len(value) == 1 else f'{len(value)} bytes'
    if isinstance(value, np.ndarray | array) and len(value) > LONGEST_LIST:
        return f'{len(value)} numbers'
    if isinstance(value, np.ndarray | array):
        return value.tolist()
    if isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    return str(value)


def _dump(document: Mapping[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False, width=100, allow_unicode=True)
