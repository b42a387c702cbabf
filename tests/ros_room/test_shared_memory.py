# SPDX-License-Identifier: Apache-2.0
"""Whose shared memory is there, by the files that Fast DDS leaves."""

import os
import pwd
from pathlib import Path

import pytest

from mtl_split_ros.shared_memory import strangers

ME = os.geteuid()


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    for name in ('fastrtps_port7412', 'fastrtps_0123_el', 'psm_of_others'):
        (tmp_path / name).touch()
    return tmp_path


def test_files_of_this_user_are_no_strangers(memory: Path) -> None:
    assert strangers(memory, {}) == ()


@pytest.mark.parametrize('middleware', ['', 'rmw_fastrtps_cpp', 'rmw_fastrtps_dynamic_cpp'])
def test_each_stranger_is_named_once(memory: Path, middleware: str) -> None:
    environment = {'RMW_IMPLEMENTATION': middleware}
    assert strangers(memory, environment, uid=ME + 1) == (pwd.getpwuid(ME).pw_name,)


@pytest.mark.parametrize('only', ['fastrtps_port7412', 'fastdds_port7649'])
def test_old_and_new_names_of_the_files(tmp_path: Path, only: str) -> None:
    (tmp_path / only).touch()
    assert strangers(tmp_path, {}, uid=ME + 1)


@pytest.mark.parametrize(
    ('domain', 'port', 'seen'),
    [('', 7411, True), ('0', 7650, False), ('7', 9150, True), ('7', 7411, False)],
)
def test_other_domains_are_none_of_its_business(
    tmp_path: Path, domain: str, port: int, seen: bool
) -> None:
    (tmp_path / f'fastrtps_port{port}').touch()
    (tmp_path / f'fastrtps_port{port}_el').touch()
    assert bool(strangers(tmp_path, {'ROS_DOMAIN_ID': domain}, uid=ME + 1)) is seen


@pytest.mark.parametrize(
    'environment',
    [
        {'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4'},
        {'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv6'},
        {'RMW_IMPLEMENTATION': 'rmw_zenoh_cpp'},
        {'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'},
    ],
)
def test_who_uses_none_has_no_strangers(memory: Path, environment: dict[str, str]) -> None:
    assert strangers(memory, environment, uid=ME + 1) == ()


@pytest.mark.parametrize(
    'local', [{'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}, {'ROS_LOCALHOST_ONLY': '1'}]
)
def test_on_this_machine_alone_it_is_used_always(memory: Path, local: dict[str, str]) -> None:
    environment = {'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4', **local}
    assert strangers(memory, environment, uid=ME + 1)


def test_a_user_without_a_name_is_a_number(memory: Path) -> None:
    if ME != 0:
        pytest.skip('only root may give files away')
    for path in memory.iterdir():
        os.chown(path, 54321, 54321)
    assert strangers(memory, {}) == ('54321',)


def test_no_shared_memory_at_all(tmp_path: Path) -> None:
    assert strangers(tmp_path / 'none', {}) == ()
