# SPDX-License-Identifier: Apache-2.0
import struct
import zlib
from array import array

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from tests.tiny_bundle import street_image

from mtl_split_core.errors import ImageError
from mtl_split_ros.images import to_image_msg, to_rgb

Picture = NDArray[np.uint8]
RGB = street_image(31, 17)


def encoded(encoding: str, rgb: Picture = RGB) -> Picture:
    codes = {
        'bgr8': cv2.COLOR_RGB2BGR,
        'rgba8': cv2.COLOR_RGB2RGBA,
        'bgra8': cv2.COLOR_RGB2BGRA,
        'mono8': cv2.COLOR_RGB2GRAY,
    }
    return np.asarray(cv2.cvtColor(rgb, codes[encoding]) if encoding in codes else rgb, np.uint8)


def image_msg(pixels: Picture, encoding: str, padding: int = 0) -> Image:
    rows = pixels.reshape(pixels.shape[0], -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    message.step = rows.shape[1]
    message.data = array('B', rows.tobytes())
    return message


def compressed_msg(suffix: str, name: str, pixels: Picture) -> CompressedImage:
    data = cv2.imencode(suffix, pixels)[1].tobytes()
    return CompressedImage(format=name, data=array('B', data))


@pytest.mark.parametrize('padding', [0, 5, 64])
@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8', 'rgba8', 'bgra8'])
def test_every_colour_encoding_in_any_step(encoding: str, padding: int) -> None:
    rgb = to_rgb(image_msg(encoded(encoding), encoding, padding))
    assert rgb.dtype == np.uint8
    np.testing.assert_array_equal(rgb, RGB)


@pytest.mark.parametrize('padding', [0, 3])
def test_mono_becomes_three_equal_channels(padding: int) -> None:
    grey = encoded('mono8')
    rgb = to_rgb(image_msg(grey, 'mono8', padding))
    np.testing.assert_array_equal(rgb, np.stack([grey] * 3, -1))


def test_rgb_without_padding_is_not_copied() -> None:
    message = image_msg(RGB, 'rgb8')
    assert np.shares_memory(to_rgb(message), np.frombuffer(message.data, np.uint8))


def test_data_may_be_longer_than_the_image() -> None:
    message = image_msg(RGB, 'rgb8')
    message.data.extend(b'more')
    np.testing.assert_array_equal(to_rgb(message), RGB)


def test_8uc3_only_when_told_how() -> None:
    message = image_msg(encoded('bgr8'), '8UC3')
    with pytest.raises(ImageError, match=r"'8UC3'.*untyped_encoding"):
        to_rgb(message)
    np.testing.assert_array_equal(to_rgb(message, 'bgr8'), RGB)


@pytest.mark.parametrize(
    ('encoding', 'remedy'),
    [
        ('bayer_rggb8', 'image_proc'),
        ('yuv422_yuy2', 'image_proc'),
        ('nv12', 'image_proc'),
        ('mono16', 'rgb8, bgr8, rgba8, bgra8, mono8'),
        ('', 'rgb8, bgr8'),
    ],
)
def test_other_encodings_are_refused_with_the_remedy(encoding: str, remedy: str) -> None:
    with pytest.raises(ImageError, match=f'{encoding!r}.*{remedy}'):
        to_rgb(image_msg(RGB, encoding))


@pytest.mark.parametrize(
    ('field', 'value', 'text'),
    [
        ('height', 0, '31x0'),
        ('width', 0, '0x17'),
        ('width', 20000, '20000x17'),
        ('step', 30, 'step is 30.*93'),
        ('height', 18, '1581 bytes.*1674'),
        ('data', array('B'), '0 bytes.*1581'),
    ],
)
def test_fields_that_do_not_fit_are_named(field: str, value: object, text: str) -> None:
    message = image_msg(RGB, 'rgb8')
    setattr(message, field, value)
    with pytest.raises(ImageError, match=text):
        to_rgb(message)


@pytest.mark.parametrize('name', ['png', 'bgr8; png compressed bgr8', 'rgb8; png compressed bgr8'])
def test_png_is_exact(name: str) -> None:
    message = compressed_msg('.png', name, encoded('bgr8'))
    np.testing.assert_array_equal(to_rgb(message), RGB)


@pytest.mark.parametrize('name', ['jpeg', 'jpg', 'rgb8; jpeg compressed bgr8'])
def test_jpeg(name: str) -> None:
    rgb = to_rgb(compressed_msg('.jpg', name, encoded('bgr8')))
    # a small picture with sharp edges in halved colour resolution
    assert np.abs(rgb.astype(int) - RGB).mean() < 10
    assert np.abs(rgb.astype(int) - RGB[..., ::-1]).mean() > 20


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_grey_pictures(suffix: str) -> None:
    grey = encoded('mono8')
    rgb = to_rgb(compressed_msg(suffix, 'mono8; jpeg compressed mono8', grey))
    assert rgb.shape == RGB.shape
    assert np.abs(rgb.astype(int) - grey[..., None]).mean() < 4


def test_a_png_with_alpha() -> None:
    np.testing.assert_array_equal(to_rgb(compressed_msg('.png', 'png', encoded('bgra8'))), RGB)


def test_a_picture_padded_with_zeros() -> None:
    message = compressed_msg('.jpg', 'jpeg', encoded('bgr8'))
    before = to_rgb(message)
    message.data.extend(bytes(100))
    np.testing.assert_array_equal(to_rgb(message), before)


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
@pytest.mark.parametrize('keep', [0.9, 0.5, 0.05])
def test_a_truncated_picture_is_refused(suffix: str, keep: float) -> None:
    message = compressed_msg(suffix, 'jpeg', encoded('bgr8'))
    message.data = message.data[: int(len(message.data) * keep)]
    with pytest.raises(ImageError, match=r'cut on its way|neither JPEG nor PNG'):
        to_rgb(message)


@pytest.mark.parametrize('data', [b'', b'GIF89a', b'\xff\xd8\xff\xd9', bytes(1000)])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError, match=f"'jpeg', {len(data)} bytes"):
        to_rgb(CompressedImage(format='jpeg', data=array('B', data)))


@pytest.mark.parametrize('size', [(30_000, 30_000), (16_384, 16_384), (65_535, 1), (4096, 4097)])
def test_a_small_file_that_claims_a_giant_picture(size: tuple[int, int]) -> None:
    width, height = size
    png = bytearray(compressed_msg('.png', 'png', RGB).data)
    png[16:24] = struct.pack('>II', width, height)
    png[29:33] = struct.pack('>I', zlib.crc32(png[12:29]))
    jpeg = bytearray(compressed_msg('.jpg', 'jpeg', RGB).data)
    frame = jpeg.find(b'\xff\xc0')
    jpeg[frame + 5 : frame + 9] = struct.pack('>HH', height, width)
    # fill bytes and rubbish before a marker, which the decoder skips
    sly = jpeg[:frame] + b'rub\xff\0bish\xff\xff' + jpeg[frame:]
    for data in (png, jpeg, sly):
        message = CompressedImage(format='x', data=array('B', bytes(data)))
        with pytest.raises(ImageError, match=f'is {width}x{height}; each side'):
            to_rgb(message)


def test_progressive_pictures_and_how_often_they_may_draw_themselves() -> None:
    data = cv2.imencode('.jpg', RGB, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    assert to_rgb(CompressedImage(format='jpeg', data=array('B', data))).shape == RGB.shape
    scan = data[data.rfind(b'\xff\xda') : -2]
    data = data[:-2] + scan * 1000 + data[-2:]
    with pytest.raises(ImageError, match='scans, at most 20 are decoded'):
        to_rgb(CompressedImage(format='jpeg', data=array('B', data)))


def test_messages_keep_header_and_pixels() -> None:
    header = Header(frame_id='camera')
    header.stamp.sec, header.stamp.nanosec = 12, 34
    for encoding, pixels in (('rgb8', RGB), ('mono8', encoded('mono8'))):
        message = to_image_msg(pixels, encoding, header)
        assert message.header is header
        assert (message.height, message.width, message.encoding) == (17, 31, encoding)
        assert message.step * message.height == len(message.data)
        assert np.array_equal(np.frombuffer(message.data, np.uint8), pixels.ravel())
    np.testing.assert_array_equal(to_rgb(to_image_msg(RGB[:, ::-1], 'rgb8', header)), RGB[:, ::-1])


def test_a_png_whose_chunks_do_not_fit_is_not_decoded() -> None:
    message = compressed_msg('.png', 'png', RGB)
    png = bytearray(message.data)
    png[33:37] = b'\x80\0\x20\0'  # length of the chunk after the header
    message.data = bytes(png)
    with pytest.raises(ImageError, match='chunks that do not fit'):
        to_rgb(message)
