# SPDX-License-Identifier: Apache-2.0
"""The server as a ROS node: newest feature maps in, perception topics out; one worker for all."""

import secrets
import socket
import threading
from collections.abc import Sequence
from dataclasses import replace

from rclpy.node import Node

from mtl_split_core.errors import MtlSplitError
from mtl_split_ros.answer_filter import AnswerFilter
from mtl_split_ros.cameras import check_names
from mtl_split_ros.diagnostics import Updater
from mtl_split_ros.parameters import Parameters, Value
from mtl_split_ros.services import Services, aside, at_rest
from mtl_split_ros.snapshot import Moment, offer_snapshot
from mtl_split_ros.timers import steady_timer
from mtl_split_ros.worker import Worker
from mtl_split_server.batch import Batches
from mtl_split_server.camera import Camera
from mtl_split_server.loading import Loaded, load
from mtl_split_server.parameters import SERVER_PARAMETERS
from mtl_split_server.schedule import CameraQueue
from mtl_split_server.waiting import Answerer, Common, Drawing, Frame

OVERLAY_POLL_S = 0.25
_KEYS_OF_ONE = 16


class ServerNode(Node):
    """Server side of the split: one tail for one camera, or for several in their namespaces."""

    def __init__(self) -> None:
        """Load, warm up, and only then subscribe."""
        super().__init__('server')
        log = self.get_logger()  # type: ignore[no-untyped-call]
        self._settings = settings = Parameters(self, SERVER_PARAMETERS)
        names = check_names(settings.texts('cameras')) or ('',)
        self._loaded = loaded = load(settings)
        bundle = loaded.bundle
        self._filter = AnswerFilter(settings, bundle)
        settings.guard(self._check_parameter)
        # held while a frame is worked on, and while the bundle changes
        self._at_rest = threading.Lock()

        # frames and overlays of each camera
        self._batches = Batches(self._failed_of)
        queue: CameraQueue[Frame | Drawing] = CameraQueue(
            max(_KEYS_OF_ONE, 2 * len(names)), self._batches.joins
        )
        self._worker: Worker[list[Frame | Drawing]] = Worker(queue, self._work, self._failed)
        # 0 would mean any server
        session = secrets.randbits(64) or 1
        self._common = common = Common(
            settings, bundle, loaded.tail, session, queue, lambda: self._worker.busy_s
        )
        self._cameras = [Camera(self, common, name) for name in names]
        self._follow_batch()
        self._at_work: Answerer = self._cameras[0]
        self._follow_filter()
        for camera in self._cameras:
            camera.listen()

        updater = Updater(self, socket.gethostname(), settings.number('diagnostic_updater.period'))
        for camera in self._cameras:
            camera.add_diagnostics(updater)
        self._report_period = 1 / settings.number('report_rate')
        steady_timer(self, self._report_period / 2, self._report_in_time)
        steady_timer(self, OVERLAY_POLL_S, self._follow_overlay)

        services = Services(self)
        services.offer('reload_bundle', self._reload)
        offer_snapshot(self, services, settings.text('snapshot_dir'), updater, self._look)
        self._worker.start()
        self._topics = ', '.join(camera.topic for camera in self._cameras)
        at_once = f', up to {queue.most} in one run' if queue.most > 1 else ''
        log.info(f'ready: bundle {bundle.title}, features from {self._topics}{at_once}')

    def destroy_node(self) -> None:
        """Join the worker, then release publishers and subscriptions."""
        self._worker.stop()
        super().destroy_node()  # type: ignore[no-untyped-call]

    def _work(self, items: Sequence[Frame | Drawing]) -> None:
        with self._at_rest:
            self._at_work = items[0].camera
            self._follow_filter()
            frames = [item for item in items if isinstance(item, Frame)]
            self._batches.answer(frames, self._loaded.tail)
            for item in items:
                if isinstance(item, Drawing):
                    item.camera.draw(item)

    def _failed(self, error: Exception) -> None:
        self._failed_of(self._at_work, error)

    def _failed_of(self, camera: Answerer, error: Exception) -> None:
        if self.context.ok():
            camera.failed(error)

    def _follow_filter(self) -> None:
        threshold = self._filter.follow(self._loaded.tail)
        if threshold is not None:
            for camera in self._cameras:
                camera.announce_labels(threshold)

    def _follow_batch(self) -> None:
        self._common.queue.most = self._loaded.batch
        if self._settings.integer('batch') > 1 and not self._loaded.tail.batched:
            self.get_logger().warning(  # type: ignore[no-untyped-call]
                f'the tail of {self._loaded.bundle.title} takes one frame at a time, so batch has '
                'no effect: export the bundle again'
            )

    def _check_parameter(self, name: str, value: Value) -> None:
        self._filter.check(name, value)

    async def _reload(self) -> str:
        loaded = await aside(self, lambda: load(self._settings))
        async with at_rest(self, self._at_rest):
            self._take_over(loaded)
        return f'bundle {loaded.bundle.title}'

    def _take_over(self, loaded: Loaded) -> None:
        answers = AnswerFilter(self._settings, loaded.bundle)
        common = replace(self._common, bundle=loaded.bundle, tail=loaded.tail)
        try:
            for camera in self._cameras:
                camera.take_over(common)
        except MtlSplitError:
            for camera in self._cameras:
                camera.take_over(self._common)
            raise
        self._common, self._loaded, self._filter = common, loaded, answers
        self._follow_batch()
        self._follow_filter()

    def _look(self) -> Sequence[Moment]:
        with self._at_rest:
            moments = [moment for camera in self._cameras if (moment := camera.moment())]
        if not moments:
            msg = f'no frame was answered yet, features are awaited from {self._topics}'
            raise MtlSplitError(msg)
        return moments

    def _follow_overlay(self) -> None:
        for camera in self._cameras:
            camera.follow_overlay()

    def _report_in_time(self) -> None:
        for camera in self._cameras:
            camera.report_in_time(self._report_period * 0.75)
