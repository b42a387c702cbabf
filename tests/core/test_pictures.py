# SPDX-License-Identifier: Apache-2.0
from contextlib import suppress

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tiny_bundle import street_image

from mtl_split_core.errors import ImageError, PacketError, RefusalReason
from mtl_split_core.pictures import (
    PICTURE_QUALITY,
    PictureFormat,
    decode_picture,
    encode_picture,
)

KINDS: tuple[PictureFormat, ...] = ('jpeg', 'webp')
PICTURE = street_image(96, 64)


@pytest.mark.parametrize('kind', KINDS)
def test_round_trip_keeps_colours_and_grows_with_quality(kind: PictureFormat) -> None:
    sizes = []
    for quality in PICTURE_QUALITY:
        payload = encode_picture(PICTURE, kind, quality)
        sizes.append(len(payload))
    back = decode_picture(memoryview(payload), kind, 96, 64)
    assert back.shape == PICTURE.shape
    assert np.abs(back.astype(int) - PICTURE).mean() < 4
    assert sizes == sorted(sizes)


def broken(kind: PictureFormat) -> list[bytes]:
    good = encode_picture(PICTURE, kind, 80)
    bad = [b'', good[:-1], good[: len(good) // 2], good[2:], b'\xff\xd8\xff\xd9', b'RIFF']
    bad.append(encode_picture(PICTURE, 'webp' if kind == 'jpeg' else 'jpeg', 80))
    bad.append(encode_picture(street_image(96, 65), kind, 80))
    bad.append(cv2.imencode('.png', PICTURE)[1].tobytes())
    return bad


def test_broken_pictures_are_refused() -> None:
    progressive = cv2.imencode('.jpg', PICTURE, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    huge = bytearray(encode_picture(PICTURE, 'jpeg', 80))
    start = huge.index(b'\xff\xc0')
    huge[start + 5 : start + 9] = b'\xff\xff\xff\xff'
    cases = [(kind, data) for kind in KINDS for data in broken(kind)]
    cases += [('jpeg', progressive), ('jpeg', bytes(huge))]
    for kind, data in cases:
        with pytest.raises(PacketError) as info:
            decode_picture(data, kind, 96, 64)
        assert info.value.reason is RefusalReason.PAYLOAD


@given(st.sampled_from(KINDS), st.integers(0, 10_000), st.binary(min_size=1, max_size=8))
def test_damage_inside_is_refused_or_gives_a_picture(
    kind: PictureFormat, position: int, noise: bytes
) -> None:
    data = bytearray(encode_picture(PICTURE, kind, 50))
    position %= len(data)
    data[position : position + len(noise)] = noise
    with suppress(PacketError):
        assert decode_picture(bytes(data), kind, 96, 64).shape == (64, 96, 3)


def test_a_picture_too_large_for_the_format() -> None:
    with pytest.raises(ImageError, match='16400x2'):
        encode_picture(np.zeros((2, 16400, 3), np.uint8), 'webp', 50)
