# SPDX-License-Identifier: Apache-2.0
"""Told to be secure, a node is secure or does not start; what it has on the graph is its policy."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import pytest
from mtl_split.msg import FeatureMap
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node, NodeNameNonExistentError
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tests.domains import own_domain
from tests.ros.harness import (
    PATIENCE_S,
    RELIABLE,
    Graph,
    NodeProcess,
    header,
    image_msg,
    wait_for,
)
from tests.tiny_bundle import street_image
from vision_msgs.msg import Detection2DArray

from mtl_split_core.bundle import Bundle
from mtl_split_ros.security import SecurityError, check_settings

pytestmark = pytest.mark.ros(beside=True)

SECURITY = Path(__file__).parents[2] / 'security'
FLAGS = re.MULTILINE | re.DOTALL
Right = tuple[str, str, str]
"""Kind of name, what may be done with it, the name: ('topics', 'publish', '/features')."""


def policy(text: str, node: str, namespace: str) -> set[Right]:
    """The rights of a node, with names resolved as sros2 does."""
    enclave = f'{namespace.rstrip("/")}/{node}'
    profile = ElementTree.fromstring(text).find(f"enclaves/enclave[@path='{enclave}']//profile")
    assert profile is not None
    assert (profile.get('ns'), profile.get('node')) == (namespace, node)
    found = set()
    for group in profile:
        for right in group.attrib:
            for entry in group:
                name = str(entry.text).replace('~', enclave)
                if not name.startswith('/'):
                    name = f'{namespace.rstrip("/")}/{name}'
                found.add((group.tag, right, name))
    return found


def on_the_graph(observer: Node, node: str, namespace: str) -> set[Right]:
    """What a running node has."""
    queries = {
        ('topics', 'publish'): observer.get_publisher_names_and_types_by_node,
        ('topics', 'subscribe'): observer.get_subscriber_names_and_types_by_node,
        ('services', 'reply'): observer.get_service_names_and_types_by_node,
        ('services', 'request'): observer.get_client_names_and_types_by_node,
    }
    try:
        found = {key: query(node, namespace) for key, query in queries.items()}
    except NodeNameNonExistentError:
        return set()  # not discovered yet
    return {(*key, name) for key, names in found.items() for name, _ in names}


def test_policy_is_what_the_nodes_have(graph: Graph, tiny_bundle: Bundle) -> None:
    """Each endpoint is granted; and each grant is used in one of two ways to run a node."""
    command = re.search(
        r'^sed .* > policy_front.xml$', (SECURITY / 'README.md').read_text(), re.MULTILINE
    )
    assert command
    sed = command[0].removesuffix(' > policy_front.xml')
    texts = {
        '/': (SECURITY / 'policy.xml').read_text(),
        '/front': subprocess.run(
            sed, shell=True, cwd=SECURITY, capture_output=True, text=True, check=True
        ).stdout,
    }
    settings: dict[str, dict[str, object]] = {
        '/': {'image_transport': 'raw'},
        '/front': {'image_transport': 'compressed', 'use_sim_time': True},
    }
    nodes = [
        graph.start(node, '-r', f'__ns:={namespace}', bundle=tiny_bundle.path, **values)
        for namespace, values in settings.items()
        for node in ('edge', 'server')
    ]
    for node in nodes:
        node.ready()
    for namespace in settings:
        # that is what makes a server subscribe images
        graph.record(Image, f'{namespace.rstrip("/")}/overlay')
        edge = f'{namespace.rstrip("/")}/edge'
        assert all(result.successful for result in graph.set(edge, mode='local'))

    for node in ('edge', 'server'):
        allowed = {namespace: policy(text, node, namespace) for namespace, text in texts.items()}

        def unused(node: str = node, allowed: dict[str, set[Right]] = allowed) -> set[Right]:
            plain, front = (
                rights - on_the_graph(graph.node, node, namespace)
                for namespace, rights in allowed.items()
            )
            return plain & {(*key, name.removeprefix('/front')) for *key, name in front}

        with suppress(AssertionError):
            wait_for(lambda check=unused: not check(), 'each grant to be used')
        assert unused() == set()
        for namespace, rights in allowed.items():
            assert on_the_graph(graph.node, node, namespace) - rights == set()


def test_parameters_that_open_files_are_set_at_the_start_only(
    graph: Graph, tiny_bundle: Bundle
) -> None:
    graph.start('edge', '-r', '__ns:=/files', bundle=tiny_bundle.path).ready()
    for name in ('bundle', 'profile', 'backend'):
        (result,) = graph.set('/files/edge', **{name: '/etc/passwd'})
        assert not result.successful
        assert 'read-only' in result.reason


def test_a_profile_from_elsewhere(graph: Graph, tiny_bundle: Bundle) -> None:
    node = graph.start('edge', bundle=tiny_bundle.path, mode='auto', profile='../profile.yaml')
    assert node.process.wait(PATIENCE_S) == 2
    assert f'outside of {tiny_bundle.path}: give the name of a file in there' in node.log
    assert node.log.count('\n') == 1


def refused(
    monkeypatch: pytest.MonkeyPatch, directory: Path, name: str, **variables: str
) -> tuple[int, list[str]]:
    """Start a node with ROS_SECURITY_ variables; give exit code and lines, rcl's INFO aside."""
    for key, value in variables.items():
        monkeypatch.setenv(f'ROS_SECURITY_{key}', value)
    program = ['-m', f'mtl_split_{name}', '--ros-args', '--enclave', f'/{name}']
    node = NodeProcess(program, own_domain(), directory / f'{name}.log')
    try:
        code = node.process.wait(PATIENCE_S)
    finally:
        node.end()
    return code, [line for line in node.log.splitlines() if not line.startswith('[INFO]')]


@pytest.mark.parametrize(
    ('variables', 'text'),
    [
        ({'ENABLE': 'True'}, "ROS_SECURITY_ENABLE is 'True'"),
        ({'STRATEGY': 'enforce'}, "ROS_SECURITY_STRATEGY is 'enforce'"),
        ({}, 'ROS_SECURITY_KEYSTORE is not set'),
        ({'KEYSTORE': '/nowhere'}, "'/nowhere/enclaves/edge' does not exist"),
        # no middleware starts with an empty enclave, and ours from PyPI with none at all
        ({'KEYSTORE': '.'}, 'check keys, policy and ROS_DOMAIN_ID of this enclave'),
    ],
)
def test_refuses_to_start_in_the_open(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str], text: str
) -> None:
    (tmp_path / 'enclaves/edge').mkdir(parents=True)
    values = {'ENABLE': 'true', 'STRATEGY': 'Enforce', **variables}
    if values.get('KEYSTORE') == '.':
        values['KEYSTORE'] = str(tmp_path)
    code, lines = refused(monkeypatch, tmp_path, 'edge', **values)
    assert code == 2
    assert len(lines) == 1, lines
    assert lines[0].startswith('edge: ')
    assert text in lines[0]


def test_the_server_refuses_as_well(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code, lines = refused(monkeypatch, tmp_path, 'server', ENABLE='true', STRATEGY='Enforce')
    assert (code, len(lines)) == (2, 1)
    assert lines[0].startswith('server: ROS_SECURITY_STRATEGY is Enforce')


def test_settings() -> None:
    strict = {
        'ROS_SECURITY_ENABLE': 'true',
        'ROS_SECURITY_STRATEGY': 'Enforce',
        'ROS_SECURITY_KEYSTORE': '/keys',
    }
    check_settings(strict, 'rmw_fastrtps_cpp')
    check_settings({**strict, 'ROS_SECURITY_ENABLE': 'false'}, 'rmw_zenoh_cpp')
    check_settings({**strict, 'ROS_SECURITY_STRATEGY': 'Permissive'}, 'rmw_zenoh_cpp')
    check_settings({}, 'rmw_zenoh_cpp')
    with pytest.raises(SecurityError, match='rmw_zenoh_cpp may run open'):
        check_settings(strict, 'rmw_zenoh_cpp')


def lacking(monkeypatch: pytest.MonkeyPatch, directory: Path) -> str:
    """Say why nothing can run securely here, '' where it can."""
    (directory / 'enclaves/edge').mkdir(parents=True)
    settings = {'ENABLE': 'true', 'STRATEGY': 'Enforce', 'KEYSTORE': str(directory)}
    with monkeypatch.context() as patch:
        _, lines = refused(patch, directory, 'edge', **settings)
    if "doesn't have the security libraries" in lines[-1]:
        return 'the Fast DDS of this ROS 2 is built with HAVE_SECURITY 0'
    asked = ['ros2', 'security', '--help']
    if not shutil.which('ros2') or subprocess.run(asked, capture_output=True).returncode:
        return 'there is no `ros2 security`'
    return ''


OBSERVER = """<policy version="0.2.0"><enclaves><enclave path="/observer"><profiles>
<profile ns="/" node="observer">
<topics publish="ALLOW"><topic>image</topic><topic>/rosout</topic><topic>/parameter_events</topic>
</topics><topics subscribe="ALLOW"><topic>detections</topic></topics>
<services reply="ALLOW">{}</services>
</profile></profiles></enclave></enclaves></policy>"""

STRANGER = """
import rclpy, time
from mtl_split.msg import FeatureMap
rclpy.init()
node = rclpy.create_node('stranger')
publisher = node.create_publisher(FeatureMap, 'features', 1)
time.sleep(3)
print(publisher.get_subscription_count(), node.count_publishers('detections'))
"""


@pytest.fixture
def secured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Graph]:
    """A graph whose observer is an enclave of its own; the environment is set for the nodes."""
    probe = tmp_path / 'probe'
    probe.mkdir()
    if text := lacking(monkeypatch, probe):
        assert 'MTL_SPLIT_EXPECT_SECURITY' not in os.environ, text
        pytest.skip(text)
    domain = own_domain()
    keys = tmp_path / 'keys'
    services = re.findall(r'<service>.*</service>', (SECURITY / 'policy.xml').read_text())
    own = tmp_path / 'observer.xml'
    own.write_text(OBSERVER.format(''.join(dict.fromkeys(services))))
    monkeypatch.setenv('ROS_DOMAIN_ID', str(domain))
    # as the README has it, with another directory and without the ROS 2 that is sourced already
    blocks = re.findall(r'^```bash$(.*?)^```$', (SECURITY / 'README.md').read_text(), FLAGS)
    text = '\n'.join(block for block in blocks if '~/keys/' in block or 'create_' in block)
    text = re.sub(r'^(source|cd) .*$', '', text, flags=re.MULTILINE).replace('~/keys', str(keys))
    text += f"""
        ros2 security create_enclave {keys} /observer
        ros2 security create_permission {keys} /observer {own}
    """
    subprocess.run(['bash', '-euc', text], cwd=SECURITY, check=True)
    monkeypatch.setenv('ROS_SECURITY_ENABLE', 'true')
    monkeypatch.setenv('ROS_SECURITY_STRATEGY', 'Enforce')
    monkeypatch.setenv('ROS_SECURITY_KEYSTORE', str(keys))
    with monkeypatch.context() as patch:
        patch.setenv('ROS_SECURITY_ENCLAVE_OVERRIDE', '/observer')
        graph = Graph(tmp_path, domain)
    yield graph
    assert set(graph.close()) <= {0}


def test_secure_nodes_answer_each_other_and_nobody_else(
    secured: Graph, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ('edge', 'server'):
        secured.start(name, '--enclave', f'/{name}', bundle=tiny_bundle.path).ready()
    images = secured.publisher(Image, 'image')
    detections = secured.record(Detection2DArray, 'detections')
    stamps: list[Header] = []

    def answered() -> bool:
        stamps.append(header(len(stamps)))
        images.publish(image_msg(street_image(96, 64), stamps[-1]))
        time.sleep(0.1)
        return bool(detections)

    wait_for(answered, 'an answer')
    assert detections[0].header in stamps

    # with a certificate, but without the right
    with pytest.raises(rclpy_implementation.RCLError):
        secured.node.create_publisher(FeatureMap, 'features', RELIABLE)

    # without a certificate; as a process of its own, for a middleware may hold a domain per process
    monkeypatch.setenv('ROS_SECURITY_ENABLE', 'false')
    stranger = NodeProcess(['-c', STRANGER], secured.domain, tmp_path / 'stranger.log')
    assert stranger.process.wait(PATIENCE_S) == 0
    assert stranger.log.split('\n')[-2] == '0 0'
