# SPDX-License-Identifier: Apache-2.0
"""The edge as a ROS node: newest image in, feature map or results out; one worker does the work."""

import secrets
import socket
import time
from dataclasses import dataclass

from mtl_split.msg import FeatureMap, FrameStatus, LinkReport, SplitContract
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from mtl_split_core.backend import BackendOptions, load_network
from mtl_split_core.bundle import Bundle, TaskType, load_bundle
from mtl_split_core.bundle_search import inside
from mtl_split_core.encode import EncodeStage
from mtl_split_core.errors import BundleError, ImageError
from mtl_split_core.profile import Mode, Profile, ProfilePoint, load_profile
from mtl_split_core.tail import TailStage
from mtl_split_edge.chooser import Chooser
from mtl_split_edge.decision import Decision, PolicySettings
from mtl_split_edge.fates import Fate, Fates, LinkView, Outcome
from mtl_split_edge.ledger import Ledger, Sent
from mtl_split_edge.link import LinkState, Report
from mtl_split_edge.modes import AUTO, Wish
from mtl_split_edge.parameters import EDGE_PARAMETERS
from mtl_split_edge.pipeline import EdgePipeline
from mtl_split_edge.servers import Servers
from mtl_split_ros.complaints import Complaints
from mtl_split_ros.diagnostics import Updater
from mtl_split_ros.image_topic import ImageTopic
from mtl_split_ros.images import to_rgb
from mtl_split_ros.packets import contract_msg, packet_to_msg
from mtl_split_ros.parameters import Parameters, Value
from mtl_split_ros.qos import (
    RESULT_LIFE_S,
    features_profile,
    latched_profile,
    make_publisher,
    make_subscription,
    report_reader_profile,
    status_profile,
)
from mtl_split_ros.result_topics import ResultTopics
from mtl_split_ros.status import Level, Status
from mtl_split_ros.timers import steady_timer
from mtl_split_ros.windows import RateMeter
from mtl_split_ros.worker import NewestSlot, Worker

TROUBLE_S = 5.0
STALE_S = 2.0
"""In the fixed modes nothing is dropped for a deadline, but an answer this old is worth nothing."""
SETTLE_PERIOD_S = 0.05
LONGEST_PERIOD_S = 1.0
LONGEST_TRANSIT_S = 0.25


@dataclass(frozen=True, slots=True)
class _Arrival:
    message: Image | CompressedImage
    at: float


class LocalAnswers:
    """Answers on this machine, under the names that the server answers under.

    Args:
        node: Publishes the results.
        bundle: Bundle in use.
        settings: Of the node.

    Raises:
        BundleError: The bundle is another one by now; modes change while a node runs.
    """

    def __init__(self, node: Node, bundle: Bundle, settings: Parameters) -> None:
        if load_bundle(bundle.path).fingerprint != bundle.fingerprint:
            msg = f'{bundle.path} was replaced since this node started: start it anew'
            raise BundleError(msg)
        network = load_network(
            bundle.tail_path,
            settings.text('backend'),
            BackendOptions(settings.integer('threads'), settings.texts('providers')),
        )
        self._settings = settings
        self._detection = bundle.task(TaskType.DETECTION)
        self.tail = TailStage(bundle, network)
        self.tail.warm_up()
        self.topics = ResultTopics(node, bundle, overlay=False)
        self._threshold: float | None = None
        self.follow_threshold()

    def follow_threshold(self) -> None:
        """Take over the parameter `score_threshold`."""
        threshold = self._settings.number('score_threshold')
        if threshold != self._threshold:
            self._threshold = threshold
            self.tail.score_threshold = threshold if threshold >= 0 else None
            default = self._detection.score_threshold if self._detection else 0.0
            self.topics.announce_labels(threshold if threshold >= 0 else default)


class EdgeNode(Node):
    """Camera side of the split."""

    def __init__(self) -> None:
        """Load, warm up, and only then announce what this edge runs."""
        super().__init__('edge')
        self._log = self.get_logger()  # type: ignore[no-untyped-call]
        self._settings = settings = Parameters(self, EDGE_PARAMETERS)
        self._bundle = bundle = load_bundle(settings.text('bundle'))
        network = load_network(
            bundle.encoder_path,
            settings.text('backend'),
            BackendOptions(settings.integer('threads'), settings.texts('providers')),
        )
        self._stage = EncodeStage(bundle, network)
        # what the server says of an edge before this one must not be taken for our frames
        self._pipeline = EdgePipeline(bundle, self._stage, secrets.randbits(32))
        self._stage.warm_up()
        self._local: LocalAnswers | None = None
        self._profile: Profile | None = None
        settings.guard(self._check_parameter)

        self._complaints = Complaints(self._log.warning)
        self._link = LinkState(bundle.fingerprint)
        self._servers = Servers(bundle.fingerprint)
        self._same_bundle = True
        self._ledger: Ledger[Header] = Ledger(RESULT_LIFE_S)
        self._fates = Fates()
        self._camera = RateMeter()
        nothing = Profile(bundle.name, bundle.fingerprint, 'unmeasured', 0, ())
        self._chooser = Chooser(self._profile or nothing, PolicySettings())
        self._wish: Wish | None = None
        self._replaced = 0
        self._answered_here = False
        self._stamp_warned = False
        self._slot: NewestSlot[_Arrival] = NewestSlot()
        self._worker = Worker(self._slot, self._handle, self._failed)
        reliability = settings.text('feature_reliability')
        self._features = make_publisher(self, FeatureMap, 'features', features_profile(reliability))
        self._contract = make_publisher(self, SplitContract, 'contract', latched_profile())
        self._statuses = make_publisher(self, FrameStatus, 'frame_status', status_profile())
        make_subscription(self, LinkReport, 'link_report', self._on_report, report_reader_profile())
        self._images = ImageTopic(self, settings.text('image_transport'), self._on_image)
        self._images.subscribe()

        updater = Updater(self, socket.gethostname(), settings.number('diagnostic_updater.period'))
        updater.add('image', self._fill_image)
        updater.add('features', self._fill_features)
        updater.add('link', self._fill_link)
        updater.add('answers', self._fill_answers)
        steady_timer(self, SETTLE_PERIOD_S, self._settle)

        session, now = secrets.randbits(64), self.get_clock().now().to_msg()
        self._contract.publish(contract_msg(bundle, session, now))
        self._worker.start()
        self._log.info(
            f'ready: bundle {bundle.name} {bundle.version} ({bundle.fingerprint:016x}), '
            f'mode {settings.text("mode")}, images from {self._images.name}'
        )

    def destroy_node(self) -> None:
        """Join the worker, then release publishers and subscriptions."""
        self._ledger.close()
        self._worker.stop()
        super().destroy_node()  # type: ignore[no-untyped-call]

    def _on_image(self, message: Image | CompressedImage) -> None:
        now = time.monotonic()
        self._camera.add(now=now)
        if displaced := self._slot.put(_Arrival(message, now)):
            self._replaced += 1
            self._tell(
                displaced.message.header,
                Fate(Outcome.DROPPED, reason='a newer image came', elapsed_s=now - displaced.at),
            )

    def _handle(self, arrival: _Arrival) -> None:
        started = time.monotonic()
        wish = self._follow_parameters()
        if rate := self._camera.rates(started)[0]:
            self._chooser.follow(min(1 / rate, LONGEST_PERIOD_S))
        decision = self._chooser.decide(started - arrival.at)
        if decision.point is None:
            self._drop(arrival, decision.reason)
            return
        try:
            self._treat(arrival, wish, decision, started)
        except ImageError as error:
            self._complaints.add('image', f'image on {self._images.name} refused: {error}')
            self._drop(arrival, 'image refused')

    def _treat(self, arrival: _Arrival, wish: Wish, decision: Decision, started: float) -> None:
        assert decision.point
        image = to_rgb(arrival.message, self._settings.text('untyped_encoding'))
        stamp = arrival.message.header.stamp
        if not (stamp.sec or stamp.nanosec or self._stamp_warned):
            self._stamp_warned = True
            self._log.warning(
                f'images on {self._images.name} have a stamp of zero; it is passed on as it is'
            )
        converted = time.monotonic()
        waited = (started - arrival.at, converted - started)

        def send(point: ProfilePoint, *, probe: bool) -> None:
            packet = self._pipeline.encode(
                image,
                rate=point.rate,
                codec=point.codec.name if point.codec else '',
                wait_s=waited[0],
                convert_s=waited[1],
            )
            size, now = len(packet.payload), time.monotonic()
            deadline_s = wish.deadline_ms / 1e3
            until = arrival.at + deadline_s if wish.mode == AUTO else now + STALE_S
            message = packet_to_msg(packet, arrival.message.header)
            message.answer_session, message.answer_until_us = self._servers.address(until)
            message.probe = probe
            if not probe:
                header, expected_s = arrival.message.header, decision.expected_s
                frame = Sent(
                    header, point, size, arrival.at, until, expected_s, str(decision.reason)
                )
                self._ledger.sent(packet.sequence, frame)
            self._link.sent(packet.sequence)
            if not probe:
                self._chooser.worked(point, time.monotonic() - started)
            self._chooser.sent(packet.sequence, size, point)
            publishing = time.monotonic()
            self._features.publish(message)
            published = time.monotonic()
            self._pipeline.sent(packet, published - arrival.at, published - publishing)

        if decision.point.mode is not Mode.LOCAL:
            if self._answered_here and self._local:
                # else a lost packet of the last local answer would arrive after the server's first
                self._local.topics.wait_until_taken(RESULT_LIFE_S)
                self._answered_here = False
            send(decision.point, probe=False)
            return
        assert self._local
        self._local.follow_threshold()
        results = self._local.tail.run_features(*self._stage.features(image))
        self._chooser.worked(decision.point, time.monotonic() - started)
        transit_s = min(2 * self._chooser.link().delay_s, LONGEST_TRANSIT_S)
        if not self._ledger.wait_until_own(time.monotonic, transit_s):
            return
        header = arrival.message.header
        self._local.topics.publish(results, self._settings.text('class_id'), header)
        self._answered_here = True
        fate = Fate(
            Outcome.ANSWERED_BY_EDGE,
            decision.point.name,
            str(decision.reason),
            expected_s=decision.expected_s,
            elapsed_s=time.monotonic() - arrival.at,
        )
        self._tell(header, fate)
        if decision.probe:
            send(decision.probe, probe=True)

    def _drop(self, arrival: _Arrival, reason: str) -> None:
        elapsed_s = time.monotonic() - arrival.at
        fate = Fate(Outcome.DROPPED, reason=reason, elapsed_s=elapsed_s)
        self._tell(arrival.message.header, fate)

    def _tell(self, header: Header, fate: Fate) -> None:
        self._fates.add(fate)
        self._statuses.publish(
            FrameStatus(
                header=header,
                outcome=int(fate.outcome),
                mode=self._settings.text('mode'),
                way=fate.way,
                reason=fate.reason,
                bytes=fate.bytes,
                expected_ms=fate.expected_s * 1e3,
                elapsed_ms=fate.elapsed_s * 1e3,
            )
        )

    def _tell_sent(self, frame: Sent[Header], outcome: Outcome) -> None:
        fate = Fate(
            outcome,
            frame.point.name,
            frame.reason,
            frame.bytes,
            frame.expected_s,
            time.monotonic() - frame.arrived,
        )
        self._tell(frame.header, fate)

    def _failed(self, error: Exception) -> None:
        if self.context.ok():
            text = f'frame dropped: {type(error).__name__}: {error}'
            self._complaints.add('internal error', text)

    def _on_report(self, message: LinkReport) -> None:
        report = Report(
            fingerprint=message.fingerprint,
            session=message.session,
            interval=message.interval,
            received=message.received,
            lost=message.lost,
            refused=message.refused,
            answered=message.answered,
            goodput=message.goodput,
            last_sequence=message.last_sequence,
            hold_s=message.hold_us / 1e6,
            service_s=message.service_us / 1e6,
            busy_fraction=message.busy_fraction,
            refusal=message.refusal,
            clock_us=message.clock_us,
            late=message.late,
            done_sequence=message.done_sequence,
            done_mask=message.done_mask,
        )
        now = time.monotonic()
        if report.possible and not self._servers.heard(report, now):
            return
        self._link.reported(report, now)
        if not report.possible:
            return
        self._same_bundle = report.fingerprint == self._bundle.fingerprint
        self._chooser.reported(report, now)
        answered, passed = self._ledger.done(report.done_sequence, report.done_mask, now)
        for frame in passed:
            self._tell_sent(frame, Outcome.MISSED)
        for frame in answered:
            self._tell_sent(frame, Outcome.ANSWERED_BY_SERVER)

    def _settle(self) -> None:
        for frame in self._ledger.expire(time.monotonic()):
            self._tell_sent(frame, Outcome.MISSED)

    def _check_parameter(self, name: str, value: Value) -> None:
        if name == 'rate' and isinstance(value, int):
            self._pipeline.check_rate(value)
        if name == 'mode' and value == AUTO and self._profile is None:
            self._profile = self._load_profile()
        if name == 'mode' and value in (AUTO, Mode.LOCAL) and self._local is None:
            self._local = LocalAnswers(self, self._bundle, self._settings)

    def _load_profile(self) -> Profile:
        name = self._settings.text('profile')
        return load_profile(self._bundle, inside(self._bundle.path, name) if name else None)

    def _follow_parameters(self) -> Wish:
        settings = self._settings
        wish = Wish(
            settings.text('mode'),
            settings.integer('rate'),
            settings.text('codec'),
            settings.text('picture'),
            settings.number('deadline_ms'),
        )
        if wish != self._wish:
            before, self._wish = self._wish, wish
            if point := wish.point(self._bundle):
                self._chooser.hold(point)
            elif self._profile and (before is None or before.mode != AUTO):
                self._chooser.choose(self._profile)
            self._chooser.aim(wish.deadline_ms / 1e3)
            if before and before.mode != wish.mode:
                self._log.info(f'mode {wish.mode}')
        return wish

    def _link_view(self) -> LinkView:
        now = time.monotonic()
        return LinkView(
            servers=len(self._servers.alive(now)),
            same_bundle=self._same_bundle,
            silence_s=self._chooser.silence_s(now),
            estimate=self._chooser.link(now),
        )

    def _fill_image(self, status: Status) -> None:
        self._images.fill(status)
        status.add('replaced by newer', self._replaced)
        status.add('refused', self._complaints.total)
        for reason, count in sorted(self._complaints.counts.items()):
            status.add(f'refused: {reason}', count)
        if text := self._complaints.latest(TROUBLE_S):
            status.merge_summary(Level.ERROR, text)
            status.add('latest refusal', text)

    def _fill_features(self, status: Status) -> None:
        self._pipeline.fill(
            status, rate=self._settings.integer('rate'), codec=self._settings.text('codec')
        )

    def _fill_link(self, status: Status) -> None:
        servers = len(self._servers.alive(time.monotonic()))
        self._link.fill(status, self._features.get_subscription_count(), servers)

    def _fill_answers(self, status: Status) -> None:
        self._fates.fill(
            status,
            self._settings.text('mode'),
            self._settings.number('deadline_ms') / 1e3,
            self._chooser.counts,
            self._link_view(),
        )
