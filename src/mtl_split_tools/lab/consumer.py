# SPDX-License-Identifier: Apache-2.0
"""The consumer's process: writes down what arrives and when, and sets parameters when told.

A line on stdin, {"node": name, "values": {...}}, sets parameters of a node. It ends with its stdin.
Each message is a line of the report: {"kind": topic, "stamp": [s, ns], "at": monotonic seconds}
with the fields of FrameStatus where it is one; one line per status of the diagnostics; and
{"kind": "set", "reasons": [...]} for each command, empty if it was taken.
"""

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from mtl_split.msg import FrameStatus
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image
from vision_msgs.msg import Classification, Detection2DArray

from mtl_split_tools.bags import message_stamp

_QUALITY = QoSProfile(depth=50)
_POLL_S = 0.1
_ANSWER_S, _ATTEMPTS = 5.0, 4

Write = Callable[..., None]


def subscribe(node: Node, write: Write, mask: bool) -> None:
    """Subscribe everything there is to write down."""

    def take(topic: str, kind: type) -> None:
        def on_data(data: bytes) -> None:
            at = time.monotonic()
            write(kind=topic, stamp=message_stamp(data), at=at)

        # the content is not needed, and taking it apart would cost the machine's time
        node.create_subscription(kind, topic, on_data, _QUALITY, raw=True)

    take('detections', Detection2DArray)
    take('classification', Classification)
    if mask:
        take('segmentation/mask', Image)

    def on_status(message: FrameStatus) -> None:
        write(
            kind='frame_status',
            stamp=(message.header.stamp.sec, message.header.stamp.nanosec),
            at=time.monotonic(),
            outcome=message.outcome,
            mode=message.mode,
            way=message.way,
            reason=message.reason,
            bytes=message.bytes,
            expected_ms=message.expected_ms,
            elapsed_ms=message.elapsed_ms,
        )

    def on_diagnostics(message: DiagnosticArray) -> None:
        at = time.monotonic()
        for status in message.status:
            write(
                kind='diagnostics',
                at=at,
                name=status.name,
                level=status.level[0],
                message=status.message,
                values={pair.key: pair.value for pair in status.values},
            )

    node.create_subscription(FrameStatus, 'frame_status', on_status, _QUALITY)
    node.create_subscription(DiagnosticArray, '/diagnostics', on_diagnostics, _QUALITY)


class Setter:
    """Sets parameters of other nodes.

    Args:
        node: Asks.
        write: Gets the outcome.
    """

    def __init__(self, node: Node, write: Write) -> None:
        self._node = node
        self._write = write

    def set(self, name: str, values: dict[str, bool | int | float | str]) -> None:
        """Ask a node to take values, and write down what it says."""
        client = self._node.create_client(SetParameters, f'{name}/set_parameters')
        if not client.wait_for_service(_ANSWER_S):
            self._write(kind='set', reasons=[f'no node {name} offers parameters'])
            return
        parameters = [Parameter(key, value=value) for key, value in values.items()]
        request = SetParameters.Request(
            parameters=[parameter.to_parameter_msg() for parameter in parameters]
        )
        # An answer is lost where the service knows the client's writer and not yet its reader.
        for _ in range(_ATTEMPTS):
            came = threading.Event()
            future = client.call_async(request)
            future.add_done_callback(lambda _, came=came: came.set())
            if came.wait(_ANSWER_S):
                results = future.result().results
                reasons = [result.reason for result in results if not result.successful]
                break
        else:
            reasons = [f'{name} does not answer']
        self._write(kind='set', reasons=reasons)


def main() -> int:
    """Write down until stdin ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--mask', action='store_true')
    parser.add_argument('--report', type=Path, required=True)
    options = parser.parse_args()
    ended = threading.Event()
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = Node('consumer', use_global_arguments=False, enable_rosout=False)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    lock = threading.Lock()
    try:
        with options.report.open('w', buffering=1) as report:

            def write(**line: object) -> None:
                with lock:
                    report.write(json.dumps(line) + '\n')

            subscribe(node, write, options.mask)
            setter = Setter(node, write)
            threading.Thread(target=_read, args=(setter, ended), daemon=True).start()
            print('ready', flush=True)
            while not ended.is_set():
                executor.spin_once(timeout_sec=_POLL_S)
    except KeyboardInterrupt:
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _read(setter: Setter, ended: threading.Event) -> None:
    for line in sys.stdin:
        wish = json.loads(line)
        setter.set(wish['node'], wish['values'])
    ended.set()


if __name__ == '__main__':
    sys.exit(main())
