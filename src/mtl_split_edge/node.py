# SPDX-License-Identifier: Apache-2.0
"""The edge as a ROS node: newest image in, feature map out; one worker does the work."""

import secrets
import socket
import time
from dataclasses import dataclass

from mtl_split.msg import FeatureMap, LinkReport, SplitContract
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from mtl_split_core.backend import BackendOptions, load_network
from mtl_split_core.bundle import load_bundle
from mtl_split_core.encode import EncodeStage
from mtl_split_core.errors import ImageError
from mtl_split_edge.link import LinkState, Report
from mtl_split_edge.parameters import EDGE_PARAMETERS
from mtl_split_edge.pipeline import EdgePipeline
from mtl_split_ros.complaints import Complaints
from mtl_split_ros.diagnostics import Updater
from mtl_split_ros.image_topic import ImageTopic
from mtl_split_ros.images import to_rgb
from mtl_split_ros.packets import contract_msg, packet_to_msg
from mtl_split_ros.parameters import Parameters, Value
from mtl_split_ros.qos import (
    features_profile,
    latched_profile,
    make_publisher,
    make_subscription,
    report_profile,
)
from mtl_split_ros.status import Level, Status
from mtl_split_ros.worker import NewestSlot, Worker

TROUBLE_S = 5.0


@dataclass(frozen=True, slots=True)
class _Arrival:
    message: Image | CompressedImage
    at: float


class EdgeNode(Node):
    """Camera side of the split."""

    def __init__(self) -> None:
        """Load, warm up, and only then announce what this edge runs."""
        super().__init__('edge')
        self._log = self.get_logger()  # type: ignore[no-untyped-call]
        self._settings = settings = Parameters(self, EDGE_PARAMETERS)
        bundle = load_bundle(settings.text('bundle'))
        network = load_network(
            bundle.encoder_path,
            settings.text('backend'),
            BackendOptions(settings.integer('threads'), settings.texts('providers')),
        )
        stage = EncodeStage(bundle, network)
        self._pipeline = EdgePipeline(bundle, stage)
        settings.guard(self._check_parameter)
        stage.warm_up()

        self._complaints = Complaints(self._log.warning)
        self._link = LinkState(bundle.fingerprint)
        self._replaced = 0
        self._stamp_warned = False
        self._slot: NewestSlot[_Arrival] = NewestSlot()
        self._worker = Worker(self._slot, self._send, self._failed)
        reliability = settings.text('feature_reliability')
        self._features = make_publisher(self, FeatureMap, 'features', features_profile(reliability))
        self._contract = make_publisher(self, SplitContract, 'contract', latched_profile())
        make_subscription(self, LinkReport, 'link_report', self._on_report, report_profile())
        self._images = ImageTopic(self, settings.text('image_transport'), self._on_image)
        self._images.subscribe()

        updater = Updater(self, socket.gethostname(), settings.number('diagnostic_updater.period'))
        updater.add('image', self._fill_image)
        updater.add('features', self._fill_features)
        updater.add('link', self._fill_link)

        session, now = secrets.randbits(64), self.get_clock().now().to_msg()
        self._contract.publish(contract_msg(bundle, session, now))
        self._worker.start()
        self._log.info(
            f'ready: bundle {bundle.name} {bundle.version} ({bundle.fingerprint:016x}), '
            f'images from {self._images.name}'
        )

    def destroy_node(self) -> None:
        """Join the worker, then release publishers and subscriptions."""
        self._worker.stop()
        super().destroy_node()  # type: ignore[no-untyped-call]

    def _on_image(self, message: Image | CompressedImage) -> None:
        if self._slot.put(_Arrival(message, time.monotonic())):
            self._replaced += 1

    def _send(self, arrival: _Arrival) -> None:
        started = time.monotonic()
        header = arrival.message.header
        try:
            image = to_rgb(arrival.message, self._settings.text('untyped_encoding'))
            packet = self._pipeline.encode(
                image,
                rate=self._settings.integer('rate'),
                codec=self._settings.text('codec'),
                wait_s=started - arrival.at,
                convert_s=time.monotonic() - started,
            )
        except ImageError as error:
            self._complaints.add('image', f'image on {self._images.name} refused: {error}')
            return
        if not (header.stamp.sec or header.stamp.nanosec or self._stamp_warned):
            self._stamp_warned = True
            self._log.warning(
                f'images on {self._images.name} have a stamp of zero; it is passed on as it is'
            )
        self._link.sent(packet.sequence)
        message = packet_to_msg(packet, header)
        publishing = time.monotonic()
        self._features.publish(message)
        published = time.monotonic()
        self._pipeline.sent(packet, published - arrival.at, published - publishing)

    def _failed(self, error: Exception) -> None:
        if self.context.ok():
            text = f'frame dropped: {type(error).__name__}: {error}'
            self._complaints.add('internal error', text)

    def _on_report(self, message: LinkReport) -> None:
        self._link.reported(
            Report(
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
            )
        )

    def _check_parameter(self, name: str, value: Value) -> None:
        if name == 'rate' and isinstance(value, int):
            self._pipeline.check_rate(value)

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
        self._link.fill(status, self._features.get_subscription_count())
