# SPDX-License-Identifier: Apache-2.0
"""What a snapshot shows of one camera of the server."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtl_split_core.bundle import Bundle
from mtl_split_core.overlay import draw_overlay
from mtl_split_core.tail import Prepared, TailStage
from mtl_split_ros.snapshot import Moment


def moment_of(
    name: str,
    message: Any,
    prepared: Prepared,
    image: NDArray[np.uint8] | None,
    tail: TailStage,
    bundle: Bundle,
) -> Moment:
    """Answer a frame once more, with the results of all heads.

    Args:
        name: Of the camera.
        message: The frame's FeatureMap.
        prepared: Its content.
        image: The frame's image, RGB uint8 [H, W, 3], if this side has it.
        tail: Answers.
        bundle: Of the tail.
    """
    missing = {}
    letterbox = prepared.letterbox
    canvas = np.zeros((letterbox.source_height, letterbox.source_width, 3), np.uint8)
    if image is None:
        missing['image.png'] = 'comes with overlay, and nobody subscribes it; drawn over black'
    else:
        canvas = image
    overlay = draw_overlay(canvas, tail.finish(prepared), bundle)
    return Moment(name, image, overlay, message, missing)
