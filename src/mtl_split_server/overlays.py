# SPDX-License-Identifier: Apache-2.0
"""The `overlay` of one camera: its images, taken only while somebody looks, and the drawing."""

import time
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from mtl_split.msg import FeatureMap
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from mtl_split_core.bundle import Bundle
from mtl_split_core.errors import ImageError, MtlSplitError
from mtl_split_core.overlay import draw_overlay
from mtl_split_core.results import FrameResults
from mtl_split_ros.complaints import TROUBLE_S, Complaints
from mtl_split_ros.image_topic import ImageTopic
from mtl_split_ros.images import to_rgb
from mtl_split_ros.parameters import Parameters
from mtl_split_ros.result_topics import ResultTopics
from mtl_split_ros.status import Level, Status
from mtl_split_server.overlay_matching import OverlayMatcher, Stamp
from mtl_split_server.pipeline import ServerFigures

Picture: TypeAlias = Image | CompressedImage


class Overlays:
    """Brings images and results together and draws.

    Args:
        node: Subscribes.
        settings: Its parameters.
        bundle: In use.
        results: Publishes.
        figures: Count.
        warn: Takes the throttled lines about images.
        matched: Called with an image whose results came before it; returns at once.
        topic: Name of the images before remapping.
    """

    def __init__(
        self,
        node: Node,
        settings: Parameters,
        bundle: Bundle,
        results: ResultTopics,
        figures: ServerFigures,
        warn: Callable[[str], object],
        matched: Callable[[Picture, FrameResults], None],
        topic: str,
    ) -> None:
        self._settings = settings
        self._bundle = bundle
        self._results = results
        self._figures = figures
        self._matched = matched
        self._drawn: Picture | None = None
        self._refused = ''
        self._complaints = Complaints(warn)
        self._matcher: OverlayMatcher[Picture, FrameResults] = OverlayMatcher()
        self._images = ImageTopic(
            node,
            settings.text('image_transport'),
            settings.text('image_reliability'),
            self._on_image,
            topic,
        )

    def take_over(self, bundle: Bundle) -> None:
        """Draw for another bundle from now on; results of the one before are forgotten."""
        self._bundle = bundle
        self._matcher.clear()

    def drawn(self, stamp: Stamp) -> NDArray[np.uint8] | None:
        """The image that was drawn over last, RGB uint8 [H, W, 3], if it has this stamp."""
        image = self._drawn
        if image is None or stamp_of(image) != stamp:
            return None
        return to_rgb(image, self._settings.text('untyped_encoding'))

    def follow(self) -> None:
        """Subscribe the images while somebody subscribes `overlay`."""
        if self._results.overlay_wanted:
            self._subscribe()
        elif self._images.subscribed:
            self._images.unsubscribe()
            self._drawn = None
            self._matcher.clear()

    def answered(self, stamp: Stamp, results: FrameResults) -> None:
        """Draw results whose image is there, else keep them for it."""
        if self._images.subscribed and (pair := self._matcher.result(stamp, results)):
            self.draw(*pair)

    def draw(self, image: Picture, results: FrameResults) -> None:
        """Draw and publish; called by the worker."""
        started = time.monotonic()
        try:
            encoding = self._settings.text('untyped_encoding')
            picture = draw_overlay(to_rgb(image, encoding), results, self._bundle)
        except ImageError as error:
            text = f'overlay left out, image on {self._images.name}: {error}'
            self._complaints.add('image', text)
            return
        self._drawn = image
        self._results.publish_overlay(picture, image.header)
        self._figures.drawn((time.monotonic() - started) * 1e3)

    def fill(self, status: Status) -> None:
        """Diagnostics of what is drawn."""
        if not self._images.subscribed:
            status.summary(Level.OK, 'nobody subscribes overlay')
            if self._refused and self._results.overlay_wanted:
                status.merge_summary(Level.ERROR, self._refused)
            return
        self._images.fill(status)
        if text := self._complaints.latest(TROUBLE_S):
            status.merge_summary(Level.ERROR, text)

    def _subscribe(self) -> None:
        # asked once: neither parameters nor policy change while the node runs
        if self._refused:
            return
        try:
            self._images.subscribe()
        except MtlSplitError as error:
            # of no weight for the results, which go on
            self._refused = f'no overlay: {error}'
            self._complaints.add('image', self._refused)

    def _on_image(self, message: Picture) -> None:
        if pair := self._matcher.image(stamp_of(message), message):
            self._matched(*pair)


def stamp_of(message: Picture | FeatureMap) -> Stamp:
    """Return frame_id and time of a message, by which image and results find each other."""
    header = message.header
    return header.frame_id, header.stamp.sec * 10**9 + header.stamp.nanosec
