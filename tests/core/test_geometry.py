# SPDX-License-Identifier: Apache-2.0
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mtl_split_core.errors import ImageError, PacketError, RefusalReason
from mtl_split_core.geometry import MAX_SIDE, PAD_VALUE, Letterbox

sides = st.integers(1, 4096)
input_sides = st.integers(1, 1024)


@pytest.mark.parametrize(
    ('sizes', 'expected'),
    [
        ((480, 360, 480, 360), (1.0, 0, 0)),
        ((480, 360, 480, 368), (1.0, 0, 4)),
        ((640, 360, 320, 320), (0.5, 0, 70)),
        ((360, 640, 320, 320), (0.5, 70, 0)),
        ((48, 32, 96, 64), (2.0, 0, 0)),
    ],
)
def test_fit(sizes: tuple[int, int, int, int], expected: tuple[float, int, int]) -> None:
    box = Letterbox.fit(*sizes)
    assert (box.scale, box.left, box.top) == expected


@given(sides, sides, input_sides, input_sides)
def test_fit_lies_inside_and_passes_its_own_check(a: int, b: int, c: int, d: int) -> None:
    box = Letterbox.fit(a, b, c, d)
    assert 0 <= box.left <= c - box.scaled_width
    assert 0 <= box.top <= d - box.scaled_height
    assert box.scaled_width == c or box.scaled_height == d
    replace(box, scale=float(np.float32(box.scale))).validate()


@given(sides, sides, input_sides, input_sides, st.integers(0, 2**32 - 1))
def test_boxes_there_and_back(a: int, b: int, c: int, d: int, seed: int) -> None:
    box = Letterbox.fit(a, b, c, d)
    corners = np.random.default_rng(seed).uniform(0, 1, (5, 2, 2)) * [a, b]
    boxes = np.sort(corners, axis=1).reshape(5, 4).astype(np.float32)
    mapped = box.boxes_to_input(boxes)
    limits = [box.left, box.top, box.left + box.scaled_width, box.top + box.scaled_height]
    assert (mapped[:, :2] >= np.array(limits[:2]) - 1e-2).all()
    assert (mapped[:, 2:] <= np.array(limits[2:]) + 1e-2).all()
    # The rounding of float32 input pixels, in source pixels.
    factor = min(box.scaled_width / a, box.scaled_height / b)
    atol = 4e-7 * max(c, d) / factor + 1e-6 * max(a, b)
    np.testing.assert_allclose(box.boxes_to_source(mapped), boxes, rtol=0, atol=atol)


def test_boxes_are_clipped_to_the_source() -> None:
    box = Letterbox.fit(640, 360, 320, 320)
    boxes = np.array([[-5, 0, 400, 320], [10, 80, 20, 90]], np.float32)
    np.testing.assert_allclose(
        box.boxes_to_source(boxes), [[0, 0, 640, 360], [20, 20, 40, 40]], atol=1e-4
    )
    assert box.boxes_to_source(np.zeros((0, 4), np.float32)).shape == (0, 4)


def test_apply_without_work_is_the_image_itself() -> None:
    image = np.zeros((64, 96, 3), np.uint8)
    assert Letterbox.fit(96, 64, 96, 64).apply(image) is image


def test_apply_pads_and_centres() -> None:
    image = np.full((40, 96, 3), 7, np.uint8)
    result = Letterbox.fit(96, 40, 96, 64).apply(image)
    assert result.shape == (64, 96, 3)
    assert (result[12:52] == 7).all()
    assert (result[:12] == PAD_VALUE).all()
    assert (result[52:] == PAD_VALUE).all()


@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 100), st.integers(1, 100))
def test_apply_and_mask_have_the_promised_sizes(a: int, b: int, c: int, d: int) -> None:
    box = Letterbox.fit(a, b, c, d)
    assert box.apply(np.zeros((b, a, 3), np.uint8)).shape == (d, c, 3)
    assert box.mask_to_source(np.zeros((d, c), np.uint8)).shape == (b, a)


@pytest.mark.parametrize('size', [(96, 40), (192, 80), (48, 20), (70, 110)])
def test_mask_meets_the_pixels_it_came_from(size: tuple[int, int]) -> None:
    width, height = size
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = 255
    box = Letterbox.fit(width, height, 96, 64)
    mask = (box.apply(image)[..., 0] > 127).astype(np.uint8)
    found = box.mask_to_source(mask)
    wrong: NDArray[np.bool_] = found != (image[..., 0] > 127)
    # At most one line of pixels along the edge of the bright quarter.
    assert wrong.sum() <= width + height


def test_mask_without_resize_is_a_view() -> None:
    mask = np.zeros((64, 96), np.uint8)
    assert np.shares_memory(Letterbox.fit(96, 40, 96, 64).mask_to_source(mask), mask)


@pytest.mark.parametrize('size', [(0, 10), (10, 0), (MAX_SIDE + 1, 10), (MAX_SIDE, MAX_SIDE)])
def test_sizes_out_of_range(size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match=str(size[0])):
        Letterbox.fit(*size, 96, 64)


@pytest.mark.parametrize(
    'image',
    [np.zeros((40, 96, 4), np.uint8), np.zeros((41, 96, 3), np.uint8), np.zeros((40, 96, 3))],
)
def test_apply_refuses_another_image(image: NDArray[np.uint8]) -> None:
    with pytest.raises(ImageError, match='expected uint8'):
        Letterbox.fit(96, 40, 96, 64).apply(image)


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        ('scale', math.nan),
        ('scale', math.inf),
        ('scale', 0.0),
        ('scale', -0.5),
        ('scale', 0.5000001),
        ('left', 1),
        ('top', 69),
        ('source_width', 0),
        ('source_width', 641),
        ('source_height', 65535),
        ('input_width', 0),
    ],
)
def test_validate_refuses(field: str, value: Any) -> None:
    box = replace(Letterbox.fit(640, 360, 320, 320), **{field: value})
    with pytest.raises(PacketError) as info:
        box.validate()
    assert info.value.reason is RefusalReason.GEOMETRY
