# SPDX-License-Identifier: Apache-2.0
"""Keys made as security/README.md says, and what a policy grants beside what a node has."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rclpy.node import Node, NodeNameNonExistentError
from tests.domains import own_domain
from tests.ros.harness import PATIENCE_S, NodeProcess

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


def refused(
    monkeypatch: pytest.MonkeyPatch,
    directory: Path,
    name: str,
    *program: object,
    **variables: str,
) -> tuple[int, list[str]]:
    """Start a process with ROS_SECURITY_ variables; give exit code and lines, rcl's INFO aside.

    Args:
        monkeypatch: Sets the variables.
        directory: For the log.
        name: Of the node, or of the log.
        program: What Python runs, default the node.
        variables: Without ROS_SECURITY_.
    """
    for key, value in variables.items():
        monkeypatch.setenv(f'ROS_SECURITY_{key}', value)
    node = ('-m', f'mtl_split_{name}', '--ros-args', '--enclave', f'/{name}')
    log = directory / f'{name}.log'
    process = NodeProcess([*map(str, program or node)], own_domain(), log)
    try:
        code = process.process.wait(PATIENCE_S)
    finally:
        process.end()
    return code, [line for line in process.log.splitlines() if not line.startswith('[INFO]')]


def empty_keystore(directory: Path, *enclaves: str) -> dict[str, str]:
    """Settings with which no middleware starts: told to be secure, without keys."""
    for enclave in enclaves:
        (directory / 'enclaves' / enclave).mkdir(parents=True)
    return {'ENABLE': 'true', 'STRATEGY': 'Enforce', 'KEYSTORE': str(directory)}


def lacking(directory: Path) -> str:
    """Say why nothing can run securely here, '' where it can."""
    settings = empty_keystore(directory, 'edge')
    with pytest.MonkeyPatch.context() as patch:
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
</topics><topics subscribe="ALLOW"><topic>image/compressed</topic><topic>detections</topic>
<topic>overlay</topic></topics>
<services reply="ALLOW">{}</services>
</profile></profiles></enclave></enclaves></policy>"""


@dataclass(frozen=True, slots=True)
class Keystore:
    """Keys of all enclaves of the README, and of an observer; they hold for one domain."""

    path: Path
    domain: int

    def set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Tell this process and its children to be secure by these keys."""
        monkeypatch.setenv('ROS_DOMAIN_ID', str(self.domain))
        monkeypatch.setenv('ROS_SECURITY_ENABLE', 'true')
        monkeypatch.setenv('ROS_SECURITY_STRATEGY', 'Enforce')
        monkeypatch.setenv('ROS_SECURITY_KEYSTORE', str(self.path))

    def permit(self, enclave: str, policy_file: Path) -> None:
        """Give an enclave other rights."""
        self.run(f'ros2 security create_permission ~/keys {enclave} {policy_file}')

    def run(self, text: str) -> None:
        """Run lines of a shell in security/; the keystore is that of the README."""
        # with another directory, and without the ROS 2 that is sourced already
        text = re.sub(r'^(source|cd) .*$', '', text, flags=re.MULTILINE)
        subprocess.run(
            ['bash', '-euc', text.replace('~/keys', str(self.path))],
            cwd=SECURITY,
            env={**os.environ, 'ROS_DOMAIN_ID': str(self.domain)},
            check=True,
        )


def make_keys(directory: Path) -> Keystore:
    """Make keys as the README has it; skip where nothing can run securely."""
    probe = directory / 'probe'
    probe.mkdir()
    if text := lacking(probe):
        assert 'MTL_SPLIT_EXPECT_SECURITY' not in os.environ, text
        pytest.skip(text)
    keystore = Keystore(directory / 'keys', own_domain())
    blocks = re.findall(r'^```bash$(.*?)^```$', (SECURITY / 'README.md').read_text(), FLAGS)
    text = '\n'.join(block for block in blocks if '~/keys/' in block or 'create_' in block)
    keystore.run(text)
    services = re.findall(r'<service>.*</service>', (SECURITY / 'policy.xml').read_text())
    own = directory / 'observer.xml'
    own.write_text(OBSERVER.format(''.join(dict.fromkeys(services))))
    keystore.run('ros2 security create_enclave ~/keys /observer')
    keystore.permit('/observer', own)
    return keystore
