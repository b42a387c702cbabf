# SPDX-License-Identifier: Apache-2.0
"""The lab: two hosts, the link, and the processes of this project in their places."""

import os
import random
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from mtl_split_tools.lab.hosts import Here, Host
from mtl_split_tools.lab.link import Link, Loopback
from mtl_split_tools.lab.processes import Process
from mtl_split_tools.lab.stations import Camera, Consumer
from mtl_split_tools.shipped import shipped

DOMAIN = 42
DOMAINS = range(60, 100)
"""Without a network of their own the processes must not meet others."""
READY = 'ready: bundle'
PROFILES = 'config/fastdds.xml'
Setting = bool | float | str | Path
Kind = TypeVar('Kind', bound=Process)


class Lab:
    """Two hosts and what runs in them; use it as a context manager.

    Args:
        folder: Gets logs and reports; made if missing.
        environment: Added to that of the processes.
        loopback: Do without hosts of their own: no link, a ROS domain taken by chance, and all on
            this machine, for where there are no rights.

    Raises:
        LabError: This machine does not have it, or gives no rights; the text says what.
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        *,
        loopback: bool = False,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.resolve()
        self._environment = _environment(self.folder) | dict(environment or {})
        self._processes: list[Process] = []
        self.edge_host: Host
        self.server_host: Host
        self.link: Link
        if loopback:
            self._environment |= {
                'ROS_DOMAIN_ID': str(random.choice(DOMAINS)),
                'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
            }
            self.edge_host, self.server_host = Here('edge'), Here('server')
            self.link = Loopback()
            return
        self.edge_host = Host('edge')
        try:
            self.server_host = Host('server', self.edge_host)
        except BaseException:
            self.edge_host.close()
            raise
        try:
            self.link = Link(self.edge_host, self.server_host)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def edge(self, *, wait: bool = True, **parameters: Setting) -> Process:
        """Start an edge; it takes compressed images, as the camera sends by default.

        Args:
            wait: Until it is ready.
            parameters: Of the node, `qos_overrides` and others with dots as **{'a.b': ...}.
        """
        settings: dict[str, Setting] = {'image_transport': 'compressed', **parameters}
        return self._node('edge', self.edge_host, wait, settings)

    def server(self, *, wait: bool = True, **parameters: Setting) -> Process:
        """Start a server, see `edge`."""
        return self._node('server', self.server_host, wait, parameters)

    def ready(self) -> None:
        """Wait until all nodes that were started without waiting are ready.

        Raises:
            LabError: One ended, or is not ready in time.
        """
        for process in self._processes:
            if process.alive and process.name in ('edge', 'server'):
                process.wait_for_log(READY)

    def camera(self, rate: float = 15.0, transport: str = 'compressed') -> Camera:
        """Start a camera on the edge's side.

        Args:
            rate: Images a second; 0: none until it is told.
            transport: compressed or raw.
        """
        command = [*_module('lab.camera'), '--rate', str(rate), '--transport', transport]
        log = self._log('camera')
        camera = Camera('camera', self.edge_host, command, self._environment, log)
        return self._keep(camera, 'ready')

    def consumer(self, side: Host | None = None, *, mask: bool = False) -> Consumer:
        """Start a consumer.

        Args:
            side: Its host; the edge's if None, where the whole way there and back counts.
            mask: Whether it takes masks, too: many bytes, see the message.
        """
        command = [*_module('lab.consumer'), *(['--mask'] if mask else [])]
        log, host = self._log('consumer'), side or self.edge_host
        return self._keep(Consumer('consumer', host, command, self._environment, log), 'ready')

    def process(self, kind: type[Kind], name: str, host: Host, module: str, *words: str) -> Kind:
        """Start another program of this project.

        Args:
            kind: Process, or Station if it writes a report.
            name: What to call it.
            host: Where it runs.
            module: Its module below mtl_split_tools; it prints `ready` when it is.
            words: Its arguments.
        """
        command = [*_module(module), *words]
        log = self._log(name)
        return self._keep(kind(name, host, command, self._environment, log), 'ready')

    def close(self) -> None:
        """End all processes and let the hosts go."""
        for process in self._processes:
            if process.alive:
                process.kill()
        self._processes.clear()
        self.server_host.close()
        self.edge_host.close()

    def _node(
        self, name: str, host: Host, wait: bool, parameters: Mapping[str, Setting]
    ) -> Process:
        given = [f'{key}:={_text(value)}' for key, value in parameters.items()]
        options = [word for text in given for word in ('-p', text)]
        command = [sys.executable, '-m', f'mtl_split_{name}', '--ros-args', *options]
        process = Process(name, host, command, self._environment, self._log(name))
        return self._keep(process, READY if wait else '')

    def _keep(self, process: Kind, ready: str) -> Kind:
        self._processes.append(process)
        if ready:
            process.wait_for_log(ready)
        return process

    def _log(self, name: str) -> Path:
        return self.folder / f'{name}{len(self._processes)}.log'


def _module(name: str) -> list[str]:
    return [sys.executable, '-m', f'mtl_split_tools.{name}']


def _text(value: Setting) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _environment(folder: Path) -> dict[str, str]:
    environment = dict(os.environ)
    # Set by the start-up code of ROS from PyPI; a child that inherits it cannot find its libraries.
    environment.pop('_ROS_WHEELS_BOOTSTRAP_COMPLETE', None)
    # Shared memory knows no network namespaces, and would be a second way past the link.
    environment['FASTDDS_BUILTIN_TRANSPORTS'] = 'UDPv4'
    if profiles := shipped(PROFILES):
        environment.setdefault('FASTRTPS_DEFAULT_PROFILES_FILE', str(profiles))
    # Its own networks keep it apart from everybody else, and the two hosts are a subnet.
    environment['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'SUBNET'
    environment['ROS_DOMAIN_ID'] = str(DOMAIN)
    environment['ROS_LOG_DIR'] = str(folder / 'ros')
    environment['RCUTILS_COLORIZED_OUTPUT'] = '0'
    environment['PYTHONUNBUFFERED'] = '1'
    return environment
