# SPDX-License-Identifier: Apache-2.0
"""Letterbox between the source image and the network input, for pixels, boxes and masks."""

import math
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from mtl_split_core.errors import ImageError, PacketError, RefusalReason

MAX_SIDE = 16384
"""Longest side of a source image or network input, pixels."""

MAX_PIXELS = 2**24
"""Largest source image, pixels; what the answer allocates per frame grows with it."""

PAD_VALUE = 114
"""Grey level of the border."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Scales the source to fit into the input, keeps its aspect and centres it.

    Args:
        source_width: Width of the source image, pixels.
        source_height: Height of the source image, pixels.
        input_width: Width of the network input, pixels.
        input_height: Height of the network input, pixels.
        scale: Input pixels per source pixel, a float32 value, as it travels in one.
        left: Border left of the image in the input, pixels.
        top: Border above the image in the input, pixels.
    """

    source_width: int
    source_height: int
    input_width: int
    input_height: int
    scale: float
    left: int
    top: int

    @classmethod
    def fit(
        cls, source_width: int, source_height: int, input_width: int, input_height: int
    ) -> Self:
        """Return the one letterbox for these sizes, the same on every machine.

        Args:
            source_width: Pixels, 1 to MAX_SIDE.
            source_height: Pixels, 1 to MAX_SIDE.
            input_width: Pixels, 1 to MAX_SIDE.
            input_height: Pixels, 1 to MAX_SIDE.

        Returns:
            The letterbox; its scale is 1.0 exactly where no resize is needed.

        Raises:
            ImageError: A size is out of range.
        """
        sizes = (source_width, source_height, input_width, input_height)
        if not all(1 <= size <= MAX_SIDE for size in sizes):
            msg = (
                f'image of {source_width}x{source_height} for an input of '
                f'{input_width}x{input_height}: each side must be 1 to {MAX_SIDE} pixels'
            )
            raise ImageError(msg)
        if source_width * source_height > MAX_PIXELS:
            msg = (
                f'image of {source_width}x{source_height} has more than {MAX_PIXELS} pixels: '
                'make it smaller first'
            )
            raise ImageError(msg)
        scale = float(np.float32(min(input_width / source_width, input_height / source_height)))
        left = (input_width - _scaled(source_width, input_width, scale)) // 2
        top = (input_height - _scaled(source_height, input_height, scale)) // 2
        return cls(*sizes, scale, left, top)

    @property
    def scaled_width(self) -> int:
        """Width of the image inside the input, pixels."""
        return _scaled(self.source_width, self.input_width, self.scale)

    @property
    def scaled_height(self) -> int:
        """Height of the image inside the input, pixels."""
        return _scaled(self.source_height, self.input_height, self.scale)

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Put a source image into the input.

        Args:
            image: Source image, uint8 [source_height, source_width, 3].

        Returns:
            uint8 [input_height, input_width, 3]; the image itself where nothing is to be done.

        Raises:
            ImageError: The image has another shape or type.
        """
        if image.dtype != np.uint8 or image.shape != (self.source_height, self.source_width, 3):
            msg = (
                f'image is {image.dtype} {list(image.shape)}, expected uint8 '
                f'[{self.source_height}, {self.source_width}, 3]'
            )
            raise ImageError(msg)
        width, height = self.scaled_width, self.scaled_height
        if (width, height) != (self.source_width, self.source_height):
            # INTER_AREA averages what it drops; enlarging it would be nearest neighbour.
            method = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR
            image = _uint8(cv2.resize(image, (width, height), interpolation=method))
        right = self.input_width - width - self.left
        bottom = self.input_height - height - self.top
        if not (self.left or self.top or right or bottom):
            return image
        border = (self.top, bottom, self.left, right)
        return _uint8(
            cv2.copyMakeBorder(image, *border, cv2.BORDER_CONSTANT, value=(PAD_VALUE,) * 3)
        )

    def boxes_to_source(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map boxes from input to source pixels.

        Args:
            boxes: float32 [N, 4], x1 y1 x2 y2 in input pixels.

        Returns:
            float32 [N, 4] in source pixels, clipped to the source image.
        """
        mapped = (boxes - self._offset()) / self._factor()
        limit = np.array([self.source_width, self.source_height] * 2, np.float32)
        clipped: NDArray[np.float32] = np.clip(mapped, 0, limit).astype(np.float32)
        return clipped

    def boxes_to_input(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map boxes from source to input pixels.

        Args:
            boxes: float32 [N, 4], x1 y1 x2 y2 in source pixels.

        Returns:
            float32 [N, 4] in input pixels, not clipped.
        """
        return (boxes * self._factor() + self._offset()).astype(np.float32)

    def mask_to_source(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Cut the border off a mask and bring it to source size by nearest neighbour.

        Args:
            mask: uint8 [input_height, input_width].

        Returns:
            uint8 [source_height, source_width]; a view where no resize is needed.
        """
        width, height = self.scaled_width, self.scaled_height
        inner = mask[self.top : self.top + height, self.left : self.left + width]
        size = (self.source_width, self.source_height)
        if (width, height) == size:
            return inner
        # The exact variant samples pixel centres, as the resize of the image does.
        return _uint8(cv2.resize(inner, size, interpolation=cv2.INTER_NEAREST_EXACT))

    def validate(self) -> None:
        """Check a letterbox that came over the wire.

        Raises:
            PacketError: GEOMETRY, when it is not what fit() gives for its sizes.
        """
        if not math.isfinite(self.scale):
            msg = f'letterbox scale {self.scale} is not finite'
            raise PacketError(RefusalReason.GEOMETRY, msg)
        try:
            expected = Letterbox.fit(
                self.source_width, self.source_height, self.input_width, self.input_height
            )
        except ImageError as error:
            msg = f'source_width, source_height: {error}'
            raise PacketError(RefusalReason.GEOMETRY, msg) from error
        for field in ('scale', 'left', 'top'):
            value, right = getattr(self, field), getattr(expected, field)
            if value != right:
                msg = (
                    f'letterbox {field} is {value}, expected {right} for an image of '
                    f'{self.source_width}x{self.source_height}'
                )
                raise PacketError(RefusalReason.GEOMETRY, msg)

    def _factor(self) -> NDArray[np.float32]:
        # The whole-pixel size of the scaled image makes the two axes differ a little from `scale`.
        x, y = self.scaled_width / self.source_width, self.scaled_height / self.source_height
        return np.array([x, y, x, y], np.float32)

    def _offset(self) -> NDArray[np.float32]:
        return np.array([self.left, self.top] * 2, np.float32)


def _scaled(source: int, limit: int, scale: float) -> int:
    return max(1, min(limit, round(source * scale)))


def _uint8(array: object) -> NDArray[np.uint8]:
    """Narrow what cv2's stubs leave open; cv2 keeps the type of its input."""
    return np.asarray(array, np.uint8)
