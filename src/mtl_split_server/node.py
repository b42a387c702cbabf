# SPDX-License-Identifier: Apache-2.0
"""The server as a ROS node: newest feature map in, perception topics out; one worker."""

import secrets
import socket
import threading
import time
from dataclasses import dataclass

from mtl_split.msg import FeatureMap, LinkReport, SplitContract
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from mtl_split_core.backend import BackendOptions, load_network
from mtl_split_core.bundle import TaskType, load_bundle
from mtl_split_core.errors import ImageError, PacketError
from mtl_split_core.overlay import draw_overlay
from mtl_split_core.packet import check_packet
from mtl_split_core.results import FrameResults
from mtl_split_core.tail import Prepared, TailStage
from mtl_split_ros.complaints import Complaints
from mtl_split_ros.diagnostics import Updater
from mtl_split_ros.image_topic import ImageTopic
from mtl_split_ros.images import to_rgb
from mtl_split_ros.packets import packet_from_msg
from mtl_split_ros.parameters import Parameters
from mtl_split_ros.qos import (
    features_reader_profile,
    latched_profile,
    make_publisher,
    make_subscription,
    report_profile,
    report_reader_profile,
)
from mtl_split_ros.result_topics import ResultTopics
from mtl_split_ros.status import Level, Status
from mtl_split_ros.timers import steady_timer
from mtl_split_ros.topic_watch import TopicWatch
from mtl_split_ros.worker import NewestSlot, Worker
from mtl_split_server.overlay_matching import OverlayMatcher, Stamp
from mtl_split_server.parameters import SERVER_PARAMETERS
from mtl_split_server.pipeline import TROUBLE_S, Contract, ServerFigures
from mtl_split_server.turn import Turn, Turns, clock_us

OVERLAY_POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class _Frame:
    message: FeatureMap
    prepared: Prepared
    at: float


@dataclass(frozen=True, slots=True)
class _Drawing:
    image: Image | CompressedImage
    results: FrameResults


class ServerNode(Node):
    """Server side of the split."""

    def __init__(self) -> None:
        """Load, warm up, and only then subscribe."""
        super().__init__('server')
        log = self.get_logger()  # type: ignore[no-untyped-call]
        self._settings = settings = Parameters(self, SERVER_PARAMETERS)
        self._bundle = bundle = load_bundle(settings.text('bundle'))
        network = load_network(
            bundle.tail_path,
            settings.text('backend'),
            BackendOptions(settings.integer('threads'), settings.texts('providers')),
        )
        encoder = load_network(
            bundle.encoder_path,
            settings.text('backend'),
            BackendOptions(settings.integer('threads'), settings.texts('providers')),
        )
        self._tail = TailStage(bundle, network, encoder=encoder)
        self._tail.warm_up()

        # 0 would mean any server
        self._session = secrets.randbits(64) or 1
        self._turns = Turns(self._session)
        self._figures = ServerFigures(bundle, log.warning)
        self._image_complaints = Complaints(log.warning)
        self._matcher: OverlayMatcher[Image | CompressedImage, FrameResults] = OverlayMatcher()
        self._slot: NewestSlot[_Frame | _Drawing] = NewestSlot()
        self._worker = Worker(self._slot, self._work, self._failed)
        self._topics = ResultTopics(self, bundle)
        self._threshold: float | None = None
        self._follow_threshold()
        self._reports = make_publisher(self, LinkReport, 'link_report', report_profile())
        self._images = ImageTopic(self, settings.text('image_transport'), self._on_image)
        make_subscription(self, LinkReport, 'link_report', self._on_report, report_reader_profile())
        make_subscription(self, SplitContract, 'contract', self._on_contract, latched_profile())
        profile = features_reader_profile(settings.text('feature_reliability'))
        topic = self.resolve_topic_name('features')
        self._watch = TopicWatch(self, topic, 'mtl_split/msg/FeatureMap', profile)
        events = self._watch.events()
        make_subscription(self, FeatureMap, topic, self._on_features, profile, events)

        updater = Updater(self, socket.gethostname(), settings.number('diagnostic_updater.period'))
        updater.add('features', self._fill_features)
        updater.add('results', self._fill_results)
        updater.add('contract', self._figures.fill_contract)
        updater.add('overlay', self._fill_overlay)
        self._reporting = threading.Lock()
        self._reported = 0.0
        self._report_period = 1 / settings.number('report_rate')
        steady_timer(self, self._report_period / 2, self._report_in_time)
        steady_timer(self, OVERLAY_POLL_S, self._follow_overlay)

        self._worker.start()
        log.info(
            f'ready: bundle {bundle.name} {bundle.version} ({bundle.fingerprint:016x}), '
            f'features from {topic}'
        )

    def destroy_node(self) -> None:
        """Join the worker, then release publishers and subscriptions."""
        self._worker.stop()
        super().destroy_node()  # type: ignore[no-untyped-call]

    def _on_features(self, message: FeatureMap) -> None:
        camera, size = message.header.frame_id, len(message.data)
        self._watch.heard(size)
        turn = self._turns.of(message.answer_session, message.answer_until_us)
        if turn is Turn.ELSEWHERE:
            # whether it arrives is for that server's report
            self._figures.elsewhere()
            return
        packet = packet_from_msg(message, self._bundle)
        try:
            if turn is Turn.ANSWER:
                # here, so that one that is refused cannot displace a frame that is in order
                prepared = self._tail.prepare(packet)
            else:
                check_packet(packet, self._bundle)
        except PacketError as error:
            # nothing that it says of itself is believed, its number least of all
            self._figures.arrived(camera, None, size)
            self._figures.refused(error.reason, str(error))
            return
        self._figures.arrived(camera, message.sequence, size)
        if turn is not Turn.ANSWER:
            self._leave(turn)
            return
        if self._slot.put(_Frame(message, prepared, time.monotonic()), ('features', camera)):
            self._figures.replaced()

    def _on_report(self, message: LinkReport) -> None:
        self._turns.heard(message.session)

    def _leave(self, turn: Turn) -> None:
        if turn is Turn.LATE:
            self._figures.late()
        else:
            self._figures.elsewhere()

    def _on_contract(self, message: SplitContract) -> None:
        self._figures.contract(
            Contract(message.bundle, message.version, message.fingerprint, message.session)
        )

    def _on_image(self, message: Image | CompressedImage) -> None:
        if pair := self._matcher.image(_stamp(message.header), message):
            self._slot.put(_Drawing(*pair), ('overlay', message.header.frame_id))

    def _work(self, item: _Frame | _Drawing) -> None:
        if isinstance(item, _Frame):
            self._answer(item)
        else:
            self._draw(item)

    def _answer(self, frame: _Frame) -> None:
        message = frame.message
        camera, sequence = message.header.frame_id, message.sequence
        started = time.monotonic()
        if not self._wanted(message):
            return
        self._follow_threshold()
        try:
            results = self._tail.finish(frame.prepared)
        except PacketError as error:
            self._figures.refused(error.reason, str(error))
            return
        if message.probe:
            self._figures.probed(camera, sequence, time.monotonic() - started)
            self._report()
            return
        if not self._wanted(message):
            return
        publishing = time.monotonic()
        self._topics.publish(results, self._settings.text('class_id'), message.header)
        published = time.monotonic()
        times = {
            'wait': (started - frame.at) * 1e3,
            **results.times,
            'publish': (published - publishing) * 1e3,
        }
        self._figures.answered(camera, sequence, times, published - frame.at, published - started)
        self._report()
        stamp = _stamp(message.header)
        if self._images.subscribed and (pair := self._matcher.result(stamp, results)):
            self._draw(_Drawing(*pair))

    def _wanted(self, message: FeatureMap) -> bool:
        turn = self._turns.of(message.answer_session, message.answer_until_us)
        if turn is not Turn.ANSWER:
            self._leave(turn)
        return turn is Turn.ANSWER

    def _draw(self, drawing: _Drawing) -> None:
        started = time.monotonic()
        try:
            image = to_rgb(drawing.image, self._settings.text('untyped_encoding'))
            picture = draw_overlay(image, drawing.results, self._bundle)
        except ImageError as error:
            text = f'overlay left out, image on {self._images.name}: {error}'
            self._image_complaints.add('image', text)
            return
        self._topics.publish_overlay(picture, drawing.image.header)
        self._figures.drawn((time.monotonic() - started) * 1e3)

    def _failed(self, error: Exception) -> None:
        if self.context.ok():
            self._figures.refused('internal error', f'{type(error).__name__}: {error}')

    def _follow_threshold(self) -> None:
        threshold = self._settings.number('score_threshold')
        if threshold != self._threshold:
            self._threshold = threshold
            self._tail.score_threshold = threshold if threshold >= 0 else None
            detection = self._bundle.task(TaskType.DETECTION)
            default = detection.score_threshold if detection else 0.0
            self._topics.announce_labels(threshold if threshold >= 0 else default)

    def _follow_overlay(self) -> None:
        if self._topics.overlay_wanted:
            self._images.subscribe()
        elif self._images.subscribed:
            self._images.unsubscribe()
            self._matcher.clear()

    def _report_in_time(self) -> None:
        if time.monotonic() - self._reported > self._report_period * 0.75:
            self._report()

    def _report(self) -> None:
        # by the worker after each answer, by the timer where there are none
        with self._reporting:
            self._reported = time.monotonic()
            figures = self._figures.link.close_interval(self._worker.busy_s)
            message = LinkReport(
                fingerprint=self._bundle.fingerprint,
                session=self._session,
                clock_us=clock_us(),
                interval=figures.interval,
                received=figures.received,
                lost=figures.lost,
                refused=figures.refused,
                late=figures.late,
                answered=figures.answered,
                goodput=figures.goodput,
                last_sequence=figures.last_sequence,
                hold_us=figures.hold_us,
                service_us=figures.service_us,
                done_sequence=figures.done_sequence,
                done_mask=figures.done_mask,
                busy_fraction=figures.busy_fraction,
                refusal=figures.refusal,
            )
            message.header.stamp = self.get_clock().now().to_msg()
            message.header.frame_id = figures.camera
            self._reports.publish(message)

    def _fill_results(self, status: Status) -> None:
        self._figures.fill_results(status, self._turns.peers())

    def _fill_features(self, status: Status) -> None:
        self._watch.fill(status)
        self._figures.fill_features(status)

    def _fill_overlay(self, status: Status) -> None:
        if not self._images.subscribed:
            status.summary(Level.OK, 'nobody subscribes overlay')
            return
        self._images.fill(status)
        if text := self._image_complaints.latest(TROUBLE_S):
            status.merge_summary(Level.ERROR, text)


def _stamp(header: Header) -> Stamp:
    return header.frame_id, header.stamp.sec * 10**9 + header.stamp.nanosec
