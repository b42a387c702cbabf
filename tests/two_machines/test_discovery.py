# SPDX-License-Identifier: Apache-2.0
"""Edge and server in two network namespaces without multicast, as docs/two-machines.md says."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.tiny_bundle import make_tiny_bundle

from mtl_split_core.bundle import Bundle
from mtl_split_tools.lab import Lab, Process
from mtl_split_tools.lab.hosts import Host, leashed
from mtl_split_tools.lab.link import DEVICE, EDGE_ADDRESS, SERVER_ADDRESS
from mtl_split_tools.lab.processes import wait_for

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.timeout(300)]
GROUP = '239.255.0.1'
"""Where RTPS participants announce themselves."""
GROUP_BIT = '4,48 0 0 0,69 0 1 1,6 0 0 2,6 0 0 4294967295'
"""Classic BPF: the lowest bit of the receiver's Ethernet address is that of groups: drop it."""
ANSWERS, ANSWERED_BY_SERVER = 3, 2
PATIENCE_S = 60.0

LISTEN = f"""
import socket, struct
taker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
taker.bind(('', 7999))
member = socket.inet_aton('{GROUP}') + socket.inet_aton('{SERVER_ADDRESS}')
taker.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
print('ready', flush=True)
print(taker.recv(99).decode(), flush=True)
"""
SEND = f"""
import socket
giver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
giver.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton('{EDGE_ADDRESS}'))
try:
    giver.sendto(b'to the group', ('{GROUP}', 7999))
except OSError:
    pass
giver.sendto(b'to one', ('{SERVER_ADDRESS}', 7999))
"""


@pytest.fixture(scope='module')
def bundle(lab_rights: None, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp('bundles') / 'tiny')


def without_multicast(host: Host) -> None:
    """As on a network that carries none: nothing that is sent to a group arrives."""
    host.run('ip', 'link', 'set', DEVICE, 'multicast', 'off')
    # a route or the flag alone do not stop a sender that names its interface; this drops on arrival
    end = ('dev', DEVICE, 'parent', 'ffff:', 'protocol', 'all', 'prio', '1')
    host.run('tc', 'filter', 'add', *end, 'bpf', 'da', 'bytecode', GROUP_BIT)


def first_heard(edge: Host, server: Host) -> str:
    """Send one datagram to the group, one to the server; return what it heard first."""
    command = [*server.entry, *leashed(sys.executable, '-c', LISTEN)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as taker:
        assert taker.stdout
        assert taker.stdout.readline() == 'ready\n'
        edge.run(sys.executable, '-c', SEND)
        return taker.stdout.readline().strip()


def answers_come(lab: Lab, bundle: Bundle) -> None:
    """The edge's consumer gets answers, and it is the server that gives them."""
    lab.server(wait=False, bundle=bundle.path, threads=1)
    lab.edge(wait=False, bundle=bundle.path)
    consumer = lab.consumer()
    lab.ready()
    lab.camera(rate=5.0)
    consumer.wait_for_answers(ANSWERS, timeout_s=PATIENCE_S)
    # which the edge knows with the next report of the server
    wait_for(
        lambda: ANSWERED_BY_SERVER in {fate.outcome for fate in consumer.fates()},
        'the edge to say that the server answered',
        PATIENCE_S,
    )


def test_link_carries_multicast_until_it_is_switched_off(bundle: Bundle, tmp_path: Path) -> None:
    with Lab(tmp_path) as lab:
        assert first_heard(lab.edge_host, lab.server_host) == 'to the group'
        without_multicast(lab.server_host)
        assert first_heard(lab.edge_host, lab.server_host) == 'to one'


def test_static_peers(bundle: Bundle, tmp_path: Path) -> None:
    peers = {'ROS_STATIC_PEERS': f'{EDGE_ADDRESS};{SERVER_ADDRESS}'}
    with Lab(tmp_path, peers) as lab:
        without_multicast(lab.edge_host)
        without_multicast(lab.server_host)
        answers_come(lab, bundle)


def test_discovery_server(bundle: Bundle, tmp_path: Path) -> None:
    program = shutil.which('fast-discovery-server')
    if program is None:
        pytest.skip('no fast-discovery-server: it comes with Fast DDS')
    with Lab(tmp_path, {'ROS_DISCOVERY_SERVER': f'{SERVER_ADDRESS}:11811'}) as lab:
        without_multicast(lab.edge_host)
        without_multicast(lab.server_host)
        command = [program, '-i', '0', '-l', SERVER_ADDRESS, '-p', '11811']
        log = tmp_path / 'discovery.log'
        environment = dict(os.environ)
        discovery = Process('discovery', lab.server_host, command, environment, log)
        try:
            discovery.wait_for_log('Server is running')
            answers_come(lab, bundle)
        finally:
            discovery.kill()
