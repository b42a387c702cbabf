# SPDX-License-Identifier: Apache-2.0
"""Random views of a labelled road frame: geometry first, then light and sensor."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mtl_split_core.geometry import PAD_VALUE
from mtl_split_core.pictures import decode_picture, encode_picture
from mtl_split_train.config import DataConfig
from mtl_split_train.samples import VOID

#: A box that keeps less than this share of its area in the crop is neither object nor background.
_MIN_VISIBLE = 0.4


@dataclass(slots=True)
class Frame:
    """A picture uint8 [H, W, 3] RGB, its label map uint8 [H, W], boxes float32 [N, 4] xyxy.

    ``ignored`` [N]: boxes that are neither object nor background. ``boxed``: whether the boxes of
    the picture were labelled. ``jpeg``: whether it has been through JPEG.
    """

    image: NDArray[np.uint8]
    label: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    ignored: NDArray[np.bool_]
    boxed: bool = True
    jpeg: bool = False

    def copy(self) -> 'Frame':
        """Return a frame whose arrays may be changed."""
        return copy.deepcopy(self)


def augment(frame: Frame, config: DataConfig, rng: np.random.Generator) -> Frame:
    """Return a random view of ``frame`` of the configured crop size."""
    view = random_crop(frame, config, rng)
    # No draw where all are changed: the views of a seed stay what they were.
    if config.photometric == 1.0 or rng.random() < config.photometric:
        view = photometric(view, rng)
    if config.jpeg and rng.random() < config.jpeg:
        view = through_jpeg(view, config, rng)
    return view


def through_jpeg(frame: Frame, config: DataConfig, rng: np.random.Generator) -> Frame:
    """Compress and decompress the picture at a random quality of the configured range."""
    quality = int(rng.integers(config.jpeg_quality_min, config.jpeg_quality_max + 1))
    height, width = frame.label.shape
    data = encode_picture(frame.image, 'jpeg', quality)
    frame.image, frame.jpeg = decode_picture(data, 'jpeg', width, height), True
    return frame


def paste_objects(
    frame: Frame, donor: Frame, rare: Mapping[int, int], rng: np.random.Generator, most: int = 3
) -> Frame:
    """Paste up to ``most`` objects of rare classes from ``donor`` (arXiv 2012.07177).

    Objects keep their row, so that their size still fits the street's perspective; a random
    shift moves them sideways.

    Args:
        frame: Picture that receives them; not changed.
        donor: Picture of the same size that gives them.
        rare: Segmentation id of each detection class that may be pasted.
        rng: Source of chance.
        most: Largest number of objects.
    """
    chosen = [
        i for i in range(len(donor.boxes)) if donor.class_ids[i] in rare and not donor.ignored[i]
    ]
    if not chosen:
        return frame
    result = frame.copy()
    width = frame.label.shape[1]
    for index in rng.permutation(chosen)[:most]:
        x0, y0, x1, y1 = donor.boxes[index].astype(int)
        patch = donor.label[y0:y1, x0:x1]
        mask = patch == rare[int(donor.class_ids[index])]
        if not mask.any():
            continue
        shift = int(rng.integers(-x0, width - x1 + 1))
        x0, x1 = x0 + shift, x1 + shift
        result.image[y0:y1, x0:x1][mask] = donor.image[y0:y1, x0 - shift : x1 - shift][mask]
        result.label[y0:y1, x0:x1][mask] = patch[mask]
        result = _add_box(
            result, np.array([x0, y0, x1, y1], np.float32), int(donor.class_ids[index])
        )
    return result


def _add_box(frame: Frame, box: NDArray[np.float32], class_id: int) -> Frame:
    """Append a box; boxes that it mostly covers become ignored regions."""
    low = np.maximum(frame.boxes[:, :2], box[:2])
    high = np.minimum(frame.boxes[:, 2:], box[2:])
    covered = np.prod(np.clip(high - low, 0, None), axis=1)
    area = np.prod(frame.boxes[:, 2:] - frame.boxes[:, :2], axis=1)
    frame.ignored = np.append(frame.ignored | (covered > 0.5 * area), False)
    frame.boxes = np.vstack((frame.boxes, box[None]))
    frame.class_ids = np.append(frame.class_ids, class_id)
    return frame


def random_crop(frame: Frame, config: DataConfig, rng: np.random.Generator) -> Frame:
    """Scale, shift, rotate a little, mirror and crop in one warp."""
    height, width = frame.label.shape
    crop_w, crop_h = config.crop_width, config.crop_height
    scale = float(np.exp(rng.uniform(np.log(config.scale_min), np.log(config.scale_max))))
    aspect = float(np.exp(rng.uniform(-0.12, 0.12)))
    scale_x, scale_y = scale * aspect, scale / aspect
    angle = float(np.deg2rad(rng.normal(0.0, 1.5)))
    left = rng.uniform(min(0.0, width * scale_x - crop_w), max(0.0, width * scale_x - crop_w))
    top = rng.uniform(min(0.0, height * scale_y - crop_h), max(0.0, height * scale_y - crop_h))
    matrix = np.array([[scale_x, -scale_y * angle, -left], [scale_x * angle, scale_y, -top]])
    if rng.random() < 0.5:
        matrix = np.array([[-1.0, 0.0], [0.0, 1.0]]) @ matrix + np.array(
            [[0, 0, crop_w - 1], [0, 0, 0]]
        )
    interpolation = cv2.INTER_AREA if scale < 0.8 else cv2.INTER_LINEAR
    image = cv2.warpAffine(
        frame.image,
        matrix,
        (crop_w, crop_h),
        flags=interpolation,
        borderValue=(PAD_VALUE, PAD_VALUE, PAD_VALUE),
    )
    label = cv2.warpAffine(
        frame.label, matrix, (crop_w, crop_h), flags=cv2.INTER_NEAREST, borderValue=VOID
    )
    boxes, keep, cut = _warp_boxes(frame.boxes, matrix, crop_w, crop_h)
    return Frame(
        np.asarray(image, np.uint8),
        np.asarray(label, np.uint8),
        boxes[keep],
        frame.class_ids[keep],
        (frame.ignored | cut)[keep],
        frame.boxed,
    )


def _warp_boxes(
    boxes: NDArray[np.float32], matrix: NDArray[np.float64], width: int, height: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return warped and clipped boxes, which have any area left, which lost too much of it."""
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2) @ matrix[:, :2].T + matrix[:, 2]
    low, high = corners.min(axis=1), corners.max(axis=1)
    whole = np.prod(high - low, axis=1)
    low = np.clip(low, 0, [width, height])
    high = np.clip(high, 0, [width, height])
    area = np.prod(high - low, axis=1)
    return (
        np.hstack((low, high)).astype(np.float32),
        (high - low).min(axis=1, initial=np.inf) >= 2.0,
        (area < _MIN_VISIBLE * whole) | (area < 48.0),
    )


def photometric(frame: Frame, rng: np.random.Generator) -> Frame:
    """Change exposure, gamma (dusk), colour, sharpness and noise of the picture."""
    x = frame.image.astype(np.float32) / 255.0
    if rng.random() < 0.8:
        x = x ** np.float32(np.exp(rng.normal(0.0, 0.25)))
        x *= np.float32(rng.uniform(0.7, 1.3))
    if rng.random() < 0.5:
        x *= rng.uniform(0.8, 1.2, 3).astype(np.float32)
    if rng.random() < 0.5:
        grey = x.mean(axis=2, keepdims=True)
        x = grey + (x - grey) * np.float32(rng.uniform(0.2, 1.8))
    if rng.random() < 0.5:
        mean = x.mean()
        x = mean + (x - mean) * np.float32(rng.uniform(0.7, 1.35))
    if rng.random() < 0.15:
        x = np.asarray(cv2.GaussianBlur(x, (0, 0), float(rng.uniform(0.4, 1.2))), np.float32)
    if rng.random() < 0.25:
        x = x + rng.standard_normal(x.shape, np.float32) * np.float32(rng.uniform(0.005, 0.03))
    frame.image = np.clip(x * 255.0 + 0.5, 0, 255).astype(np.uint8)
    return frame
