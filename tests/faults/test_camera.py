# SPDX-License-Identifier: Apache-2.0
"""A camera that stops, changes, breaks, and whose time jumps."""

import time

import pytest
from tests.allowance import within
from tests.faults.drive import Drive

DRIVE = 'small'
pytestmark = [pytest.mark.ros, pytest.mark.slow]
PROMPT_S = 0.5
"""From the first good image on to its answer, or that of one soon after it."""


def resumes(drive: Drive, since: float) -> None:
    """Answers to images that were published from now on come promptly, and to most of them."""
    drive.consumer.wait_for_answers(1, since=since)
    time.sleep(max(0.0, since + 2.5 - time.monotonic()))
    pairs = drive.pairs(since, since + 2.0)
    assert pairs[0][1].at - since <= within(PROMPT_S)
    images = [image for image in drive.camera.published(since) if image.at < since + 2.0]
    assert len(pairs) >= 0.7 * len(images) > 5


def test_stamps_jump_back(drive: Drive) -> None:
    for _ in range(2):
        jumped = time.monotonic()
        drive.camera.say('back 20')
        time.sleep(0.2)
        resumes(drive, time.monotonic())
        drive.wait_for_finding('edge: image', 'stamps went back by 1.2', jumped)


def test_stamps_of_zero(drive: Drive) -> None:
    began = time.monotonic()
    drive.camera.say('zero on')
    time.sleep(0.2)
    resumes(drive, time.monotonic())
    drive.wait_for_finding('edge: image', 'stamps of zero', began)
    assert 'stamp of zero' in drive.edge.log
    drive.camera.say('zero off')
    time.sleep(0.2)
    resumes(drive, time.monotonic())


def test_camera_stops(drive: Drive) -> None:
    stopped = time.monotonic()
    drive.camera.say('rate 0')
    drive.wait_for_finding('edge: image', 'no message on /image/compressed', stopped)
    drive.camera.say('rate 10')
    resumes(drive, time.monotonic())


def test_images_change_size(drive: Drive) -> None:
    for size in ('320 240', '641 97', ''):
        changed = time.monotonic()
        drive.camera.say(f'size {size}')
        time.sleep(0.2)
        resumes(drive, time.monotonic())
        text = f'images are {size.replace(" ", "x") or "480x360"} now'
        drive.wait_for_finding('edge: image', text, changed, level=0)


def test_broken_images(drive: Drive) -> None:
    broken = time.monotonic()
    drive.camera.say('broken on')
    drive.wait_for_finding('edge: image', 'refused', broken, level=2)
    drive.camera.say('broken off')
    time.sleep(0.2)
    resumes(drive, time.monotonic())
    assert not [image for image, _ in drive.pairs(broken) if not image.good]
