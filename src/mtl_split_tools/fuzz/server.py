# SPDX-License-Identifier: Apache-2.0
"""The server's side of the wire: feature messages and contracts, as its node takes them in."""

import dataclasses
import time
from random import Random

from mtl_split.msg import FeatureMap, LinkReport, SplitContract
from rclpy.serialization import serialize_message
from std_msgs.msg import Header

from mtl_split_core.backend import load_network
from mtl_split_core.bundle import Bundle, TaskType
from mtl_split_core.encode import EncodeStage
from mtl_split_core.errors import PacketError
from mtl_split_core.packet import check_packet
from mtl_split_core.results import FrameResults
from mtl_split_core.tail import TailStage
from mtl_split_ros.convert import classification_msg, detections_msg
from mtl_split_ros.images import to_image_msg
from mtl_split_ros.packets import packet_from_msg
from mtl_split_ros.status import Status
from mtl_split_server.pipeline import Contract, ServerFigures
from mtl_split_server.turn import Turn, Turns
from mtl_split_tools.fuzz.damage import TEXTS, U16, U64, real, whole
from mtl_split_tools.fuzz.features import SESSION, FeatureCorpus
from mtl_split_tools.fuzz.target import Ration, RationedNetwork, SparedError
from mtl_split_tools.fuzz.wire import damaged, decoded

_REPORT_EVERY = 16


class ServerDoor:
    """What the server's node does with a feature message, without a graph and in one thread.

    Args:
        bundle: The bundle.
        networks_share: Share of the messages for which the networks may run, 0 to 1.
    """

    def __init__(self, bundle: Bundle, networks_share: float) -> None:
        self._bundle = bundle
        self.ration = Ration(networks_share)
        encoder = load_network(bundle.encoder_path)
        self.corpus = FeatureCorpus(bundle, EncodeStage(bundle, encoder))
        tail = load_network(bundle.tail_path)
        TailStage(bundle, tail, encoder=encoder).warm_up()
        self._tail = TailStage(
            bundle,
            RationedNetwork(tail, self.ration),
            encoder=RationedNetwork(encoder, self.ration),
        )
        self._figures = ServerFigures(bundle, lambda _: None)
        self._turns = Turns(SESSION)
        self._fed = 0

    def make(self, random: Random) -> bytes:
        """See Target.make()."""
        return self.corpus.serialized(random)

    def feed(self, data: bytes) -> str:
        """See Target.feed()."""
        self.ration.next()
        self._fed += 1
        message = decoded(data, FeatureMap)
        if message is None:
            return 'no message'
        try:
            return self._take(message)
        except PacketError as error:
            self._figures.refused(error.reason, str(error))
            raise
        finally:
            if not self._fed % _REPORT_EVERY:
                self._report()

    def _take(self, message: FeatureMap) -> str:
        camera, sequence = message.header.frame_id, message.sequence
        turn = self._turns.of(message.answer_session, message.answer_until_us)
        packet = packet_from_msg(message, self._bundle)
        try:
            if turn is Turn.ANSWER:
                prepared = self._tail.prepare(packet)
            else:
                check_packet(packet, self._bundle)
        except PacketError:
            self._figures.arrived(camera, None, len(message.data))
            raise
        self._figures.arrived(camera, sequence, len(message.data))
        if turn is not Turn.ANSWER:
            return f'not answered: {turn.name.lower()}'
        began = time.monotonic()
        try:
            results = self._tail.finish(prepared)
        except SparedError:
            return 'passed, networks left out'
        if message.probe:
            self._figures.probed(camera, sequence, time.monotonic() - began)
            return 'probe worked through'
        self._convert(results, message.header)
        taken = time.monotonic() - began
        self._figures.answered(camera, sequence, results.times, taken, taken)
        return 'answered'

    def _convert(self, results: FrameResults, header: Header) -> None:
        detection = self._bundle.task(TaskType.DETECTION)
        if detection and results.detections is not None:
            serialize_message(detections_msg(results.detections, detection, 'name', header))
        if results.segmentation is not None:
            serialize_message(to_image_msg(results.segmentation.mask, 'mono8', header))
        for result, task in zip(results.classifications, self._bundle.classifications, strict=True):
            serialize_message(classification_msg(result, task, 'index', header))

    def _report(self) -> None:
        figures = dataclasses.asdict(self._figures.link.close_interval(0.0))
        camera = figures.pop('camera')
        serialize_message(LinkReport(header=Header(frame_id=camera), session=SESSION, **figures))
        self._figures.fill_features(Status())
        self._figures.fill_results(Status(), self._turns.peers())


class ContractDoor:
    """What the server's node does with an edge's contract.

    Args:
        bundle: The bundle.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._figures = ServerFigures(bundle, lambda _: None)

    def make(self, random: Random) -> bytes:
        """See Target.make()."""
        bundle = self._bundle
        message = SplitContract(
            fingerprint=random.choice((bundle.fingerprint, 0, U64, random.getrandbits(64))),
            session=whole(random, U64),
            bundle=random.choice((bundle.name, *TEXTS)),
            version=random.choice((bundle.version, *TEXTS)),
            family=random.choice((bundle.family, *TEXTS)),
            tasks=random.choices(TEXTS, k=random.choice((0, 3, 100))),
            channels=whole(random, U16),
            height=whole(random, U16),
            width=whole(random, U16),
            input_width=whole(random, U16),
            input_height=whole(random, U16),
            rate_bytes=[real(random) for _ in range(random.choice((0, 5, 1000)))],
        )
        return damaged(random, serialize_message(message))

    def feed(self, data: bytes) -> str:
        """See Target.feed()."""
        message = decoded(data, SplitContract)
        if message is None:
            return 'no message'
        self._figures.contract(
            Contract(message.bundle, message.version, message.fingerprint, message.session)
        )
        self._figures.fill_contract(Status())
        # The refusal of a frame of that edge quotes the contract.
        self._figures.refused('fingerprint', 'fingerprint is another one')
        return 'noted'
