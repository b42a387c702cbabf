# SPDX-License-Identifier: Apache-2.0
"""The edge as a ROS node: newest image in, feature map or results out; one worker does the work."""

import secrets
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mtl_split.msg import FeatureMap, FrameStatus, LinkReport, SplitContract
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from mtl_split_core.errors import ImageError, MtlSplitError
from mtl_split_core.profile import Mode, Profile, ProfilePoint
from mtl_split_edge.chooser import Chooser
from mtl_split_edge.decision import Decision, PolicySettings
from mtl_split_edge.fates import Fate, Fates, LinkView, Outcome
from mtl_split_edge.ledger import Ledger, Sent
from mtl_split_edge.link import LinkState, Report
from mtl_split_edge.loading import Loaded, load, load_measured, load_tail
from mtl_split_edge.local_answers import LocalAnswers
from mtl_split_edge.modes import AUTO, Wish
from mtl_split_edge.moment import moment_of
from mtl_split_edge.parameters import EDGE_PARAMETERS
from mtl_split_edge.pipeline import EdgePipeline, check_rate
from mtl_split_edge.servers import Servers
from mtl_split_ros.answer_filter import AnswerFilter
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
from mtl_split_ros.services import Services, aside, at_rest
from mtl_split_ros.snapshot import Moment, offer_snapshot
from mtl_split_ros.status import Level, Status
from mtl_split_ros.timers import steady_timer
from mtl_split_ros.windows import RateMeter
from mtl_split_ros.worker import NewestSlot, Worker

TROUBLE_S = 5.0
STALE_S = 2.0
"""In the fixed modes nothing is dropped for a deadline, but an answer this old is worth nothing."""
SETTLE_PERIOD_S = 0.05
LONGEST_PERIOD_S = 1.0


@dataclass(frozen=True, slots=True)
class _Arrival:
    message: Image | CompressedImage
    at: float


@dataclass(frozen=True, slots=True)
class _Picture:
    image: NDArray[np.uint8]
    header: Header
    arrived: float
    started: float
    converted: float


class EdgeNode(Node):
    """Camera side of the split."""

    def __init__(self) -> None:
        """Load, warm up, and only then announce what this edge runs."""
        super().__init__('edge')
        self._log = self.get_logger()  # type: ignore[no-untyped-call]
        self._settings = settings = Parameters(self, EDGE_PARAMETERS)
        loaded = load(settings)
        self._bundle = bundle = loaded.bundle
        self._stage = loaded.stage
        # what the server says of an edge before this one must not be taken for our frames
        self._pipeline = EdgePipeline(bundle, self._stage, secrets.randbits(32))
        self._answers = AnswerFilter(settings, bundle)
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
        # held while a frame is worked on, and while the bundle changes
        self._at_rest = threading.Lock()
        self._shown: _Picture | None = None
        self._sent: FeatureMap | None = None
        self._wish: Wish | None = None
        self._replaced = 0
        self._answered_here = False
        self._stamp_warned = False
        self._slot: NewestSlot[_Arrival] = NewestSlot()
        self._worker = Worker(self._slot, self._work, self._failed)
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

        self._session = secrets.randbits(64)
        self._announce()
        services = Services(self)
        services.offer('reload_bundle', self._reload)
        offer_snapshot(self, services, settings.text('snapshot_dir'), updater, self._look)
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

    def _announce(self) -> None:
        now = self.get_clock().now().to_msg()
        self._contract.publish(contract_msg(self._bundle, self._session, now))

    def _on_image(self, message: Image | CompressedImage) -> None:
        now = time.monotonic()
        self._camera.add(now=now)
        if displaced := self._slot.put(_Arrival(message, now)):
            self._replaced += 1
            self._tell(
                displaced.message.header,
                Fate(Outcome.DROPPED, reason='a newer image came', elapsed_s=now - displaced.at),
            )

    def _work(self, arrival: _Arrival) -> None:
        with self._at_rest:
            self._handle(arrival)

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
        header = arrival.message.header
        if not (header.stamp.sec or header.stamp.nanosec or self._stamp_warned):
            self._stamp_warned = True
            self._log.warning(
                f'images on {self._images.name} have a stamp of zero; it is passed on as it is'
            )
        picture = _Picture(image, header, arrival.at, started, time.monotonic())
        self._shown = picture
        if decision.point.mode is Mode.LOCAL:
            if self._answer_here(picture, decision) and decision.probe:
                self._send(picture, decision.probe, self._until(picture, wish), decision=None)
            return
        if self._answered_here and self._local:
            # else a lost packet of the last local answer would arrive after the server's first
            self._local.topics.wait_until_taken(RESULT_LIFE_S)
            self._answered_here = False
        self._send(picture, decision.point, self._until(picture, wish), decision)

    @staticmethod
    def _until(picture: _Picture, wish: Wish) -> float:
        if wish.mode == AUTO:
            return picture.arrived + wish.deadline_ms / 1e3
        return time.monotonic() + STALE_S

    def _send(
        self, picture: _Picture, point: ProfilePoint, until: float, decision: Decision | None
    ) -> None:
        """Send a picture to the server, as a probe that nobody answers without a decision."""
        packet = self._pipeline.encode(
            picture.image,
            rate=point.rate,
            codec=point.codec.name if point.codec else '',
            wait_s=picture.started - picture.arrived,
            convert_s=picture.converted - picture.started,
        )
        size = len(packet.payload)
        message = packet_to_msg(packet, picture.header)
        session, until_us = self._servers.address(until)
        message.answer_session, message.answer_until_us = session, until_us
        message.probe = decision is None
        if decision:
            frame = Sent(
                picture.header,
                point,
                size,
                picture.arrived,
                until,
                session,
                until_us,
                decision.expected_s,
                str(decision.reason),
            )
            self._ledger.sent(packet.sequence, frame)
            self._chooser.worked(point, time.monotonic() - picture.started)
        self._link.sent(packet.sequence)
        self._chooser.sent(packet.sequence, size, point)
        publishing = time.monotonic()
        self._features.publish(message)
        self._sent = message
        published = time.monotonic()
        self._pipeline.sent(packet, published - picture.arrived, published - publishing)

    def _answer_here(self, picture: _Picture, decision: Decision) -> bool:
        """Answer on this machine; False if the node ends first."""
        assert self._local
        assert decision.point
        results = self._local.answer(self._stage, picture.image)
        self._chooser.worked(decision.point, time.monotonic() - picture.started)
        if not self._ledger.wait_until_own(time.monotonic, 2 * self._chooser.link().delay_s):
            return False
        self._local.topics.publish(results, self._settings.text('class_id'), picture.header)
        self._answered_here = True
        fate = Fate(
            Outcome.ANSWERED_BY_EDGE,
            decision.point.name,
            str(decision.reason),
            expected_s=decision.expected_s,
            elapsed_s=time.monotonic() - picture.arrived,
        )
        self._tell(picture.header, fate)
        return True

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
        report = report_from_msg(message)
        now = time.monotonic()
        if report.possible and not self._servers.heard(report, now):
            return
        self._link.reported(report, now)
        if not report.possible:
            return
        self._same_bundle = report.fingerprint == self._bundle.fingerprint
        self._chooser.reported(report, now)
        answered, passed = self._ledger.done(report, now)
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
        self._answers.check(name, value)
        if name == 'mode' and value == AUTO and self._profile is None:
            self._profile = load_measured(self._settings, self._bundle)
        if name == 'mode' and value in (AUTO, Mode.LOCAL) and self._local is None:
            tail = load_tail(self._settings, self._bundle)
            topics = ResultTopics(self, self._bundle, overlay=False)
            self._local = LocalAnswers(topics, self._answers, tail)

    async def _reload(self) -> str:
        local, auto = self._local is not None, self._settings.text('mode') == AUTO
        loaded = await aside(self, lambda: load(self._settings, tail=local, profile=auto))
        async with at_rest(self, self._at_rest):
            self._take_over(loaded)
        bundle = loaded.bundle
        return f'bundle {bundle.name} {bundle.version} ({bundle.fingerprint:016x})'

    def _take_over(self, loaded: Loaded) -> None:
        """Go on with another bundle; an error leaves everything as it was."""
        bundle = loaded.bundle
        check_rate(bundle, self._settings.integer('rate'))
        answers = AnswerFilter(self._settings, bundle)
        auto = self._settings.text('mode') == AUTO
        if (self._local and not loaded.tail) or (auto and not loaded.profile):
            msg = 'the mode was changed meanwhile: call ~/reload_bundle again'
            raise MtlSplitError(msg)
        if self._local and loaded.tail:
            try:
                self._local.take_over(bundle, answers, loaded.tail)
            except MtlSplitError:
                self._local.topics.take_over(self._bundle)
                raise
        self._bundle, self._stage, self._answers = bundle, loaded.stage, answers
        self._pipeline.take_over(bundle, loaded.stage)
        self._link.expect(bundle.fingerprint)
        self._servers.prefer(bundle.fingerprint)
        # what is known of the link was learned by frames of the old one
        self._profile = loaded.profile
        nothing = Profile(bundle.name, bundle.fingerprint, 'unmeasured', 0, ())
        self._chooser = Chooser(self._profile or nothing, self._chooser.settings)
        self._wish = self._sent = None
        self._announce()

    def _look(self) -> Sequence[Moment]:
        """Return what a snapshot shows."""
        with self._at_rest:
            picture, results = self._shown, None
            if picture is None:
                msg = f'no image has come yet on {self._images.name}'
                raise MtlSplitError(msg)
            if self._local:
                results = self._local.answer_whole(self._stage, picture.image)
            return [moment_of(picture.image, picture.header, self._sent, results, self._bundle)]

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
        if self._local:
            self._local.topics.fill(status)


def report_from_msg(message: LinkReport) -> Report:
    """Return what a LinkReport says, as it says it: see `Report.possible`."""
    return Report(
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
