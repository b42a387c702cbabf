# SPDX-License-Identifier: Apache-2.0
"""The diagnostics of the edge."""

from std_msgs.msg import Header

from mtl_split_edge.in_use import InUse
from mtl_split_edge.local_loading import LocalLoading
from mtl_split_edge.modes import Course
from mtl_split_edge.other_side import OtherSide
from mtl_split_edge.sender import Sender
from mtl_split_edge.statuses import Statuses
from mtl_split_ros.complaints import Complaints
from mtl_split_ros.diagnostics import Updater
from mtl_split_ros.image_topic import ImageTopic
from mtl_split_ros.parameters import Parameters
from mtl_split_ros.sizes import SizeWatch
from mtl_split_ros.status import Status


class Figures:
    """Fills the statuses of the edge from what its parts count.

    Args:
        settings: Parameters of the node.
        images: The subscription.
        sizes: Of its images.
        complaints: About images.
        in_use: What answers here.
        side: What is known of the servers.
        course: The mode in force.
        loading: Of local answers.
        statuses: What became of the images.
        sender: What was sent.
    """

    def __init__(
        self,
        settings: Parameters,
        images: ImageTopic,
        sizes: SizeWatch,
        complaints: Complaints,
        in_use: InUse,
        side: OtherSide[Header],
        course: Course,
        loading: LocalLoading,
        statuses: Statuses,
        sender: Sender,
    ) -> None:
        self.replaced = 0
        self._settings = settings
        self._images = images
        self._sizes = sizes
        self._complaints = complaints
        self._in_use = in_use
        self._side = side
        self._course = course
        self._loading = loading
        self._statuses = statuses
        self._sender = sender

    def add_to(self, updater: Updater) -> None:
        """Report all of it."""
        updater.add('image', self._fill_image)
        updater.add('features', self._fill_features)
        updater.add('link', self._fill_link)
        updater.add('answers', self._fill_answers)

    def _fill_image(self, status: Status) -> None:
        self._images.fill(status)
        self._sizes.fill(status)
        status.add('replaced by newer', self.replaced)
        self._complaints.fill(status)

    def _fill_features(self, status: Status) -> None:
        rate, codec = self._settings.integer('rate'), self._settings.text('codec')
        self._sender.pipeline.fill(status, rate=rate, codec=codec)

    def _fill_link(self, status: Status) -> None:
        self._side.link.fill(status, self._sender.readers, self._side.alive())

    def _fill_answers(self, status: Status) -> None:
        self._statuses.fates.fill(
            status,
            self._course.mode,
            self._settings.number('deadline_ms') / 1e3,
            self._side.chooser.counts,
            self._side.view(),
        )
        self._statuses.fill(status)
        self._loading.fill(status)
        if self._in_use.local:
            self._in_use.local.topics.fill(status)
