# SPDX-License-Identifier: Apache-2.0
"""Both nodes over Zenoh and its router, as docs/two-machines.md has them, where it is installed."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.made_clone import make_bag
from tests.docs.runners import ZENOH, of
from tests.ros.harness import wait_for
from tests.tools.commands import started

from mtl_split_core.bundle import Bundle

PACKAGE = 'share/ament_index/resource_index/packages/rmw_zenoh_cpp'
EXPECTED = 'MTL_SPLIT_EXPECT_ZENOH'
"""Variable that is set where it has to be there, as in CI."""

FRAMES = 8
STOP_S = 20

pytestmark = pytest.mark.ros


@pytest.fixture
def shell(environment: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    """Variables of a shell that was told so, beside the router."""
    prefixes = environment.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    if not any(Path(prefix, PACKAGE).is_file() for prefix in prefixes):
        assert EXPECTED not in os.environ, 'rmw_zenoh_cpp is not installed'
        pytest.skip('rmw_zenoh_cpp is not installed')
    # the third is the router of the other machine
    exported, router, _ = of(ZENOH)['docs/two-machines.md']
    assert exported[0] == 'export'
    name, _, value = exported[1].partition('=')
    found = {**environment, name: value}
    log = tmp_path / 'router.log'
    with log.open('w') as file:
        process = subprocess.Popen(
            router, env=found, stdout=file, stderr=file, start_new_session=True
        )
    try:
        wait_for(
            lambda: 'Started Zenoh router' in log.read_text() or process.poll() is not None,
            'the router',
        )
        assert process.poll() is None, log.read_text()
        yield found
    finally:
        # to both, as Ctrl-C does: `ros2 run` leaves it to its child to end
        os.killpg(process.pid, signal.SIGINT)
        process.wait(STOP_S)


def test_every_frame_is_answered(
    shell: dict[str, str], tiny_bundle: Bundle, tmp_path: Path
) -> None:
    bag = make_bag(tmp_path / 'bag', '/image', FRAMES)
    out = tmp_path / 'out'
    options = ('--bundle', tiny_bundle.path, '--bag', bag, '--out', out, '--no-video')
    with started('demo', *options, env=shell) as process:
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    summary = json.loads((out / 'summary.json').read_text())
    assert summary['frames_out'] == summary['frames_in'] == FRAMES
