# SPDX-License-Identifier: Apache-2.0
"""Told to be secure, a node is secure or does not start; what it has on the graph is its policy."""

import re
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from mtl_split.msg import FeatureMap
from rclpy.impl.implementation_singleton import rclpy_implementation
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tests.ros.harness import (
    PATIENCE_S,
    RELIABLE,
    Graph,
    NodeProcess,
    header,
    image_msg,
    wait_for,
)
from tests.ros.secured import (
    SECURITY,
    Keystore,
    Right,
    empty_keystore,
    on_the_graph,
    policy,
    refused,
)
from tests.tiny_bundle import street_image
from vision_msgs.msg import Detection2DArray

from mtl_split_core.bundle import Bundle
from mtl_split_ros.security import SecurityError, check_settings

pytestmark = pytest.mark.ros(beside=True)


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
    settings = empty_keystore(tmp_path, 'edge')
    values = {**settings, 'KEYSTORE': '', **variables}
    if values['KEYSTORE'] == '.':
        values['KEYSTORE'] = settings['KEYSTORE']
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


def test_private_keys_are_for_their_owner_alone(keystore: Keystore) -> None:
    made = [path for path in keystore.path.rglob('*key.pem') if not path.is_symlink()]
    # the observer is none of the README
    keys = [path for path in made if path.parent.name != 'observer']
    assert len(keys) > 4
    assert [path for path in keys if path.stat().st_mode & 0o077] == []


STRANGER = """
import rclpy, time
from mtl_split.msg import FeatureMap
rclpy.init()
node = rclpy.create_node('stranger')
publisher = node.create_publisher(FeatureMap, 'features', 1)
time.sleep(3)
print(publisher.get_subscription_count(), node.count_publishers('detections'))
"""


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
