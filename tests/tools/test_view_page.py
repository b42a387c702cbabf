# SPDX-License-Identifier: Apache-2.0
"""The page of `mtl-split view`, as a browser draws it."""

import re
import socket
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.tools.browser import find_browser, opened
from tests.tools.commands import environment, started

pytest.importorskip('mtl_split.msg', reason='the workspace is not sourced')
pytest.importorskip('rerun', reason='the view group is not installed')

from sensor_msgs.msg import Image
from tests.tools.recordings import header, write_messages

from mtl_split_ros.images import to_image_msg

pytestmark = [pytest.mark.real_time, pytest.mark.slow]

PATIENCE_S = 90.0
LOOK_S = 1.0
COLOR = (230, 20, 200)
"""Of the picture: nothing else on the page has it. RGB."""
NEAR = 12
SHARE = 0.02


def free_port() -> int:
    with socket.socket() as free:
        free.bind(('', 0))
        port: int = free.getsockname()[1]
        return port


def share_of_color(screenshot: NDArray[np.uint8]) -> float:
    difference = np.abs(screenshot.astype(int) - np.array(COLOR[::-1])).max(axis=2)
    return float((difference < NEAR).mean())


@pytest.mark.skipif(not find_browser(), reason='no Chromium on this machine')
def test_a_browser_draws_the_picture(tmp_path: Path) -> None:
    picture: Image = to_image_msg(np.full((90, 160, 3), COLOR, np.uint8), 'rgb8', header(0))
    bag = write_messages(tmp_path / 'bag', [('/image', 0, picture)])
    options = ['--no-browser', '--port', free_port(), '--data-port', free_port()]
    with started('view', bag, *options, env=environment()) as process:
        assert process.stdout
        address = re.search(r'http://\S+', process.stdout.readline())
        assert address
        browser = find_browser()
        assert browser
        with opened(browser, address[0], tmp_path / 'profile') as page:
            deadline = time.monotonic() + PATIENCE_S
            while share_of_color(page.screenshot(tmp_path / 'page.png')) < SHARE:
                assert time.monotonic() < deadline, f'look at {tmp_path / "page.png"}'
                time.sleep(LOOK_S)
