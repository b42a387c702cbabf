# SPDX-License-Identifier: Apache-2.0
"""Frames of different cameras, answered by one run of the network."""

import time
from collections.abc import Callable, Sequence

from mtl_split_core.tail import TailStage
from mtl_split_server.run_times import RunTimes
from mtl_split_server.waiting import Answerer, Begun, Drawing, Frame


class Batches:
    """Says which frames go together, and answers them. Used by the worker alone.

    Args:
        failed: Takes what nobody expected, with the camera that it cost an answer.
    """

    def __init__(self, failed: Callable[[Answerer, Exception], object]) -> None:
        self._failed = failed
        self._times = RunTimes()

    def joins(self, items: Sequence[Frame | Drawing], item: Frame | Drawing) -> bool:
        """Return whether a frame may go with those that were taken before it.

        Not where it makes one of them late that is in time without it.

        Args:
            items: Taken, at least one.
            item: Next in turn.
        """
        if not isinstance(item, Frame) or not isinstance(items[0], Frame):
            return False
        deadlines = [i.until / 1e6 for i in items if isinstance(i, Frame)]
        return not self._times.costs_one(deadlines, time.monotonic())

    def answer(self, frames: Sequence[Frame], tail: TailStage) -> None:
        """Answer frames, each in the name of its camera; what is wrong with one costs no other.

        Args:
            frames: Each of another camera, whoever's turn it is first.
            tail: Answers.
        """
        started = time.monotonic()
        begun = [one for frame in frames if (one := self._begin(frame))]
        if not begun:
            return
        try:
            inferred = tail.infer([one.encoded for one in begun])
        except Exception as error:
            for one in begun:
                self._failed(one.frame.camera, error)
            return
        for one, said in zip(begun, inferred, strict=True):
            try:
                one.frame.camera.answer(one, said, len(begun))
            except Exception as error:  # nor do the topics of one cost those of another
                self._failed(one.frame.camera, error)
        self._times.add(len(begun), time.monotonic() - started)

    def _begin(self, frame: Frame) -> Begun | None:
        try:
            return frame.camera.begin(frame)
        except Exception as error:  # one frame never ends the others
            self._failed(frame.camera, error)
            return None
