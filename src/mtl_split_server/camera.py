# SPDX-License-Identifier: Apache-2.0
"""One camera of the server: its topics, its figures, its link report."""

import threading
import time
from dataclasses import asdict

from mtl_split.msg import FeatureMap, LinkReport, SplitContract
from rclpy.node import Node

from mtl_split_core.errors import PacketError
from mtl_split_core.packet import check_packet
from mtl_split_core.results import FrameResults
from mtl_split_core.tail import Inferred, Prepared
from mtl_split_ros.diagnostics import Updater
from mtl_split_ros.packets import packet_from_msg
from mtl_split_ros.qos import (
    features_reader_profile,
    latched_profile,
    make_publisher,
    make_subscription,
    report_profile,
    report_reader_profile,
)
from mtl_split_ros.result_topics import ResultTopics
from mtl_split_ros.snapshot import Moment
from mtl_split_ros.status import Status
from mtl_split_ros.topic_watch import TopicWatch
from mtl_split_server.moment import moment_of
from mtl_split_server.overlays import Overlays, Picture, stamp_of
from mtl_split_server.pipeline import Contract, ServerFigures
from mtl_split_server.schedule import NO_DEADLINE
from mtl_split_server.turn import Turn, Turns, clock_us
from mtl_split_server.waiting import Begun, Common, Drawing, Frame

_SILENT = 'an edge in mode local asks no server, else look at the log of what publishes it'


class Camera:
    """Hears one camera's edge and answers it.

    Args:
        node: Publishes and subscribes.
        common: What the cameras share.
        name: Namespace below the node's; '' for the node's own, which is the only camera then.
    """

    def __init__(self, node: Node, common: Common, name: str) -> None:
        self._node = node
        self._common = common
        self._name = name
        self._bundle = bundle = common.bundle
        self._prefix = prefix = f'{name}/' if name else ''
        log = node.get_logger()

        def warn(text: str) -> None:
            log.warning(f'camera {name}: {text}' if name else text)

        self._turns = Turns(common.session)
        self._figures = ServerFigures(bundle, warn)
        self._results = ResultTopics(node, bundle, prefix=prefix)
        self._reports = make_publisher(node, LinkReport, f'{prefix}link_report', report_profile())
        self._last: tuple[FeatureMap, Prepared] | None = None
        self._reporting = threading.Lock()
        self._reported = 0.0
        settings = common.settings
        self._overlays = Overlays(
            node,
            settings,
            bundle,
            self._results,
            self._figures,
            warn,
            self._on_pair,
            f'{prefix}image',
        )
        self._profile = features_reader_profile(settings.text('feature_reliability'))
        self.topic = node.resolve_topic_name(f'{prefix}features')
        self._watch = TopicWatch(
            node, self.topic, 'mtl_split/msg/FeatureMap', self._profile, silent=_SILENT
        )

    def listen(self) -> None:
        """Subscribe."""
        node, prefix = self._node, self._prefix
        make_subscription(
            node, LinkReport, f'{prefix}link_report', self._on_report, report_reader_profile()
        )
        make_subscription(
            node, SplitContract, f'{prefix}contract', self._on_contract, latched_profile()
        )
        events = self._watch.events()
        make_subscription(node, FeatureMap, self.topic, self._on_features, self._profile, events)

    def add_diagnostics(self, updater: Updater) -> None:
        """Report on this camera: 'server: features', or 'server: front features' of several."""
        words = f'{self._name} ' if self._name else ''
        updater.add(f'{words}features', self._fill_features)
        updater.add(f'{words}results', self._fill_results)
        updater.add(f'{words}contract', self._figures.fill_contract)
        updater.add(f'{words}overlay', self._overlays.fill)

    def announce_labels(self, score_threshold: float) -> None:
        """Publish the latched label info; the threshold is in force for the boxes, 0 to 1."""
        self._results.announce_labels(score_threshold)

    def take_over(self, common: Common) -> None:
        """Answer by another bundle from now on; called while the worker is at rest."""
        self._results.take_over(common.bundle)
        self._common, self._bundle, self._last = common, common.bundle, None
        self._figures.take_over(common.bundle)
        self._overlays.take_over(common.bundle)

    def moment(self) -> Moment | None:
        """Return the last answered frame, with the results of all heads; None before the first.

        Called while the worker is at rest.
        """
        if self._last is None:
            return None
        message, prepared = self._last
        image = self._overlays.drawn(stamp_of(message))
        tail, bundle = self._common.tail, self._bundle
        return moment_of(self._name, message, prepared, image, tail, bundle)

    def draw(self, drawing: Drawing) -> None:
        """Draw an overlay; called by the worker."""
        if drawing.bundle is self._bundle:
            self._overlays.draw(drawing.image, drawing.results)

    def begin(self, frame: Frame) -> Begun | None:
        """Decode a frame whose turn has come; called by the worker.

        Returns:
            What the network is to answer, None for a frame that gets no answer; that is counted.
        """
        message = frame.message
        started = time.monotonic()
        if not self._wanted(message):
            return None
        if message.fingerprint != self._bundle.fingerprint:
            text = 'fingerprint: the bundle was reloaded while this frame waited'
            self._figures.refused('fingerprint', text)
            return None
        wanted = self._results.wanted()
        try:
            # Of several cameras' frames many are displaced: what is not answered is not decoded.
            tail, packet = self._common.tail, packet_from_msg(message, self._bundle)
            prepared = frame.prepared or tail.prepare(packet)
            return Begun(frame, prepared, tail.encoded(prepared), wanted, started)
        except PacketError as error:
            self._figures.refused(error.reason, str(error))
            return None

    def answer(self, begun: Begun, inferred: Inferred, batch: int) -> None:
        """Publish what the network says of a frame, and report; called by the worker.

        Args:
            begun: From begin().
            inferred: Of this frame.
            batch: Frames in that run of the network.
        """
        frame, message, wanted = begun.frame, begun.frame.message, begun.wanted
        camera, sequence = message.header.frame_id, message.sequence
        try:
            results = self._common.tail.results(inferred, wanted)
        except PacketError as error:
            self._figures.refused(error.reason, str(error))
            return
        # The frames of other cameras that went before it are part of what this server takes.
        since = frame.at if self._name else begun.at
        class_id = self._common.settings.text('class_id')
        if message.probe:
            self._figures.probed(camera, sequence, time.monotonic() - since)
            self._report(self._results.size_of(results, class_id, message.header))
            return
        if not self._wanted(message):
            return
        publishing = time.monotonic()
        self._results.publish(results, class_id, message.header)
        published = time.monotonic()
        times = {
            'wait': (begun.at - frame.at) * 1e3,
            **results.times,
            'publish': (published - publishing) * 1e3,
        }
        total_s, service_s = published - frame.at, published - since
        self._figures.answered(camera, sequence, times, total_s, service_s, batch)
        self._report()
        self._last = message, begun.prepared
        if len(wanted) == len(self._bundle.tasks):
            # else made before somebody subscribed overlay
            self._overlays.answered(stamp_of(message), results)

    def failed(self, error: Exception) -> None:
        """Count an error that nobody expected."""
        self._figures.refused('internal error', f'{type(error).__name__}: {error}')

    def follow_overlay(self) -> None:
        """Subscribe the images while somebody subscribes `overlay`."""
        self._overlays.follow()

    def report_in_time(self, silent_s: float) -> None:
        """Report if the last report is older than `silent_s` seconds."""
        if time.monotonic() - self._reported > silent_s:
            self._report()

    def _on_features(self, message: FeatureMap) -> None:
        camera, size = message.header.frame_id, len(message.data)
        self._watch.heard(size)
        turn = self._turns.of(message.answer_session, message.answer_until_us)
        if turn is Turn.ELSEWHERE:
            # whether it arrives is for that server's report
            self._figures.elsewhere()
            return
        packet = packet_from_msg(message, self._bundle)
        prepared = None
        try:
            if turn is Turn.ANSWER and not self._name:
                # here, so that one that is refused cannot displace a frame that is in order
                prepared = self._common.tail.prepare(packet)
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
        ours = message.answer_session == self._common.session
        # the deadline of a frame to nobody, as in a recording, is on a clock that is not known
        until = message.answer_until_us if ours and message.answer_until_us else NO_DEADLINE
        frame = Frame(self, message, prepared, time.monotonic(), until)
        if self._common.queue.put(('features', self._key(camera)), frame, until):
            self._figures.replaced()

    def _key(self, frame_id: str) -> str:
        # Where namespaces tell the cameras apart, no frame_id makes two shares of one.
        return self._name or frame_id

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

    def _on_pair(self, image: Picture, results: FrameResults) -> None:
        key = self._key(image.header.frame_id)
        drawing = Drawing(self, image, results, self._bundle)
        self._common.queue.put(('overlay', key), drawing)

    def _wanted(self, message: FeatureMap) -> bool:
        turn = self._turns.of(message.answer_session, message.answer_until_us)
        if turn is not Turn.ANSWER:
            self._leave(turn)
        return turn is Turn.ANSWER

    def _report(self, padding: int = 0) -> None:
        # by the worker after each answer, by the timer where there are none
        with self._reporting:
            self._reported = time.monotonic()
            counts = asdict(self._figures.link.close_interval(self._common.busy_s()))
            frame_id = counts.pop('camera')
            message = LinkReport(
                fingerprint=self._bundle.fingerprint,
                session=self._common.session,
                clock_us=clock_us(),
                padding=bytes(padding),
                **counts,
            )
            message.header.stamp = self._node.get_clock().now().to_msg()
            message.header.frame_id = frame_id
            self._reports.publish(message)

    def _fill_results(self, status: Status) -> None:
        self._figures.fill_results(status, self._turns.peers())
        self._results.fill(status)

    def _fill_features(self, status: Status) -> None:
        self._watch.fill(status)
        self._figures.fill_features(status)
