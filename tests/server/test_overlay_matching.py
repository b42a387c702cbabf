# SPDX-License-Identifier: Apache-2.0
from mtl_split_server.overlay_matching import OverlayMatcher


def test_whichever_comes_first() -> None:
    matcher: OverlayMatcher[str, str] = OverlayMatcher()
    assert matcher.image(('a', 1), 'image 1') is None
    assert matcher.result(('a', 1), 'result 1') == ('image 1', 'result 1')
    assert matcher.result(('a', 2), 'result 2') is None
    assert matcher.image(('a', 2), 'image 2') == ('image 2', 'result 2')
    assert matcher.result(('a', 2), 'again') is None


def test_only_the_exact_stamp_of_the_same_camera() -> None:
    matcher: OverlayMatcher[str, str] = OverlayMatcher()
    matcher.image(('a', 10), 'image')
    assert matcher.result(('a', 11), 'result') is None
    assert matcher.result(('b', 10), 'result') is None


def test_few_are_kept() -> None:
    matcher: OverlayMatcher[int, int] = OverlayMatcher(keep=3)
    for stamp in range(5):
        matcher.image(('a', stamp), stamp)
        matcher.result(('b', stamp), stamp)
    assert matcher.result(('a', 1), 1) is None
    assert matcher.result(('a', 2), 2) == (2, 2)
    assert matcher.image(('b', 1), 1) is None
    assert len(matcher._images) <= 3
    assert len(matcher._results) <= 3


def test_a_jump_back_forgets_the_pass_before() -> None:
    matcher: OverlayMatcher[str, str] = OverlayMatcher()
    for stamp in (100, 200):
        matcher.image(('a', stamp), f'first {stamp}')
    matcher.image(('b', 150), 'other camera')
    matcher.result(('a', 50), 'second pass')
    assert matcher.image(('a', 50), 'second 50') == ('second 50', 'second pass')
    assert matcher.result(('a', 100), 'result') is None
    assert matcher.result(('b', 150), 'result') == ('other camera', 'result')
    matcher.clear()
    assert matcher.result(('a', 50), 'result') is None


def test_stamps_of_zero_give_the_newest() -> None:
    matcher: OverlayMatcher[int, int] = OverlayMatcher()
    for image in range(3):
        matcher.image(('a', 0), image)
    assert matcher.result(('a', 0), 7) == (2, 7)
