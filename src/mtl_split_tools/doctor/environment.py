# SPDX-License-Identifier: Apache-2.0
"""Is this shell and this machine fit to run the nodes: ROS, middleware, packages, limits."""

import os
import re
import resource
import shutil
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

from mtl_split_ros.discovery import DEFAULT_RMW, local_only
from mtl_split_ros.shared_memory import REMEDY, strangers
from mtl_split_ros.status import Level
from mtl_split_tools.doctor.finding import Finding

ROS, AREA = 'ROS 2', 'environment'
SAFE_DOMAINS = 101
"""Beyond it the ports of a domain overlap those that Linux gives to anybody."""
LAST_DOMAIN = 232
RANGES = ('SUBNET', 'LOCALHOST', 'OFF', 'SYSTEM_DEFAULT')
LEAST_BUFFER = 212_992
"""What Linux comes with; holds a few feature maps."""
PICTURE_BUFFER = 4_194_304
LEAST_FILES = 1024
LEAST_SHARED_MEMORY = 16 * 2**20
"""Fast DDS takes half a megabyte for each process."""

_SHOWN = 4
_SOURCE = 'source ros2_ws/env.sh (scripts/setup builds what it needs)'


def check_environment(environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Look at shell and machine.

    Args:
        environment: Variables of the process.

    Yields:
        The findings.
    """
    yield from _check_ros(environment)
    yield from _check_middleware(environment)
    yield _check_domain(environment)
    yield from _check_discovery(environment)
    yield from check_packages(environment, Path(__file__).resolve().parents[3] / 'requirements')
    middleware = environment.get('RMW_IMPLEMENTATION', '')
    yield check_buffers(Path('/proc/sys/net/core'), middleware)
    yield from _check_limits(Path('/dev/shm'))
    yield from check_users(strangers(environment=environment))


def check_users(others: Sequence[str]) -> Iterator[Finding]:
    """Complain of other users who run ROS 2 here: no message goes from them to this one or back.

    Args:
        others: Their names.

    Yields:
        The finding, if there are any.
    """
    if others:
        what = f'shared memory of Fast DDS here is also that of {", ".join(others)}: no message '
        what += 'goes from one user to another'
        remedy = f'{REMEDY}; if all of theirs has ended: sudo rm /dev/shm/fast*'
        yield Finding(Level.WARN, AREA, what, remedy)


def describe_reach(environment: Mapping[str, str] = os.environ) -> str:
    """Return in which domain and how far this process looks for others."""
    domain = environment.get('ROS_DOMAIN_ID') or '0'
    if local_only(environment):
        return f'domain {domain}, this machine only'
    if environment.get('ROS_AUTOMATIC_DISCOVERY_RANGE') == 'OFF':
        return f'domain {domain}, discovery off'
    return f'domain {domain}, this subnet'


def _missing_modules() -> list[str]:
    found = []
    for name in ('rclpy', 'mtl_split.msg', 'vision_msgs'):
        try:
            spec = find_spec(name)
        except ModuleNotFoundError:
            spec = None
        if spec is None:
            found.append(name)
    return found


def _check_ros(environment: Mapping[str, str]) -> Iterator[Finding]:
    prefixes = environment.get('AMENT_PREFIX_PATH', '')
    missing = _missing_modules()
    if missing or not prefixes:
        what = ', '.join(missing) or 'AMENT_PREFIX_PATH'
        yield Finding(Level.ERROR, ROS, f'ROS 2 is not sourced: {what} not found', _SOURCE)
        return
    distribution = environment.get('ROS_DISTRO', 'from PyPI')
    yield Finding(
        Level.OK, ROS, f'ROS 2 {distribution}, first prefix {prefixes.split(os.pathsep)[0]}'
    )


def _check_middleware(environment: Mapping[str, str]) -> Iterator[Finding]:
    name = environment.get('RMW_IMPLEMENTATION') or DEFAULT_RMW
    shares = [
        Path(prefix) / 'share'
        for prefix in environment.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
        if prefix
    ]
    for share in shares:
        if (package := share / name / 'package.xml').is_file():
            number = ElementTree.parse(package).findtext('version')
            yield Finding(Level.OK, ROS, f'middleware {name} {number}')
            return
    if shares:
        index = 'ament_index/resource_index/rmw_typesupport/*'
        names = {path.name for share in shares for path in share.glob(index)}
        there = ', '.join(sorted(names - {'rmw_implementation'}))
        yield Finding(
            Level.ERROR,
            ROS,
            f'RMW_IMPLEMENTATION is {name}, which is not installed; there are: {there or "none"}',
            f'unset RMW_IMPLEMENTATION, or sudo apt install ros-jazzy-{name.replace("_", "-")}',
        )


def _check_domain(environment: Mapping[str, str]) -> Finding:
    text = environment.get('ROS_DOMAIN_ID') or '0'
    remedy = f'export ROS_DOMAIN_ID=0 on all machines alike, or another of 0 to {SAFE_DOMAINS}'
    if not text.isdecimal() or int(text) > LAST_DOMAIN:
        what = f"ROS_DOMAIN_ID is '{text}', allowed are 0 to {LAST_DOMAIN}"
        return Finding(Level.ERROR, ROS, what, remedy)
    if int(text) > SAFE_DOMAINS:
        what = f'ROS_DOMAIN_ID is {text}: its ports are also given to other programs by Linux'
        return Finding(Level.WARN, ROS, what, remedy)
    return Finding(Level.OK, ROS, f'ROS_DOMAIN_ID is {text}')


def _check_discovery(environment: Mapping[str, str]) -> Iterator[Finding]:
    reach = environment.get('ROS_AUTOMATIC_DISCOVERY_RANGE', '')
    remedy = 'export ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET on all machines alike'
    if reach and reach not in RANGES:
        what = f"ROS_AUTOMATIC_DISCOVERY_RANGE is '{reach}', allowed are {', '.join(RANGES)}"
        yield Finding(Level.ERROR, ROS, what, remedy)
    elif reach == 'OFF':
        what = 'ROS_AUTOMATIC_DISCOVERY_RANGE is OFF: nodes do not find each other'
        yield Finding(Level.ERROR, ROS, what, remedy)
    elif environment.get('ROS_LOCALHOST_ONLY') == '1':
        what = 'ROS_LOCALHOST_ONLY is 1 (and deprecated): other machines are not found'
        yield Finding(Level.WARN, ROS, what, f'unset ROS_LOCALHOST_ONLY; {remedy}')
    else:
        what = f'discovery range {reach or "SUBNET (the default)"}'
        yield Finding(Level.OK, ROS, what + (': this machine only' if reach == 'LOCALHOST' else ''))
    if peers := environment.get('ROS_STATIC_PEERS'):
        yield Finding(Level.OK, ROS, f'ROS_STATIC_PEERS is {peers}')


def read_pins(lock: Path) -> dict[str, set[str]]:
    """Return the versions that a lock takes, by package; more than one where it depends.

    Args:
        lock: Requirements file with exact versions.
    """
    found: dict[str, set[str]] = {}
    for line in lock.read_text().splitlines():
        if match := re.match(r'([\w.-]+)==([^ ;\\]+)', line):
            found.setdefault(match[1], set()).add(match[2])
    return found


def check_packages(environment: Mapping[str, str], locks: Path) -> Iterator[Finding]:
    """Compare the installed Python packages with the locked ones.

    Args:
        environment: Variables of the process.
        locks: Directory of the requirements files; it need not exist.

    Yields:
        The findings.
    """
    # beside an installed ROS 2 other versions are locked than with the one from PyPI
    from_pypi = find_spec('rclpy') and 'ROS_DISTRO' not in environment
    lock = locks / ('runtime.txt' if from_pypi else 'jazzy.txt')
    if not lock.is_file():
        yield Finding(Level.OK, AREA, 'no locks beside this installation, versions not compared')
        return
    missing, different = [], []
    named = {name for path in ('edge.in', 'runtime.in') for name in _asked(locks / path)}
    for name, versions in read_pins(lock).items():
        try:
            found = version(name)
        except PackageNotFoundError:
            # the rest may be for another Python
            missing += [name] if name in named else []
            continue
        if found not in versions:
            different.append(f'{name} {found} (locked: {", ".join(sorted(versions))})')
    remedy = 'scripts/setup runtime'
    if missing:
        what = f'Python packages missing: {_some(missing)}'
        yield Finding(Level.ERROR, AREA, what, remedy)
    if different:
        what = f'Python packages of other versions than locked: {_some(different)}'
        yield Finding(Level.WARN, AREA, what, remedy)
    if not missing and not different:
        yield Finding(Level.OK, AREA, f'Python packages as in requirements/{lock.name}')


def _asked(path: Path) -> list[str]:
    return re.findall(r'^(\w[\w-]*)', path.read_text(), re.MULTILINE)


def _some(names: list[str]) -> str:
    rest = len(names) - _SHOWN
    return ', '.join(names[:_SHOWN]) + (f' and {rest} more' if rest > 0 else '')


def check_buffers(settings: Path, middleware: str) -> Finding:
    """Judge what a socket receives into.

    Args:
        settings: Directory in which the kernel tells its limits, bytes.
        middleware: RMW_IMPLEMENTATION; '' for ROS's own choice, which is Fast DDS.
    """
    # Fast DDS takes the first as it is; others ask for a size and get up to the second
    names = ('rmem_default', 'rmem_max')
    values = ' '.join(f'net.core.{name}={PICTURE_BUFFER}' for name in names)
    remedy = f'sudo sysctl -w {values}'
    name = names['fastrtps' not in (middleware or 'rmw_fastrtps_cpp')]
    path = settings / name
    if not path.is_file():
        return Finding(Level.OK, AREA, f'{path} is not visible here, socket buffers unknown')
    size = int(path.read_text())
    what = f'sockets receive into {size} bytes (net.core.{name})'
    if size < LEAST_BUFFER:
        return Finding(Level.WARN, AREA, f'{what}: packets are lost in bursts', remedy)
    if size < PICTURE_BUFFER:
        what += ': enough for features; raw images of another machine want more'
        return Finding(Level.OK, AREA, what, remedy)
    return Finding(Level.OK, AREA, what)


def _check_limits(shared_memory: Path) -> Iterator[Finding]:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files != resource.RLIM_INFINITY and files < LEAST_FILES:
        what = f'a process may open {files} files only'
        yield Finding(Level.WARN, AREA, what, f'ulimit -n {LEAST_FILES}')
    memory = resource.getrlimit(resource.RLIMIT_AS)[0]
    if memory != resource.RLIM_INFINITY:
        what = f'the address space is limited to {memory / 2**20:.0f} MiB: networks may not load'
        yield Finding(Level.WARN, AREA, what, 'ulimit -v unlimited')
    if shared_memory.is_dir():
        free = shutil.disk_usage(shared_memory).free
        if free < LEAST_SHARED_MEMORY:
            yield Finding(
                Level.WARN,
                AREA,
                f'{shared_memory} has {free / 2**20:.1f} MiB left: Fast DDS falls back to UDP '
                'between the nodes of this machine',
                f'rm {shared_memory}/fastrtps_* while no node runs; docker run --shm-size=256m',
            )
            return
        what = f'{files} open files, {free / 2**20:.0f} MiB of shared memory'
        yield Finding(Level.OK, AREA, what)
