# SPDX-License-Identifier: Apache-2.0
"""Colours and names of the classes as a picture; the viewer itself shows names only on a click."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Color = tuple[int, int, int]
ROW, WIDTH, MARGIN = 28, 190, 6  # pixels
GOLDEN = 0.618034  # as a step round the hues, it keeps neighbours apart for any number of classes


def any_color(number: int) -> Color:
    """Return a colour for a class whose own is not known."""
    pixel = np.array([[[round(number * GOLDEN % 1 * 179), 190, 220]]], np.uint8)
    red, green, blue = cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0].tolist()
    return red, green, blue


def draw_legend(classes: Sequence[tuple[str, Color]]) -> NDArray[np.uint8]:
    """Draw names beside their colours, RGB uint8 [H, W, 3]."""
    picture = np.full((ROW * max(1, len(classes)), WIDTH, 3), 255, np.uint8)
    for row, (name, color) in enumerate(classes):
        top = row * ROW
        corner = (MARGIN + ROW, top + ROW - MARGIN)
        cv2.rectangle(picture, (MARGIN, top + MARGIN), corner, color, cv2.FILLED)
        place = (corner[0] + MARGIN, corner[1] - 2)
        font = cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(picture, name, place, font, 0.5, (40, 40, 40), 1, cv2.LINE_AA)
    return picture
