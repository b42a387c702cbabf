# SPDX-License-Identifier: Apache-2.0
"""The whole network on the camera side, for when the server is out of reach."""

from mtl_split_core.backend import BackendOptions, load_network
from mtl_split_core.bundle import Bundle, TaskType, load_bundle
from mtl_split_core.errors import BundleError
from mtl_split_core.tail import TailStage
from mtl_split_ros.parameters import Parameters
from mtl_split_ros.result_topics import ResultTopics


class LocalAnswers:
    """Answers on this machine, under the names that the server answers under.

    Args:
        topics: Where the results go.
        bundle: Bundle in use.
        settings: Of the node.

    Raises:
        BundleError: The bundle is another one by now; modes change while a node runs.
    """

    def __init__(self, topics: ResultTopics, bundle: Bundle, settings: Parameters) -> None:
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
        self.topics = topics
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
