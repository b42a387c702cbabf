# SPDX-License-Identifier: Apache-2.0
"""An image on its way through the edge."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header


@dataclass(frozen=True, slots=True)
class Arrival:
    """An image that waits for its turn.

    Args:
        message: As it came.
        at: When it came, monotonic seconds.
    """

    message: Image | CompressedImage
    at: float


@dataclass(frozen=True, slots=True)
class Picture:
    """An image that is worked on; all times are monotonic seconds.

    Args:
        image: RGB, uint8 [H, W, 3].
        header: Of the message.
        arrived: When the message came.
        started: When the work on it began.
        converted: When its conversion was done.
    """

    image: NDArray[np.uint8]
    header: Header
    arrived: float
    started: float
    converted: float
