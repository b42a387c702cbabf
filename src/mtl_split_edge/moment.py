# SPDX-License-Identifier: Apache-2.0
"""What a snapshot shows of the edge."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtl_split_core.bundle import Bundle
from mtl_split_core.overlay import draw_overlay
from mtl_split_core.results import FrameResults
from mtl_split_ros.snapshot import Moment


def moment_of(
    image: NDArray[np.uint8], header: Any, sent: Any, results: FrameResults | None, bundle: Bundle
) -> Moment:
    """Put together what there is.

    Args:
        image: The last one, RGB uint8 [H, W, 3].
        header: Its header.
        sent: The last FeatureMap, or None.
        results: For the image, where this side can answer.
        bundle: In use.
    """
    missing, overlay = {}, None
    if results:
        overlay = draw_overlay(image, results, bundle)
    else:
        missing['overlay.png'] = 'the server answers: call its snapshot, too'
    if sent is None:
        missing['feature_map.cdr'] = 'nothing was sent with this bundle yet'
    elif sent.header != header:
        missing['feature_map.cdr'] = 'is there, and of an earlier image: this one was not sent'
    return Moment('', image, overlay, sent, missing)
