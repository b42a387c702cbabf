# SPDX-License-Identifier: Apache-2.0
"""Real nodes as processes, and an observer in the test's own process, in one DDS domain."""

import os
import signal
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from mtl_split.msg import FrameStatus
from numpy.typing import NDArray
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters
from rclpy.client import Client
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tests.domains import own_domain

RELIABLE = QoSProfile(depth=100)
BEST_EFFORT = QoSProfile(depth=100, reliability=QoSReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=QoSDurabilityPolicy.TRANSIENT_LOCAL)
PATIENCE_S = 40.0
ANSWER_S, ATTEMPTS = 5.0, 6
SCRIPTS = Path(__file__).parents[2] / 'scripts'


def wait_for(condition: Callable[[], Any], what: str, timeout: float = PATIENCE_S) -> Any:
    """Return the first true value of a condition, or fail."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    msg = f'waited {timeout} s for {what}'
    raise AssertionError(msg)


class NodeProcess:
    """A node as its own process."""

    def __init__(self, program: Sequence[str], domain: int, log: Path) -> None:
        environment = {**os.environ, 'ROS_DOMAIN_ID': str(domain)}
        # a child of a bootstrapped interpreter has to find the libraries itself
        environment.pop('_ROS_WHEELS_BOOTSTRAP_COMPLETE', None)
        self._log = log
        with log.open('w') as file:
            self.process = subprocess.Popen(
                [sys.executable, *program],
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def ready(self) -> 'NodeProcess':
        def started() -> bool:
            assert self.process.poll() is None, self.log
            return 'ready: bundle' in self.log

        wait_for(started, 'the node to become ready')
        return self

    def catches(self, number: signal.Signals) -> bool:
        """Whether the process has a handler of its own for a signal."""
        status = Path(f'/proc/{self.process.pid}/status').read_text()
        caught = int(status.split('SigCgt:')[1].split()[0], 16)
        return bool(caught >> (number - 1) & 1)

    def maps(self) -> str:
        return Path(f'/proc/{self.process.pid}/maps').read_text()

    def alive(self) -> bool:
        return self.process.poll() is None

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal and return the exit code; never leave the process behind."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


class Graph:
    """An observer in its own domain, and the nodes started in it."""

    def __init__(self, directory: Path, domain: int | None = None) -> None:
        # a test on one machine is nobody's business on another
        os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
        self.domain = domain or own_domain()
        self._directory = directory
        self._context = Context()
        rclpy.init(context=self._context, domain_id=self.domain)
        self.node = Node('observer', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        self._processes: list[NodeProcess] = []
        self._clients: dict[tuple[type, str], Client] = {}

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self._executor.spin()

    def start(self, name: str, *arguments: str, **parameters: object) -> NodeProcess:
        """Start 'edge' or 'server'; keyword arguments are parameters."""
        given = [f'{key}:={value}' for key, value in parameters.items()]
        options = [text for pair in given for text in ('-p', pair)]
        log = self._directory / f'{name}{len(self._processes)}.log'
        program = [str(SCRIPTS / name), '--ros-args', *arguments, *options]
        process = NodeProcess(program, self.domain, log)
        self._processes.append(process)
        return process

    def publisher(
        self, kind: type, topic: str, qos: QoSProfile = RELIABLE, readers: int = 1
    ) -> Publisher:
        """A publisher that `readers` subscriptions have found."""
        publisher = self.node.create_publisher(kind, topic, qos)
        wait_for(lambda: publisher.get_subscription_count() >= readers, f'a reader of {topic}')
        return publisher

    def record(
        self, kind: type, topic: str, qos: QoSProfile = RELIABLE, writers: int = 1
    ) -> list[Any]:
        """A list that grows with every message, once `writers` publishers have found it."""
        with self.recording(kind, topic, qos, writers, keep=True) as messages:
            return messages

    @contextmanager
    def recording(
        self,
        kind: type,
        topic: str,
        qos: QoSProfile = RELIABLE,
        writers: int = 1,
        *,
        keep: bool = False,
    ) -> Iterator[list[Any]]:
        """The same for the time of a block."""
        messages: list[Any] = []
        subscription = self.node.create_subscription(kind, topic, messages.append, qos)
        wait_for(lambda: self.node.count_publishers(topic) >= writers, f'a writer of {topic}')
        try:
            yield messages
        finally:
            if not keep:
                self.node.destroy_subscription(subscription)

    def call(self, kind: type, name: str, request: Any) -> Any:
        """Call a service and return the answer."""
        # kept, since it takes a client longer to find its service than to ask
        if (kind, name) not in self._clients:
            self._clients[kind, name] = self.node.create_client(kind, name)
        client = self._clients[kind, name]
        assert client.wait_for_service(PATIENCE_S)
        # An answer is lost where the service knows the client's writer and not yet its reader.
        for _ in range(ATTEMPTS):
            future = client.call_async(request)
            with suppress(AssertionError):
                answer = wait_for(future.result, f'an answer of {name}', ANSWER_S)
                break
        else:
            msg = f'{name} does not answer'
            raise AssertionError(msg)
        return answer

    def set(self, node: str, **values: object) -> list[SetParametersResult]:
        """Set parameters of a running node."""
        request = SetParameters.Request(
            parameters=[
                Parameter(name, value=value).to_parameter_msg() for name, value in values.items()
            ]
        )
        results: list[SetParametersResult]
        results = self.call(SetParameters, f'{node}/set_parameters', request).results
        return results

    def mode(self, mode: str, send: Callable[[], object], **values: object) -> None:
        """Give the edge a mode, and send images until it is in force."""
        results = self.set('edge', mode=mode, **values)
        assert all(result.successful for result in results), results

        def in_force() -> bool:
            send()
            time.sleep(0.05)
            return any(status.mode == mode for status in statuses)

        with self.recording(FrameStatus, 'frame_status') as statuses:
            wait_for(in_force, f'mode {mode}')

    def close(self) -> list[int]:
        codes = [process.end() for process in self._processes]
        self._executor.shutdown()
        self._thread.join(5)
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)
        return codes


class Diagnostics:
    """The newest status of each name."""

    def __init__(self, graph: Graph) -> None:
        self._statuses: dict[str, DiagnosticStatus] = {}
        graph.node.create_subscription(DiagnosticArray, '/diagnostics', self._keep, RELIABLE)

    def _keep(self, array: DiagnosticArray) -> None:
        self._statuses.update({status.name: status for status in array.status})

    def names(self) -> set[str]:
        return set(self._statuses)

    def status(self, name: str) -> DiagnosticStatus:
        return wait_for(lambda: self._statuses.get(name), f'the diagnostics of {name}')

    def values(self, name: str) -> dict[str, str]:
        return {pair.key: pair.value for pair in self.status(name).values}

    def message_with(self, name: str, text: str) -> DiagnosticStatus:
        def found() -> DiagnosticStatus | None:
            status = self._statuses.get(name)
            return status if status and text in status.message else None

        return wait_for(found, f'{text!r} in the diagnostics of {name}')


def header(number: int, frame_id: str = 'front') -> Header:
    """A header with a stamp that no clock gives, different for each number."""
    message = Header(frame_id=frame_id)
    message.stamp.sec, message.stamp.nanosec = 1000 + number, 123_456_789 + number
    return message


def image_msg(pixels: NDArray[np.uint8], stamp: Header, encoding: str = 'rgb8') -> Image:
    """A ROS image without padding."""
    message = Image(header=stamp, height=pixels.shape[0], width=pixels.shape[1])
    message.encoding = encoding
    message.step = pixels[0].size
    message.data = array('B', pixels.tobytes())
    return message


def received(messages: list[Any], stamp: Header, timeout: float = PATIENCE_S) -> Any:
    """The message with exactly this header, once it is there."""
    return wait_for(
        lambda: next((message for message in list(messages) if message.header == stamp), None),
        f'a message with the stamp {stamp.stamp.sec}',
        timeout,
    )
