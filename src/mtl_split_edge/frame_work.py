# SPDX-License-Identifier: Apache-2.0
"""What the worker does with each image: decide, then answer here or send."""

import time
from collections.abc import Callable

from std_msgs.msg import Header

from mtl_split_core.encode import Features
from mtl_split_core.errors import ImageError
from mtl_split_core.profile import Mode
from mtl_split_edge.arrival import Arrival, Picture
from mtl_split_edge.decision import Decision
from mtl_split_edge.fates import Fate, Outcome
from mtl_split_edge.in_use import InUse
from mtl_split_edge.modes import AUTO, Course, Wish
from mtl_split_edge.other_side import OtherSide
from mtl_split_edge.sender import Sender
from mtl_split_edge.statuses import Statuses
from mtl_split_ros.images import to_rgb
from mtl_split_ros.parameters import Parameters
from mtl_split_ros.qos import RESULT_LIFE_S
from mtl_split_ros.sizes import SizeWatch
from mtl_split_ros.windows import RateMeter

STALE_S = 2.0
"""In the fixed modes nothing is dropped for a deadline, but an answer this old is worth nothing."""
LONGEST_PERIOD_S = 1.0


class FrameWork:
    """Works on one image after the other; owned by the worker.

    Args:
        settings: Parameters of the node.
        in_use: What frames are encoded and answered by.
        side: What is known of the servers.
        course: The mode in force.
        statuses: Told what became of the images that this edge answers or drops.
        sender: Sends.
        refuse: Called with the reason when an image is no good.
        warn: Called with a line for the log.
    """

    def __init__(
        self,
        settings: Parameters,
        in_use: InUse,
        side: OtherSide[Header],
        course: Course,
        statuses: Statuses,
        sender: Sender,
        refuse: Callable[[str], None],
        warn: Callable[[str], object],
    ) -> None:
        self.shown: Picture | None = None
        self.camera = RateMeter()
        self.sizes = SizeWatch()
        self._settings = settings
        self._in_use = in_use
        self._side = side
        self._course = course
        self._statuses = statuses
        self._sender = sender
        self._refuse = refuse
        self._warn = warn
        self._answered_here = False
        self._stamp_warned = False

    def handle(self, arrival: Arrival) -> None:
        """Answer, send or drop one image."""
        started = time.monotonic()
        chooser, in_use = self._side.chooser, self._in_use
        wish = self._course.follow(Wish.of(self._settings), in_use, chooser)
        if rate := self.camera.rates(started)[0]:
            chooser.follow(min(1 / rate, LONGEST_PERIOD_S))
        decision = chooser.decide(started - arrival.at)
        if decision.point is None:
            self._statuses.dropped(arrival, decision.reason)
            return
        try:
            self._treat(arrival, wish, decision, started)
        except ImageError as error:
            self._refuse(str(error))
            self._statuses.dropped(arrival, 'image refused')

    def _treat(self, arrival: Arrival, wish: Wish, decision: Decision, started: float) -> None:
        assert decision.point
        image = to_rgb(arrival.message, self._settings.text('untyped_encoding'))
        self.sizes.seen(image.shape[1], image.shape[0])
        header = arrival.message.header
        if not (header.stamp.sec or header.stamp.nanosec or self._stamp_warned):
            self._stamp_warned = True
            self._warn('have a stamp of zero; it is passed on as it is')
        picture = Picture(image, header, arrival.at, started, time.monotonic())
        self.shown = picture
        local = self._in_use.local
        if decision.point.mode is Mode.LOCAL:
            features = self._in_use.stage.features(image)
            if self._answer_here(picture, features, decision) and decision.probe:
                until = _until(picture, wish)
                self._sender.send(picture, decision.probe, until, None, features)
            return
        if self._answered_here and local:
            # else a lost packet of the last local answer would arrive after the server's first
            local.topics.wait_until_taken(RESULT_LIFE_S)
            self._answered_here = False
        self._sender.send(picture, decision.point, _until(picture, wish), decision)

    def _answer_here(self, picture: Picture, features: Features, decision: Decision) -> bool:
        """Answer on this machine; False if the node ends first."""
        local, side = self._in_use.local, self._side
        assert local
        assert decision.point
        results = local.answer(features)
        side.chooser.worked(decision.point, time.monotonic() - picture.started)
        if not side.ledger.wait_until_own(time.monotonic, 2 * side.chooser.link().delay_s):
            return False
        local.topics.publish(results, self._settings.text('class_id'), picture.header)
        self._answered_here = True
        fate = Fate(
            Outcome.ANSWERED_BY_EDGE,
            decision.point.name,
            str(decision.reason),
            expected_s=decision.expected_s,
            elapsed_s=time.monotonic() - picture.arrived,
        )
        self._statuses.tell(picture.header, fate)
        return True


def _until(picture: Picture, wish: Wish) -> float:
    if wish.mode == AUTO:
        return picture.arrived + wish.deadline_ms / 1e3
    return time.monotonic() + STALE_S
