# SPDX-License-Identifier: Apache-2.0
"""The whole network on the camera side, for when the server is out of reach."""

from mtl_split_core.bundle import Bundle
from mtl_split_core.encode import Features
from mtl_split_core.results import FrameResults
from mtl_split_core.tail import TailStage
from mtl_split_ros.answer_filter import AnswerFilter
from mtl_split_ros.result_topics import ResultTopics


class LocalAnswers:
    """Answers on this machine, under the names that the server answers under.

    Args:
        topics: Where the results go.
        answers: What of them is wanted.
        tail: Of the bundle in use, warm.
    """

    def __init__(self, topics: ResultTopics, answers: AnswerFilter, tail: TailStage) -> None:
        self.topics = topics
        self._answers = answers
        self._tail = tail
        self._follow()

    def take_over(self, bundle: Bundle, answers: AnswerFilter, tail: TailStage) -> None:
        """Answer by another bundle from now on.

        Args:
            bundle: Gives the topics.
            answers: For this bundle.
            tail: Of this bundle.

        Raises:
            MtlSplitError: A topic that only this bundle has cannot be made.
        """
        self.topics.take_over(bundle)
        self._answers, self._tail = answers, tail
        self._follow()

    def answer(self, features: Features) -> FrameResults:
        """Answer an image with what somebody subscribes.

        Args:
            features: Of the image.
        """
        self._follow()
        return self._tail.run_features(*features, self.topics.wanted())

    def answer_whole(self, features: Features) -> FrameResults:
        """Answer an image with the results of all heads; arguments as of answer()."""
        return self._tail.run_features(*features)

    def _follow(self) -> None:
        threshold = self._answers.follow(self._tail)
        if threshold is not None:
            self.topics.announce_labels(threshold)
