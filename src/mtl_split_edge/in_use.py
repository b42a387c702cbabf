# SPDX-License-Identifier: Apache-2.0
"""What the edge works with at present."""

from dataclasses import dataclass

from mtl_split_core.bundle import Bundle
from mtl_split_core.encode import EncodeStage
from mtl_split_core.profile import Profile
from mtl_split_edge.local_answers import LocalAnswers
from mtl_split_ros.answer_filter import AnswerFilter


@dataclass(slots=True)
class InUse:
    """The bundle and all that belongs to it; replaced only while the worker is at rest.

    Args:
        bundle: Checked.
        stage: Image to packet, warm.
        answers: What of local answers is wanted.
        local: Answers here; None as long as no mode has asked for it.
        profile: For mode auto; None as long as it was not asked for.
    """

    bundle: Bundle
    stage: EncodeStage
    answers: AnswerFilter
    local: LocalAnswers | None = None
    profile: Profile | None = None
