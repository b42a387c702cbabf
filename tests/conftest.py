# SPDX-License-Identifier: Apache-2.0
"""Fixtures of all tests."""

import os
import signal
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from tests.lab_rights import need_lab
from tests.tiny_bundle import make_tiny_bundle

from mtl_split_core.bundle import Bundle

# A shell without job control starts its background jobs with SIGINT ignored, and every process
# below inherits that: Ctrl-C could not be tested there.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Before torch comes: on networks as small as these its threads mostly wait for each other.
os.environ.setdefault('OMP_NUM_THREADS', '1')

# The same examples each time, however long a busy machine takes for one.
settings.register_profile(
    'repeatable',
    deadline=None,
    database=None,
    derandomize=True,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile('repeatable')

OTHER_HALF = pytest.StashKey[int]()
"""How many tests were left out by --half."""
WORKERS_SAY = 'other_half'
"""The same in what a process of pytest-xdist hands over when it ends."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what `pytest --help` says of these."""
    parser.addoption(
        '--regenerate-golden',
        action='store_true',
        help='write tests/core/golden/ anew from the present code, after a wanted change of the '
        'bitstream; raise CODEC_VERSIONS with it',
    )
    parser.addoption(
        '--half',
        choices=['untimed', 'timed'],
        help='timed: only tests of real time (real_time, ros), which mostly wait and may run '
        'beside each other; untimed: only the others, which compute and would disturb them',
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give a test of real time a second chance, as `colcon test --retest-until-pass` does.

    Whether a deadline is met depends on what else runs on the machine. A bug fails twice; the
    summary names what failed once, and says how. Also leave out what is not of the chosen half.
    """
    halves: dict[str, list[pytest.Item]] = {'untimed': [], 'timed': []}
    for item in items:
        marker = item.get_closest_marker('real_time') or item.get_closest_marker('ros')
        if marker:
            item.add_marker(pytest.mark.flaky(reruns=1))
        timed = marker and not marker.kwargs.get('beside')
        halves['timed' if timed else 'untimed'].append(item)
    if chosen := config.getoption('half'):
        items[:] = halves.pop(chosen)
        (others,) = halves.values()
        config.hook.pytest_deselected(items=others)
        config.stash[OTHER_HALF] = len(others)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Let a half pass that has nothing to do, if all that was asked for is of the other half."""
    config, nothing = session.config, pytest.ExitCode.NO_TESTS_COLLECTED
    others = config.stash.get(OTHER_HALF, 0)
    if hasattr(config, 'workeroutput'):
        config.workeroutput[WORKERS_SAY] = others
    elif others and exitstatus == nothing:
        session.exitstatus = pytest.ExitCode.OK


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what was left out from a process that collected (pytest-xdist); this one does not."""
    node.config.stash[OTHER_HALF] = getattr(node, 'workeroutput', {}).get(WORKERS_SAY, 0)


@pytest.fixture(scope='session')
def lab_rights() -> None:
    """Leave out what needs network namespaces where this machine gives no rights to them."""
    from mtl_split_tools.lab import why_not  # noqa: PLC0415  most tests need nothing of it

    need_lab(why_not())


@pytest.fixture(scope='session')
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Return a small real bundle on disk: detection, segmentation, time_of_day; 96x64 input."""
    return make_tiny_bundle(tmp_path_factory.mktemp('bundles') / 'tiny')
