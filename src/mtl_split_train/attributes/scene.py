# SPDX-License-Identifier: Apache-2.0
"""A room with one object, seen in perspective: the scene of 3D Shapes, by our own ray caster.

The room is a floor and walls, the object stands in the middle of the floor, and the camera goes
around it. Rays meet all surfaces in closed form. Colours come last: a picture is a sum of four
maps, each times one colour, so that the maps of one geometry serve all hues.

x goes to the right, y away from the camera at orientation 0, z up; the object is about 1 high.
"""

import math
from collections.abc import Callable
from enum import IntEnum
from functools import cache

import numpy as np
from numpy.typing import NDArray

SIDE = 64
"""Height and width of a picture, pixel, as in 3D Shapes."""

_Rays = NDArray[np.float64]
_Span = tuple[_Rays, _Rays]  # where each ray enters and leaves; empty where the first is larger

_SAMPLES = 3  # rays per pixel and axis, so that edges are smooth
_FIELD_OF_VIEW = math.radians(38)
_DISTANCE, _HEIGHT, _AIM = 5.2, 3.0, 0.55
_HALF_ROOM = 3.4
_LIGHT = np.array([-0.45, -0.5, 0.74])
_AMBIENT, _SHADOW, _SHINE, _GLOSS = 0.42, 0.55, 0.35, 24
_EPSILON = 1e-6


class Shape(IntEnum):
    """The object."""

    CUBE = 0
    CYLINDER = 1
    SPHERE = 2
    CAPSULE = 3


#: Half a cube's edge; radius and height of a cylinder; radius of a sphere; radius and height of a
#: capsule: all at scale 1, with about the same extent to the eye.
_CUBE, _CYLINDER, _SPHERE, _CAPSULE = 0.62, (0.62, 1.3), 0.72, (0.5, 1.75)


@cache
def scene_maps(shape: Shape, scale: float, orientation: float) -> NDArray[np.float32]:
    """Return how much of each colour each pixel has.

    Args:
        shape: Of the object.
        scale: Of the object, about 1.
        orientation: How far the camera went around, degree.

    Returns:
        float32 [SIDE * SIDE, 4]: share of floor, wall and object, each darkened by the light that
        falls there, and of the light's reflection. 0 to 1.
    """
    origin, rays = _camera(math.radians(orientation))
    start, _ = _object(shape, scale, origin, rays)
    hit = np.isfinite(start)
    surface, distance = _room(origin, rays)
    points = origin + rays * np.where(hit, start, distance)[:, None]
    normals = np.array([[0, 0, 1], [1, 0, 0], [-1, 0, 0], [0, -1, 0]], np.float64)[surface]
    normals[hit] = _normals(shape, scale, points[hit])
    light = _LIGHT / np.linalg.norm(_LIGHT)
    falls = np.maximum(normals @ light, 0)
    # A ray to the light that meets the object: the point lies in its shadow.
    towards, _ = _object(shape, scale, points, np.broadcast_to(light, rays.shape))
    falls = np.where(~hit & np.isfinite(towards), falls * (1 - _SHADOW), falls)
    bright = _AMBIENT + (1 - _AMBIENT) * falls
    between = light - rays
    between /= np.linalg.norm(between, axis=1, keepdims=True)
    shine = _SHINE * np.maximum((normals * between).sum(1), 0) ** _GLOSS  # Blinn, 1977
    maps = np.stack(
        [bright * (~hit & (surface == 0)), bright * (~hit & (surface > 0)), bright * hit,
         shine * hit], axis=1,
    )  # fmt: skip
    small = maps.reshape(SIDE, _SAMPLES, SIDE, _SAMPLES, 4).mean((1, 3))
    return small.reshape(SIDE * SIDE, 4).astype(np.float32)


def _camera(around: float) -> tuple[_Rays, _Rays]:
    """Return the place of a pinhole camera, [3], and the directions of its rays, [N, 3]."""
    origin = np.array([_DISTANCE * math.sin(around), -_DISTANCE * math.cos(around), _HEIGHT])
    ahead = np.array([0, 0, _AIM]) - origin
    ahead /= np.linalg.norm(ahead)
    right = np.cross(ahead, [0, 0, 1])
    right /= np.linalg.norm(right)
    down = np.cross(ahead, right)
    count = SIDE * _SAMPLES
    steps = ((np.arange(count) + 0.5) / count * 2 - 1) * math.tan(_FIELD_OF_VIEW / 2)
    rays = ahead + steps[:, None, None] * down + steps[None, :, None] * right
    rays = rays.reshape(-1, 3)
    return origin, rays / np.linalg.norm(rays, axis=1, keepdims=True)


def _room(origin: _Rays, rays: _Rays) -> tuple[NDArray[np.intp], _Rays]:
    """Return what each ray meets (0 floor, 1 left, 2 right, 3 back wall), and how far away."""
    with np.errstate(divide='ignore'):
        distances = np.stack(
            [-origin[2] / rays[:, 2], (-_HALF_ROOM - origin[0]) / rays[:, 0],
             (_HALF_ROOM - origin[0]) / rays[:, 0], (_HALF_ROOM - origin[1]) / rays[:, 1]],
        )  # fmt: skip
    distances[distances <= 0] = np.inf
    surface = distances.argmin(0)
    return surface, distances.min(0)


def _object(shape: Shape, scale: float, origin: _Rays, rays: _Rays) -> _Span:
    """Return where rays from outside enter and leave the object; inf where they miss it."""
    spans = {
        Shape.CUBE: _cube, Shape.CYLINDER: _cylinder, Shape.SPHERE: _sphere,
        Shape.CAPSULE: _capsule,
    }  # fmt: skip
    span: Callable[[_Rays, _Rays], _Span] = spans[shape]
    start, end = span(origin / scale, rays)
    met = (start < end) & (end > _EPSILON)
    return np.where(met, start * scale, np.inf), np.where(met, end * scale, np.inf)


def _cube(origin: _Rays, rays: _Rays) -> _Span:
    low = np.array([-_CUBE, -_CUBE, 0])
    high = np.array([_CUBE, _CUBE, 2 * _CUBE])
    spans = [_between(origin[..., i], rays[:, i], low[i], high[i]) for i in range(3)]
    return _common(*spans)


def _cylinder(origin: _Rays, rays: _Rays) -> _Span:
    radius, height = _CYLINDER
    return _common(_pipe(origin, rays, radius), _between(origin[..., 2], rays[:, 2], 0, height))


def _sphere(origin: _Rays, rays: _Rays) -> _Span:
    return _ball(origin, rays, _SPHERE, _SPHERE)


def _capsule(origin: _Rays, rays: _Rays) -> _Span:
    radius, height = _CAPSULE
    low, high = radius, height - radius
    middle = _common(_pipe(origin, rays, radius), _between(origin[..., 2], rays[:, 2], low, high))
    parts = [middle, _ball(origin, rays, radius, low), _ball(origin, rays, radius, high)]
    starts, ends = zip(*parts, strict=True)
    missed = [start >= end for start, end in parts]
    # It is convex: what lies between the parts that a ray meets belongs to it.
    start = np.min(np.where(missed, np.inf, starts), axis=0)
    return start, np.max(np.where(missed, -np.inf, ends), axis=0)


def _ball(origin: _Rays, rays: _Rays, radius: float, height: float) -> _Span:
    away = origin - np.array([0, 0, height])
    return _roots(np.ones(len(rays)), (away * rays).sum(-1), (away**2).sum(-1) - radius**2)


def _pipe(origin: _Rays, rays: _Rays, radius: float) -> _Span:
    flat, away = rays[:, :2], origin[..., :2]
    return _roots((flat**2).sum(-1), (away * flat).sum(-1), (away**2).sum(-1) - radius**2)


def _roots(a: _Rays, b: _Rays, c: _Rays) -> _Span:
    """Return where a t^2 + 2 b t + c is negative."""
    inside = b * b - a * c
    root = np.sqrt(np.maximum(inside, 0))
    a = np.maximum(a, _EPSILON)
    met = inside > 0
    return np.where(met, (-b - root) / a, np.inf), np.where(met, (-b + root) / a, -np.inf)


def _between(origin: _Rays, along: _Rays, low: float, high: float) -> _Span:
    along = np.where(np.abs(along) < _EPSILON, _EPSILON, along)
    first, second = (low - origin) / along, (high - origin) / along
    return np.minimum(first, second), np.maximum(first, second)


def _common(*spans: _Span) -> _Span:
    starts, ends = zip(*spans, strict=True)
    return np.max(starts, axis=0), np.min(ends, axis=0)


def _normals(shape: Shape, scale: float, points: _Rays) -> _Rays:
    """Return which way the object's surface faces, unit vectors [N, 3]."""
    points = points / scale
    if shape is Shape.CUBE:
        away = points - np.array([0, 0, _CUBE])
        face = np.abs(away).argmax(1)[:, None]
        out = np.zeros_like(away)
        np.put_along_axis(out, face, np.sign(np.take_along_axis(away, face, 1)), 1)
        return out
    out = points.copy()
    if shape is Shape.CYLINDER:
        top = points[:, 2] > _CYLINDER[1] - 1e-3
        out[:, 2] = 0
        out[top] = (0, 0, 1)
    elif shape is Shape.SPHERE:
        out[:, 2] -= _SPHERE
    else:
        out[:, 2] -= np.clip(points[:, 2], _CAPSULE[0], _CAPSULE[1] - _CAPSULE[0])
    return out / np.linalg.norm(out, axis=1, keepdims=True)
