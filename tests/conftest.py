# SPDX-License-Identifier: Apache-2.0
"""Fixtures of all tests."""

import signal

import pytest
from tests.tiny_bundle import make_tiny_bundle

from mtl_split_core.bundle import Bundle

# A shell without job control starts its background jobs with SIGINT ignored, and every process
# below inherits that: Ctrl-C could not be tested there.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the switch that writes golden bitstreams anew."""
    parser.addoption(
        '--regenerate-golden',
        action='store_true',
        help='write tests/core/golden/ anew from the present code, after a wanted change of the '
        'bitstream; raise CODEC_VERSIONS with it',
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give a test of real time a second chance, as `colcon test --retest-until-pass` does.

    Whether a deadline is met depends on what else runs on the machine. A bug fails twice; the
    summary names what failed once, and says how.
    """
    for item in items:
        if item.get_closest_marker('real_time') or item.get_closest_marker('ros'):
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope='session')
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Return a small real bundle on disk: detection, segmentation, time_of_day; 96x64 input."""
    return make_tiny_bundle(tmp_path_factory.mktemp('bundles') / 'tiny')
