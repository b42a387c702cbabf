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


@pytest.fixture(scope='session')
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Return a small real bundle on disk: detection, segmentation, time_of_day; 96x64 input."""
    return make_tiny_bundle(tmp_path_factory.mktemp('bundles') / 'tiny')
