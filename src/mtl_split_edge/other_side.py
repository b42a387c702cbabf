# SPDX-License-Identifier: Apache-2.0
"""What the edge knows of the other side: servers, link, and the frames that are out there."""

import time
from typing import Generic

from mtl_split_core.bundle import Bundle
from mtl_split_core.profile import Profile
from mtl_split_edge.chooser import Chooser
from mtl_split_edge.decision import PolicySettings
from mtl_split_edge.fates import LinkView
from mtl_split_edge.ledger import HeaderT, Ledger, Sent
from mtl_split_edge.link import LinkState, Report
from mtl_split_edge.servers import Servers


class OtherSide(Generic[HeaderT]):
    """The books about the other side, which are kept together; used by worker and executor.

    Args:
        bundle: Of this edge.
        profile: What mode auto chooses by, where it was asked for.
        life_s: For how long a lost answer of the server is sent again, seconds.
    """

    def __init__(self, bundle: Bundle, profile: Profile | None, life_s: float) -> None:
        self._fingerprint = bundle.fingerprint
        self._same_bundle = True
        self.link = LinkState(bundle.fingerprint)
        self.servers = Servers(bundle.fingerprint)
        self.ledger: Ledger[HeaderT] = Ledger(life_s)
        self.chooser = _chooser(bundle, profile, PolicySettings())

    def take_over(self, bundle: Bundle, profile: Profile | None) -> None:
        """Go on with another bundle of this edge; arguments as of the class."""
        self._fingerprint = bundle.fingerprint
        self.link.expect(bundle.fingerprint)
        self.servers.prefer(bundle.fingerprint)
        # what is known of the link was learned by frames of the old one
        self.chooser = _chooser(bundle, profile, self.chooser.settings)

    def reported(
        self, report: Report, now: float
    ) -> tuple[list[Sent[HeaderT]], list[Sent[HeaderT]]]:
        """A report arrived.

        Args:
            report: As it came; what is not possible in it is counted and ignored.
            now: Monotonic seconds.

        Returns:
            Of the frames that were out: those answered, and those passed over.
        """
        if report.possible and not self.servers.heard(report, now):
            return [], []
        self.link.reported(report, now)
        if not report.possible:
            return [], []
        self._same_bundle = report.fingerprint == self._fingerprint
        self.chooser.reported(report, now)
        return self.ledger.done(report, now)

    def alive(self) -> int:
        """Return how many servers report at present."""
        return len(self.servers.alive(time.monotonic()))

    def view(self) -> LinkView:
        """Return what is known, for diagnostics."""
        now = time.monotonic()
        return LinkView(
            servers=len(self.servers.alive(now)),
            same_bundle=self._same_bundle,
            silence_s=self.chooser.silence_s(now),
            estimate=self.chooser.link(now),
            held_back=self.chooser.held_back,
        )


def _chooser(bundle: Bundle, profile: Profile | None, settings: PolicySettings) -> Chooser:
    nothing = Profile(bundle.name, bundle.fingerprint, 'unmeasured', 0, ())
    return Chooser(profile or nothing, settings)
