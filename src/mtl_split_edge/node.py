# SPDX-License-Identifier: Apache-2.0
"""The edge as a ROS node: newest image in, feature map or results out; one worker does the work."""

import secrets
import socket
import threading
import time
from collections.abc import Sequence

from mtl_split.msg import LinkReport, SplitContract
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from mtl_split_core.errors import MtlSplitError
from mtl_split_edge.arrival import Arrival
from mtl_split_edge.fates import Outcome
from mtl_split_edge.figures import Figures
from mtl_split_edge.frame_work import FrameWork
from mtl_split_edge.in_use import InUse
from mtl_split_edge.loading import Loaded, load, load_measured
from mtl_split_edge.local_loading import LocalLoading
from mtl_split_edge.modes import AUTO, NEED_LOCAL, Course
from mtl_split_edge.moment import moment_of
from mtl_split_edge.other_side import OtherSide
from mtl_split_edge.parameters import EDGE_PARAMETERS
from mtl_split_edge.pipeline import check_rate
from mtl_split_edge.reports import report_from_msg
from mtl_split_edge.sender import Sender
from mtl_split_edge.statuses import Statuses
from mtl_split_ros.answer_filter import AnswerFilter
from mtl_split_ros.complaints import Complaints
from mtl_split_ros.diagnostics import Updater
from mtl_split_ros.image_topic import ImageTopic
from mtl_split_ros.outbox import Outbox
from mtl_split_ros.packets import contract_msg
from mtl_split_ros.parameters import Parameters, Value
from mtl_split_ros.qos import (
    RESULT_LIFE_S,
    latched_profile,
    make_publisher,
    make_subscription,
    report_reader_profile,
)
from mtl_split_ros.services import Services, aside, at_rest
from mtl_split_ros.snapshot import Moment, offer_snapshot
from mtl_split_ros.timers import steady_timer
from mtl_split_ros.worker import NewestSlot, Worker

SETTLE_PERIOD_S = 0.05
STATUSES_KEPT = 200
"""Statuses of images that may wait to get out: some seconds of them."""


class EdgeNode(Node):
    """Camera side of the split."""

    def __init__(self) -> None:
        """Load, warm up, and only then announce what this edge runs."""
        super().__init__('edge')
        log = self.get_logger()  # type: ignore[no-untyped-call]
        self._settings = settings = Parameters(self, EDGE_PARAMETERS)
        loaded = load(settings)
        bundle = loaded.bundle
        answers = AnswerFilter(settings, bundle)
        self._in_use = in_use = InUse(bundle, loaded.stage, answers)
        self._course = course = Course(settings.text('mode'), log.info)
        self._loading = loading = LocalLoading(self, settings, in_use, course)
        settings.guard(self._check_parameter)

        self._complaints = complaints = Complaints(log.warning)
        self._side: OtherSide[Header] = OtherSide(bundle, in_use.profile, RESULT_LIFE_S)
        # held while a frame is worked on, and while the bundle changes
        self._at_rest = threading.Lock()
        reliability = settings.text('feature_reliability')
        self._sender = sender = Sender(self, reliability, in_use, self._side)
        self._contract = make_publisher(self, SplitContract, 'contract', latched_profile())
        # Each on its own: what is known of a jam must not wait in it.
        self._outbox = Outbox('statuses', STATUSES_KEPT, self._not_published)
        self._diagnostics = Outbox('diagnostics', 1, self._not_published)
        self._statuses = statuses = Statuses(self, lambda: course.mode, self._outbox)
        make_subscription(self, LinkReport, 'link_report', self._on_report, report_reader_profile())
        self._images = images = ImageTopic(
            self,
            settings.text('image_transport'),
            settings.text('image_reliability'),
            self._on_image,
        )
        self._frames = FrameWork(
            settings,
            in_use,
            self._side,
            course,
            statuses,
            sender,
            lambda why: complaints.add('image', f'image on {images.name} refused: {why}'),
            lambda text: log.warning(f'images on {images.name} {text}'),
        )
        self._slot: NewestSlot[Arrival] = NewestSlot()
        self._worker = Worker(self._slot, self._work, self._failed)
        self._figures = Figures(
            settings,
            images,
            self._frames.sizes,
            complaints,
            in_use,
            self._side,
            course,
            loading,
            statuses,
            sender,
        )
        images.subscribe()

        period_s = settings.number('diagnostic_updater.period')
        updater = Updater(self, socket.gethostname(), period_s, self._diagnostics.send)
        self._figures.add_to(updater)
        steady_timer(self, SETTLE_PERIOD_S, self._settle)

        self._session = secrets.randbits(64)
        self._announce()
        services = Services(self)
        services.offer('reload_bundle', self._reload)
        offer_snapshot(self, services, settings.text('snapshot_dir'), updater, self._look)
        for thread in (self._outbox, self._diagnostics, self._worker):
            thread.start()
        log.info(
            f'ready: bundle {bundle.title}, mode {settings.text("mode")}, images from {images.name}'
        )

    def destroy_node(self) -> None:
        """Join the worker, then release publishers and subscriptions."""
        self._side.ledger.close()
        self._worker.stop()
        self._outbox.close()
        self._diagnostics.close()
        super().destroy_node()  # type: ignore[no-untyped-call]

    def _announce(self) -> None:
        now = self.get_clock().now().to_msg()
        self._contract.publish(contract_msg(self._in_use.bundle, self._session, now))

    def _on_image(self, message: Image | CompressedImage) -> None:
        now = time.monotonic()
        self._frames.camera.add(now=now)
        if displaced := self._slot.put(Arrival(message, now)):
            self._figures.replaced += 1
            self._statuses.dropped(displaced, 'a newer image came')

    def _work(self, arrival: Arrival) -> None:
        with self._at_rest:
            self._frames.handle(arrival)

    def _failed(self, error: Exception) -> None:
        if self.context.ok():
            text = f'frame dropped: {type(error).__name__}: {error}'
            self._complaints.add('internal error', text)

    def _not_published(self, error: Exception) -> None:
        if self.context.ok():
            self._complaints.add('internal error', str(error))

    def _on_report(self, message: LinkReport) -> None:
        answered, passed = self._side.reported(report_from_msg(message), time.monotonic())
        for frame in passed:
            self._statuses.settled(frame, Outcome.MISSED)
        for frame in answered:
            self._statuses.settled(frame, Outcome.ANSWERED_BY_SERVER)

    def _settle(self) -> None:
        for frame in self._side.ledger.expire(time.monotonic()):
            self._statuses.settled(frame, Outcome.MISSED)

    def _check_parameter(self, name: str, value: Value) -> None:
        in_use = self._in_use
        if name == 'rate' and isinstance(value, int):
            check_rate(in_use.bundle, value)
        in_use.answers.check(name, value)
        if name == 'mode' and value == AUTO and in_use.profile is None:
            in_use.profile = load_measured(self._settings, in_use.bundle)
        if name == 'mode' and value in NEED_LOCAL:
            self._loading.want()

    async def _reload(self) -> str:
        local, auto = self._in_use.local is not None, self._settings.text('mode') == AUTO
        loaded = await aside(self, lambda: load(self._settings, tail=local, profile=auto))
        async with at_rest(self, self._at_rest):
            self._take_over(loaded)
        return f'bundle {loaded.bundle.title}'

    def _take_over(self, loaded: Loaded) -> None:
        """Go on with another bundle; an error leaves everything as it was."""
        bundle, in_use = loaded.bundle, self._in_use
        check_rate(bundle, self._settings.integer('rate'))
        answers = AnswerFilter(self._settings, bundle)
        auto = self._settings.text('mode') == AUTO
        if (in_use.local and not loaded.tail) or (auto and not loaded.profile):
            msg = 'the mode was changed meanwhile: call ~/reload_bundle again'
            raise MtlSplitError(msg)
        if in_use.local and loaded.tail:
            try:
                in_use.local.take_over(bundle, answers, loaded.tail)
            except MtlSplitError:
                in_use.local.topics.take_over(in_use.bundle)
                raise
        in_use.bundle, in_use.stage, in_use.answers = bundle, loaded.stage, answers
        in_use.profile = loaded.profile
        self._sender.take_over(in_use)
        self._side.take_over(bundle, loaded.profile)
        self._course.forget()
        self._announce()

    def _look(self) -> Sequence[Moment]:
        """Return what a snapshot shows."""
        with self._at_rest:
            picture, in_use, results = self._frames.shown, self._in_use, None
            if picture is None:
                msg = f'no image has come yet on {self._images.name}'
                raise MtlSplitError(msg)
            if in_use.local:
                results = in_use.local.answer_whole(in_use.stage.features(picture.image))
            sent = self._sender.newest
            return [moment_of(picture.image, picture.header, sent, results, in_use.bundle)]
