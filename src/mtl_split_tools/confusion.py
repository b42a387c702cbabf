# SPDX-License-Identifier: Apache-2.0
"""A confusion matrix to read on a terminal and as a picture."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from mtl_split_tools.console import table
from mtl_split_train.metrics import ConfusionMatrix

_CELL = 56
_MARGIN_LEFT, _MARGIN_TOP = 120, 130
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_LINES = cv2.LINE_AA


def confusion_table(matrix: ConfusionMatrix, classes: Sequence[str], name: str) -> Table:
    """Return the matrix as a table: of the pixels of a true class, per cent by answer."""
    rows = (
        (truth, *(f'{100 * share:.0f}' if share >= 0.005 else '' for share in shares))
        for truth, shares in zip(classes, _shares(matrix), strict=True)
    )
    columns = ['true \\ answer', *(name[:5] for name in classes)]
    return table(f'confusion in per cent of the true pixels, {name}', columns, rows)


def draw_confusion(matrix: ConfusionMatrix, classes: Sequence[str]) -> NDArray[np.uint8]:
    """Draw the matrix, uint8 RGB: rows are true classes, columns are answers."""
    count = len(classes)
    side = _CELL * count
    canvas = np.full((_MARGIN_TOP + side + 20, _MARGIN_LEFT + side + 20, 3), 255, np.uint8)
    for row, shares in enumerate(_shares(matrix)):
        y = _MARGIN_TOP + row * _CELL
        _text(canvas, classes[row], (10, y + 33))
        for column, share in enumerate(shares):
            x = _MARGIN_LEFT + column * _CELL
            color = np.array([255, 255, 255]) * (1 - share) + np.array([8, 64, 129]) * share
            cv2.rectangle(canvas, (x, y), (x + _CELL - 2, y + _CELL - 2), color.tolist(), -1)
            if share >= 0.005:
                ink = (255, 255, 255) if share > 0.5 else (0, 0, 0)
                _text(canvas, f'{100 * share:.0f}', (x + 14, y + 33), ink)
    # Column names run upwards: written on their side, then turned.
    strip = np.full((side, _MARGIN_TOP, 3), 255, np.uint8)
    for column, name in enumerate(classes):
        _text(strip, name, (6, column * _CELL + 33))
    canvas[:_MARGIN_TOP, _MARGIN_LEFT : _MARGIN_LEFT + side] = np.rot90(strip)
    _text(canvas, 'true (rows), answer', (10, 24))
    _text(canvas, '(columns), % of true', (10, 44))
    return canvas


def _shares(matrix: ConfusionMatrix) -> NDArray[np.float64]:
    totals = np.maximum(matrix.counts.sum(1, keepdims=True), 1)
    shares: NDArray[np.float64] = matrix.counts / totals
    return shares[:, :-1]


def _text(
    canvas: NDArray[np.uint8],
    text: str,
    position: tuple[int, int],
    ink: tuple[int, int, int] = (0, 0, 0),
) -> None:
    cv2.putText(canvas, text, position, _FONT, 0.5, ink, 1, _LINES)
