# SPDX-License-Identifier: Apache-2.0
"""Loads what local answers need beside the node, which goes on as before meanwhile."""

from functools import partial

from rclpy.node import Node

from mtl_split_core.errors import MtlSplitError
from mtl_split_core.tail import TailStage
from mtl_split_edge.in_use import InUse
from mtl_split_edge.loading import load_tail
from mtl_split_edge.local_answers import LocalAnswers
from mtl_split_edge.modes import NEED_LOCAL, Course
from mtl_split_ros.parameters import Parameters
from mtl_split_ros.result_topics import ResultTopics
from mtl_split_ros.services import aside
from mtl_split_ros.status import Level, Status


class LocalLoading:
    """Gives the node its local answers when a mode asks for them first.

    Args:
        node: Publishes them.
        settings: Its parameters.
        in_use: Has the bundle, and gets the local answers.
        course: The mode in force, for what is said meanwhile.
    """

    def __init__(self, node: Node, settings: Parameters, in_use: InUse, course: Course) -> None:
        self._node = node
        self._settings = settings
        self._in_use = in_use
        self._course = course
        self._busy = False
        self._trouble = ''

    def want(self) -> None:
        """Load, unless that is done or being done; called by the executor.

        Before the node is spun, as at its start, it is done on return.

        Raises:
            MtlSplitError: Before the node is spun: it cannot be loaded.
        """
        if self._in_use.local or self._busy:
            return
        self._trouble = ''
        if self._node.executor is None:
            self._install(load_tail(self._settings, self._in_use.bundle))
            return
        self._busy = True
        self._node.executor.create_task(self._load)

    def fill(self, status: Status) -> None:
        """Add what keeps a mode from coming into force."""
        mode = self._settings.text('mode')
        if mode not in NEED_LOCAL or self._in_use.local:
            return
        if self._trouble:
            text = f'mode {mode} cannot begin, mode {self._course.mode} goes on: {self._trouble}'
            status.merge_summary(Level.ERROR, f'{text}; then set mode again')
        elif self._busy:
            status.add('being loaded', f'what mode {mode} needs')

    async def _load(self) -> None:
        log = self._node.get_logger()
        log.info('loading what local answers need')
        while self._busy:
            bundle = self._in_use.bundle
            trouble = ''
            try:
                tail = await aside(self._node, partial(load_tail, self._settings, bundle))
                if self._in_use.bundle is bundle:
                    self._install(tail)
            except (MtlSplitError, OSError) as error:
                trouble = str(error)
            except Exception as error:  # a mode that cannot begin never ends the node
                trouble = f'internal error: {type(error).__name__}: {error}'
            # else ~/reload_bundle has come between, and it is another tail that is needed
            if self._in_use.bundle is bundle:
                self._busy, self._trouble = False, trouble
        if self._trouble:
            log.error(f'no local answers: {self._trouble}; then set mode again')

    def _install(self, tail: TailStage) -> None:
        topics = ResultTopics(self._node, self._in_use.bundle, overlay=False)
        self._in_use.local = LocalAnswers(topics, self._in_use.answers, tail)
