# SPDX-License-Identifier: Apache-2.0
"""What the server answers, what it refuses and why, and the figures of both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from mtl_split_core.bundle import Bundle
from mtl_split_ros.complaints import Complaints
from mtl_split_ros.status import Level, Status, short
from mtl_split_ros.windows import RateMeter, SlidingWindow, StageWindows
from mtl_split_server.link_accounting import LinkAccounting


@dataclass(frozen=True, slots=True)
class Contract:
    """What an edge said that it runs."""

    bundle: str
    version: str
    fingerprint: int
    session: int


class ServerFigures:
    """Everything the server counts; written by subscription and worker, read by timers."""

    def __init__(self, bundle: Bundle, log: Callable[[str], object]) -> None:
        """Count for a server.

        Args:
            bundle: The server's.
            log: Takes the throttled lines about refused frames.
        """
        self._bundle = bundle
        self._contract: Contract | None = None
        self._complaints = Complaints(log)
        self._answered = RateMeter()
        self._bytes = SlidingWindow()
        self._batch = SlidingWindow()
        self._total = StageWindows()
        self._stages = StageWindows()
        self._overlays = StageWindows()
        self._replaced = self._elsewhere = self._probes = 0
        self.link = LinkAccounting()

    def take_over(self, bundle: Bundle) -> None:
        """Count for another bundle from now on; what was counted stays."""
        self._bundle = bundle

    def arrived(self, camera: str, sequence: int | None, size: int) -> None:
        """A frame arrived; None for its number where it is refused, so that it is not followed."""
        self._bytes.add(size)
        self.link.arrived(camera, sequence, size)

    def replaced(self) -> None:
        """A frame was displaced by a newer one before its turn."""
        self._replaced += 1

    def contract(self, contract: Contract) -> None:
        """An edge said what it runs."""
        # both go into logs, diagnostics and reports
        self._contract = replace(
            contract, bundle=short(contract.bundle), version=short(contract.version)
        )

    def refused(self, reason: str, text: str) -> None:
        """A frame could not be used.

        Args:
            reason: Short name for the counter.
            text: Field, value and what was expected.
        """
        if reason == 'fingerprint' and (contract := self._contract):
            text = f'{text} (the edge announced bundle {contract.bundle} {contract.version})'
        self._complaints.add(reason, f'frame refused: {text}')
        self.link.refused(text)

    def late(self) -> None:
        """A frame was dropped because its time was over."""
        self.link.late()

    def elsewhere(self) -> None:
        """A frame was left to another server."""
        self._elsewhere += 1

    def probed(self, camera: str, sequence: int, service_s: float) -> None:
        """A probe was worked through; arguments as in answered()."""
        self._probes += 1
        self.link.answered(camera, sequence, service_s)

    def answered(
        self,
        camera: str,
        sequence: int,
        times: Mapping[str, float],
        total_s: float,
        service_s: float,
        batch: int = 1,
    ) -> None:
        """Results were published.

        Args:
            camera: Whose frame it is.
            sequence: Its number.
            times: Milliseconds by stage; `tail` is the whole run, whoever else was in it.
            total_s: Seconds from the frame's arrival to the last results.
            service_s: Seconds from its decoding to the last results.
            batch: Frames in the run of the network that answered it, itself included.
        """
        self._answered.add()
        self._batch.add(batch)
        self._total.add({'server': total_s * 1e3})
        self._stages.add(times)
        self.link.answered(camera, sequence, service_s)

    def drawn(self, milliseconds: float) -> None:
        """An overlay was drawn and published."""
        self._overlays.add({'overlay': milliseconds})

    def fill_features(self, status: Status) -> None:
        """Diagnostics of what arrives; call it after the topic watch has filled its part."""
        status.add('bytes mean', self._bytes.mean())
        for percent, value in self._bytes.percentiles().items():
            status.add(f'bytes p{percent}', round(value))
        status.add('lost', self.link.lost_total)
        status.add('replaced by newer', self._replaced)
        self._complaints.fill(status)

    def fill_results(self, status: Status, peers: Sequence[int]) -> None:
        """Diagnostics of what is answered.

        Args:
            status: To fill.
            peers: Sessions of the other servers on the graph.
        """
        rate, _ = self._answered.rates()
        status.summary(Level.OK, f'{rate:.1f} Hz answered')
        if peers:
            others = ', '.join(f'{peer:016x}' for peer in peers)
            status.summary(
                Level.ERROR,
                f'{len(peers) + 1} servers share one link_report topic (others: {others}): each '
                'frame is answered by one of them; stop the others or give each its namespace',
            )
        status.add('bundle', f'{self._bundle.name} {self._bundle.version}')
        status.add('answered', self._answered.total)
        status.add('answered Hz', rate)
        status.add('batch mean', self._batch.mean())
        status.add('probes', self._probes)
        status.add('late', self.link.late_total)
        status.add('left to another server', self._elsewhere)
        for windows in (self._total, self._stages, self._overlays):
            status.values += windows.values()

    def fill_contract(self, status: Status) -> None:
        """Diagnostics of whether both ends hold the same bundle."""
        own = self._bundle.title
        status.add('server bundle', own)
        contract = self._contract
        if contract is None:
            text = 'no edge has announced its contract yet: start one in this namespace and domain'
            status.summary(Level.WARN, text)
            return
        theirs = f'{contract.bundle} {contract.version} ({contract.fingerprint:016x})'
        status.add('edge bundle', theirs)
        status.add('edge session', f'{contract.session:016x}')
        if contract.fingerprint != self._bundle.fingerprint:
            status.summary(
                Level.ERROR,
                f'the edge runs {theirs}, this server {own}: give both the same bundle',
            )
        elif self._bundle.features_of:
            status.summary(Level.OK, f'the edge runs {theirs}, its features are answered by {own}')
        else:
            status.summary(Level.OK, f'both ends run {own}')
