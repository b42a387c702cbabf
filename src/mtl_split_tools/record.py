# SPDX-License-Identifier: Apache-2.0
"""`mtl-split record`: a recording (rosbag2, MCAP) of a folder of pictures or a video file."""

import argparse
import json
import shutil
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from rosbags.rosbag2 import CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from mtl_split_core.errors import DataError, ImageError
from mtl_split_tools.bags import offered_qos, write_bag
from mtl_split_tools.console import console, progress_bar
from mtl_split_train.dataset import read_dataset

DESCRIPTION = """Write pictures as a recording that `mtl-split replay` and `ros2 bag play` publish:
JPEG pictures (sensor_msgs/CompressedImage) and a camera_info beside them. SOURCE is a folder of
pictures (in the order of their names), a data folder (images/ and annotations.json, in the order of
the latter), or a video file. The recording appears when it is complete, never half."""
EPILOG = """examples:
  mtl-split record pictures/ --out my_bag
  mtl-split record drive.mp4 --out my_bag --topic /camera/front/image/compressed
  mtl-split record data/camvid/val --out clip/bag --annotations clip
"""
PICTURES = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')
DEFAULT_FPS = 15.0


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture, BGR, and its time since the first in nanoseconds."""

    pixels: NDArray[np.uint8]
    time: int


Frames = Generator[Frame, None, None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument('source', type=Path, metavar='SOURCE', help='folder or video file')
    parser.add_argument('--out', type=Path, required=True, metavar='BAG', help='new directory')
    parser.add_argument(
        '--fps',
        type=float,
        help=f'pictures per second (folders: {DEFAULT_FPS:g}; videos: their own)',
    )
    parser.add_argument('--topic', default='/image/compressed', help='default: %(default)s')
    parser.add_argument('--frame-id', default='camera', help='default: %(default)s')
    parser.add_argument('--quality', type=int, default=95, help='JPEG, 1 to 100 (default: 95)')
    parser.add_argument(
        '--start-time',
        type=float,
        metavar='SECONDS',
        help='stamp of the first picture, seconds since 1970 (default: now)',
    )
    parser.add_argument('--limit', type=int, metavar='N', help='no more than N pictures')
    parser.add_argument(
        '--storage', choices=['mcap', 'sqlite3'], default='mcap', help='default: %(default)s'
    )
    parser.add_argument(
        '--compression',
        choices=['none', 'file', 'message'],
        default='none',
        help='zstd; JPEG does not get smaller by it (default: %(default)s)',
    )
    parser.add_argument(
        '--annotations',
        type=Path,
        metavar='DIR',
        help='SOURCE is a data folder: also copy labels/ and annotations.json to DIR, '
        'for `mtl-split demo --labels DIR`',
    )


def run(options: argparse.Namespace) -> int:
    """Write the recording."""
    _check(options)
    source: Path = options.source
    frames, count = _folder(options) if source.is_dir() else _video(options)
    if options.limit is not None:
        count = min(count or options.limit, options.limit)
    start = time.time() if options.start_time is None else options.start_time
    written = 0
    with (
        write_bag(
            options.out,
            StoragePlugin[options.storage.upper()],
            CompressionMode[options.compression.upper()],
        ) as writer,
        closing(frames),
        progress_bar() as progress,
    ):
        task = progress.add_task('recording', total=count or None)
        sink = _Sink(writer, options.topic, options.frame_id, options.quality)
        for frame in frames:
            if written == options.limit:
                break
            sink.write(frame.pixels, int(start * 1e9) + frame.time)
            written += 1
            progress.advance(task)
        if not written:
            msg = f'{source} has no video frame that can be decoded; give another file'
            raise DataError(msg)
    if options.annotations:
        _copy_annotations(source, options.annotations, written)
    size = sum(file.stat().st_size for file in options.out.iterdir())
    console.print(f'{options.out}: {written} pictures on {options.topic}, {size / 1e6:.1f} MB')
    console.print(f'next: mtl-split replay {options.out}')
    return 0


class _Sink:
    """Writes pictures and their camera_info into an open recording."""

    def __init__(self, writer: Writer, topic: str, frame_id: str, quality: int) -> None:
        self._types: Typestore = get_typestore(Stores.ROS2_JAZZY)
        self._writer = writer
        self._frame_id = frame_id
        self._quality = quality
        qos = [offered_qos()]
        self._image = writer.add_connection(
            topic,
            'sensor_msgs/msg/CompressedImage',
            typestore=self._types,
            offered_qos_profiles=qos,
        )
        # image_transport: /camera/image/compressed belongs to /camera/camera_info
        camera = topic.removesuffix('/compressed').rsplit('/', 1)[0]
        self._info = writer.add_connection(
            f'{camera}/camera_info',
            'sensor_msgs/msg/CameraInfo',
            typestore=self._types,
            offered_qos_profiles=qos,
        )

    def write(self, pixels: NDArray[np.uint8], stamp: int) -> None:
        """Write one BGR picture with the stamp in nanoseconds since 1970."""
        made, jpeg = cv2.imencode('.jpg', pixels, (cv2.IMWRITE_JPEG_QUALITY, self._quality))
        if not made:
            msg = f'a picture of {pixels.shape[1]}x{pixels.shape[0]} cannot be coded as JPEG'
            raise ImageError(msg)
        types = self._types.types
        header = types['std_msgs/msg/Header'](
            stamp=types['builtin_interfaces/msg/Time'](sec=stamp // 10**9, nanosec=stamp % 10**9),
            frame_id=self._frame_id,
        )
        image = types['sensor_msgs/msg/CompressedImage'](
            header=header, format='jpeg', data=jpeg.reshape(-1)
        )
        info = types['sensor_msgs/msg/CameraInfo'](
            header=header,
            height=pixels.shape[0],
            width=pixels.shape[1],
            distortion_model='plumb_bob',
            # Zeros say "not calibrated", see the comments of sensor_msgs/CameraInfo.
            d=np.zeros(5),
            k=np.zeros(9),
            r=np.zeros(9),
            p=np.zeros(12),
            binning_x=0,
            binning_y=0,
            roi=types['sensor_msgs/msg/RegionOfInterest'](
                x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
            ),
        )
        for connection, message in ((self._image, image), (self._info, info)):
            data = self._types.serialize_cdr(message, connection.msgtype)
            self._writer.write(connection, stamp, data)


def _check(options: argparse.Namespace) -> None:
    if not 1 <= options.quality <= 100:
        msg = f'--quality {options.quality} is not from 1 to 100'
        raise DataError(msg)
    if options.fps is not None and not 0 < options.fps <= 1000:
        msg = f'--fps {options.fps:g} is not above 0 and at most 1000'
        raise DataError(msg)
    if options.limit is not None and options.limit < 1:
        msg = f'--limit {options.limit} is not at least 1'
        raise DataError(msg)
    if options.start_time is not None and not 0 < options.start_time < 2**31:
        msg = f'--start-time {options.start_time:g} is not a stamp, above 0 and below 2^31 seconds'
        raise DataError(msg)
    if not options.topic.startswith('/') or options.topic.endswith('/'):
        msg = f'--topic {options.topic} is not absolute, such as /image/compressed'
        raise DataError(msg)
    if not options.source.exists():
        msg = f'{options.source} does not exist; give a folder of pictures or a video file'
        raise DataError(msg)
    if options.annotations and (options.annotations / 'annotations.json').exists():
        msg = f'{options.annotations} has an annotations.json; delete it or choose another folder'
        raise DataError(msg)


def _folder(options: argparse.Namespace) -> tuple[Frames, int]:
    source: Path = options.source
    if (source / 'annotations.json').is_file():
        files = [sample.image_path for sample in read_dataset(source).images]
    elif options.annotations:
        msg = f'{source} has no annotations.json to copy; leave --annotations out'
        raise DataError(msg)
    else:
        files = sorted(file for file in source.iterdir() if file.suffix.lower() in PICTURES)
    if not files:
        msg = f'{source} has no pictures ({", ".join(PICTURES)}); give the folder that holds them'
        raise DataError(msg)
    return _read_files(files, options.fps or DEFAULT_FPS), len(files)


def _read_files(files: list[Path], fps: float) -> Frames:
    for number, file in enumerate(files):
        # An empty buffer is an exception in OpenCV, one zero byte is "not a picture".
        data = np.frombuffer(file.read_bytes() or b'\0', np.uint8)
        if (pixels := cv2.imdecode(data, cv2.IMREAD_COLOR)) is None:
            msg = f'{file} is not a picture that can be read; restore it or take it out'
            raise DataError(msg)
        yield Frame(np.asarray(pixels, np.uint8), round(number * 1e9 / fps))


def _video(options: argparse.Namespace) -> tuple[Frames, int]:
    source: Path = options.source
    try:
        with av.open(str(source)) as container:
            if not container.streams.video:
                msg = f'{source} has no video stream; give a video file or a folder of pictures'
                raise DataError(msg)
            count = container.streams.video[0].frames
    except av.FFmpegError as error:
        msg = f'{source} is not a video that can be read ({error.strerror}); give another file'
        raise DataError(msg) from error
    if options.annotations:
        msg = f'{source} is a video, it has no annotations to copy; leave --annotations out'
        raise DataError(msg)
    return _read_video(source, options.fps), count


def _read_video(source: Path, fps: float | None) -> Frames:
    first: float | None = None
    with av.open(str(source)) as container:
        frames = container.decode(video=0)
        number = 0
        while True:
            try:
                frame = next(frames)
            except StopIteration:
                return
            except av.FFmpegError as error:
                msg = (
                    f'{source} is damaged after {number} frames ({error.strerror}); '
                    f'--limit {number} takes what is before'
                )
                raise DataError(msg) from error
            if fps is None and frame.time is None:
                msg = f'{source} has no frame times; give --fps'
                raise DataError(msg)
            moment = number / fps if fps else float(frame.time or 0)
            first = moment if first is None else first
            pixels = np.asarray(frame.to_ndarray(format='bgr24'), np.uint8)
            yield Frame(pixels, round((moment - first) * 1e9))
            number += 1


def _copy_annotations(source: Path, target: Path, count: int) -> None:
    samples = read_dataset(source).images[:count]
    (target / 'labels').mkdir(parents=True, exist_ok=True)
    for sample in samples:
        if sample.label_map is not None:
            # As it is: in memory void has another id.
            shutil.copyfile(sample.label_map.path, target / 'labels' / f'{sample.name}.png')
    content = json.loads((source / 'annotations.json').read_text(encoding='utf-8'))
    content['images'] = content['images'][:count]
    kept = {image['id'] for image in content['images']}
    content['annotations'] = [a for a in content['annotations'] if a['image_id'] in kept]
    # Last, because this file is what makes the folder a data folder.
    (target / 'annotations.json').write_text(json.dumps(content), encoding='utf-8')
