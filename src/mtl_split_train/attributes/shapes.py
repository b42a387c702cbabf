# SPDX-License-Identifier: Apache-2.0
"""Scenes like those of 3D Shapes (Burgess and Kim, 2018), drawn when they are asked for.

The same six factors, as many values of each, and so the same 480,000 scenes in the same order; the
pictures are our own. Noise and split follow the MTL-Split paper's published code,
github.com/intelligolabs/MTL-Split, data/shapes.py.
"""

import colorsys
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from mtl_split_train.attributes.data import (
    AttributeData,
    AttributeSample,
    MadeOnDemand,
    check_split,
)
from mtl_split_train.attributes.scene import SIDE, Shape, scene_maps

_HUES = tuple(step / 10 for step in range(10))
_SCALES = tuple(0.75 + step * 0.5 / 7 for step in range(8))
_ORIENTATIONS = tuple(-30 + step * 60 / 14 for step in range(15))

FACTORS: Mapping[str, tuple[str, ...]] = {
    'floor_hue': tuple(f'{hue:g}' for hue in _HUES),
    'wall_hue': tuple(f'{hue:g}' for hue in _HUES),
    'object_hue': tuple(f'{hue:g}' for hue in _HUES),
    'scale': tuple(f'{scale:.2f}' for scale in _SCALES),
    'shape': tuple(shape.name.lower() for shape in Shape),
    'orientation': tuple(f'{angle:.1f}' for angle in _ORIENTATIONS),
}
"""Names of the values of each factor, the slowest in the order of scenes first."""

_COUNTS = tuple(map(len, FACTORS.values()))
SCENES = math.prod(_COUNTS)
SPLITS = ('train', 'val', 'test')

#: What values become that noise hits: 0.98 and 0.02 of the range, as in the published code.
_LIGHT, _DARK = 250, 5
_THRESHOLD = 0.08


@dataclass(frozen=True, slots=True)
class Noise:
    """Salt and pepper, each channel by itself.

    Args:
        light: Share of the values that become light, 0 to 1.
        dark: Share of the values that become dark, 0 to 1.
    """

    light: float
    dark: float


EVEN_NOISE = Noise(_THRESHOLD, _THRESHOLD)
"""The published code's threshold of 0.08, on each side."""

PUBLISHED_NOISE = Noise(NormalDist().cdf(_THRESHOLD), NormalDist().cdf(_THRESHOLD - 1))
"""What that code does: it compares a normal draw with 0.08 and 1 - 0.08: 53 % and 18 %."""

_SEED = 2407_05982
_VALIDATION = 10


def read_shapes(noise: Noise, _root: Path, split: str) -> AttributeData:
    """Return a split of the made scenes; nothing is read.

    Args:
        noise: What is added to each picture.
        split: One of SPLITS.

    Raises:
        DataError: Another split.
    """
    check_split('shapes', split, SPLITS)
    samples = MadeOnDemand(split_scenes(split), partial(_sample, noise))
    return AttributeData(Path('shapes'), dict(FACTORS), samples)


@cache
def split_scenes(split: str) -> NDArray[np.int64]:
    """Return the scenes of a split in an order that is shuffled, always alike.

    `test` has those of which neither the floor's nor the wall's hue is among the first five, as in
    the published code; `train` has nine in ten of the others, `val` the rest.

    Args:
        split: One of SPLITS.

    Returns:
        Places in the order of 3D Shapes, int64 [N].
    """
    order = np.random.default_rng(_SEED).permutation(SCENES)
    floor, wall, *_ = np.unravel_index(order, _COUNTS)
    held_out = (floor >= _COUNTS[0] // 2) & (wall >= _COUNTS[1] // 2)
    if split == 'test':
        return order[held_out]
    rest = order[~held_out]
    count = len(rest) // _VALIDATION
    return rest[:count] if split == 'val' else rest[count:]


def scene_values(scene: int) -> dict[str, int | None]:
    """Return the factors of a scene, as indices into FACTORS."""
    places = np.unravel_index(scene, _COUNTS)
    return {name: int(place) for name, place in zip(FACTORS, places, strict=True)}


def draw_scene(scene: int) -> NDArray[np.uint8]:
    """Return a scene without noise.

    Args:
        scene: Its place, 0 to SCENES - 1.

    Returns:
        RGB, uint8 [SIDE, SIDE, 3].
    """
    floor, wall, thing, scale, shape, angle = (int(i) for i in np.unravel_index(scene, _COUNTS))
    maps = scene_maps(Shape(shape), _SCALES[scale], _ORIENTATIONS[angle])
    colors = [colorsys.hsv_to_rgb(_HUES[hue], 0.9, 0.95) for hue in (floor, wall, thing)]
    pixels = maps @ (255 * np.array([*colors, (1, 1, 1)], np.float32))
    return np.minimum(pixels, 255).astype(np.uint8).reshape(SIDE, SIDE, 3)


def add_noise(picture: NDArray[np.uint8], noise: Noise, scene: int) -> NDArray[np.uint8]:
    """Return a picture with the noise of a scene, always alike.

    Args:
        picture: uint8, any shape.
        noise: How much.
        scene: Whose.
    """
    drawn = np.random.default_rng((_SEED, scene)).random(picture.shape, np.float32)
    noisy = np.where(drawn < noise.light, np.uint8(_LIGHT), picture)
    return np.where(drawn > 1 - noise.dark, np.uint8(_DARK), noisy)


def _sample(noise: Noise, scene: int) -> AttributeSample:
    return AttributeSample(scene_values(scene), partial(_noisy_scene, noise, scene))


def _noisy_scene(noise: Noise, scene: int) -> NDArray[np.uint8]:
    return add_noise(draw_scene(scene), noise, scene)
