# SPDX-License-Identifier: Apache-2.0
"""The link between the two hosts: rate, delay, loss, cut, and how many bytes went over it."""

import json
from dataclasses import dataclass
from typing import NoReturn

from mtl_split_tools.lab.hosts import Host, LabError
from mtl_split_tools.lab.processes import wait_for

DEVICE = 'lab0'
EDGE_ADDRESS, SERVER_ADDRESS = '10.77.0.1', '10.77.0.2'
_EDGE_MAC, _SERVER_MAC = '02:00:00:77:00:01', '02:00:00:77:00:02'
_SMALLEST_BURST = 3_000
"""Two packets: with more, a slow link would pass whole frames at full speed."""
_BURST_S = 0.005
_MTU = 1500
_UP_S = 20.0
_PASS, _DROP = 2**32 - 1, 2
# Classic BPF: load a random number (an ancillary word of Linux), compare, return the verdict. So
# packets can be lost where the kernel has neither netem nor nftables.
_LOSE = '4,32 0 0 4294963256,53 0 1 {threshold},6 0 0 {passes},6 0 0 {drops}'


@dataclass(frozen=True, slots=True)
class Traffic:
    """Ethernet bytes and packets since the start; up is from the edge to the server.

    Counted where they are sent, behind the shaping and before the loss.
    """

    up_bytes: int
    down_bytes: int
    up_packets: int
    down_packets: int

    def since(self, before: 'Traffic') -> 'Traffic':
        """Return the difference to an earlier count."""
        return Traffic(
            self.up_bytes - before.up_bytes,
            self.down_bytes - before.down_bytes,
            self.up_packets - before.up_packets,
            self.down_packets - before.down_packets,
        )


class Link:
    """A pair of network devices, one in each host, as fast as the machine at first.

    Args:
        edge: One end.
        server: The other.

    Raises:
        LabError: The kernel lacks what it takes.
    """

    def __init__(self, edge: Host, server: Host) -> None:
        self._ends = (edge, server)
        self._loss = (0.0, 0.0)
        edge.run(
            *('ip', 'link', 'add', DEVICE, 'type', 'veth'),
            *('peer', 'name', DEVICE, 'netns', str(server.pid)),
        )
        ends = ((EDGE_ADDRESS, _EDGE_MAC), (SERVER_ADDRESS, _SERVER_MAC))
        for host, here, there in zip(self._ends, ends, ends[::-1], strict=True):
            # no IPv6 of its own accord: the link carries what the nodes send
            host.run('ip', 'link', 'set', DEVICE, 'address', here[1], 'addrgenmode', 'none')
            host.run('ip', 'address', 'add', f'{here[0]}/24', 'dev', DEVICE)
            host.run('ip', 'link', 'set', 'lo', 'up')
            host.run('ip', 'link', 'set', DEVICE, 'up')
            # known for good, or packets would wait for an answer to ARP while the link is cut
            neighbour = (there[0], 'lladdr', there[1], 'dev', DEVICE, 'nud', 'permanent')
            host.run('ip', 'neighbour', 'add', *neighbour)
            host.run('tc', 'qdisc', 'add', 'dev', DEVICE, 'ingress')
        # DDS looks once, at its start, which devices run, and the kernel takes its time to say so
        wait_for(self._up, 'the link to come up', _UP_S)

    def shape(
        self,
        up_mbit: float | None = None,
        down_mbit: float | None = None,
        queue_ms: float = 200.0,
        delay_ms: float = 0.0,
    ) -> None:
        """Set the rates; what does not fit into the queue is lost.

        Args:
            up_mbit: From edge to server, 10^6 bit/s, above 0; None: no limit.
            down_mbit: From server to edge.
            queue_ms: How long a packet may wait for its turn.
            delay_ms: Each way, on top; where the kernel has netem.

        Raises:
            LabError: The kernel has no tbf, or no netem where a delay is asked for.
        """
        for host, mbit in zip(self._ends, (up_mbit, down_mbit), strict=True):
            tbf = [] if mbit is None else self._bucket(mbit, queue_ms)
            shown = host.run('tc', 'qdisc', 'show', 'dev', DEVICE)
            if 'netem' in shown or ('tbf' in shown and not (tbf and not delay_ms)):
                host.run('tc', 'qdisc', 'del', 'dev', DEVICE, 'root')
            place = ['root']
            if delay_ms:
                netem = ('netem', 'delay', f'{delay_ms}ms', 'limit', '100000')
                self._queue(host, *place, 'handle', '1:', *netem)
                place = ['parent', '1:1']
            if tbf:
                self._queue(host, *place, *tbf)

    def lose(self, percent: float, down_percent: float | None = None) -> None:
        """Lose packets at random as they arrive.

        Args:
            percent: Of those from edge to server, 0 to 100.
            down_percent: Of those from server to edge; the same if None.
        """
        self._loss = (percent, percent if down_percent is None else down_percent)
        self.restore()

    def cut(self) -> None:
        """Lose everything, both ways; the devices stay, as where a radio is out of reach."""
        self._drop(100.0, 100.0)

    def restore(self) -> None:
        """Undo `cut`; rates and loss are as before it."""
        self._drop(*self._loss)

    def traffic(self) -> Traffic:
        """Return what was sent so far."""
        counts = []
        for host in self._ends:
            (device,) = json.loads(host.run('ip', '-s', '-j', 'link', 'show', 'dev', DEVICE))
            counts.append(device['stats64']['tx'])
        up, down = counts
        return Traffic(up['bytes'], down['bytes'], up['packets'], down['packets'])

    def _up(self) -> bool:
        shown = (host.run('ip', '-j', 'link', 'show', 'dev', DEVICE) for host in self._ends)
        return all(json.loads(text)[0]['operstate'] == 'UP' for text in shown)

    def _bucket(self, mbit: float, queue_ms: float) -> list[str]:
        if mbit <= 0:
            msg = f'a link of {mbit} Mbit/s; give more than 0, or cut it'
            raise LabError(msg)
        burst = max(_SMALLEST_BURST, round(mbit * 1e6 / 8 * _BURST_S))
        limit = burst + round(mbit * 1e6 / 8 * queue_ms / 1e3)
        rate = f'{round(mbit * 1e6)}bit'
        return ['tbf', 'rate', rate, 'burst', str(burst), 'limit', str(max(limit, burst + _MTU))]

    def _queue(self, host: Host, *words: str) -> None:
        try:
            host.run('tc', 'qdisc', 'replace', 'dev', DEVICE, *words)
        except LabError as error:
            kind = 'netem' if 'netem' in words else 'tbf'
            msg = f'this kernel has no {kind} (CONFIG_NET_SCH_{kind.upper()}): {error}'
            raise LabError(msg) from error

    def _drop(self, up_percent: float, down_percent: float) -> None:
        # what goes up is lost where it arrives, at the server
        for host, percent in zip(self._ends, (down_percent, up_percent), strict=True):
            threshold = min(round(percent / 100 * 2**32), 2**32 - 1)
            code = _LOSE.format(threshold=threshold, passes=_PASS, drops=_DROP)
            host.run(
                *('tc', 'filter', 'replace', 'dev', DEVICE, 'parent', 'ffff:', 'prio', '1'),
                *('handle', '1', 'bpf', 'da', 'bytecode', code),
            )


class Loopback(Link):
    """The loopback device in place of a link: as fast as the machine, and not to be changed."""

    def __init__(self) -> None:
        pass

    def shape(
        self,
        up_mbit: float | None = None,
        down_mbit: float | None = None,
        queue_ms: float = 0.0,  # noqa: ARG002
        delay_ms: float = 0.0,
    ) -> None:
        """Take no limit only.

        Raises:
            LabError: A rate or a delay is asked for.
        """
        if (up_mbit, down_mbit, delay_ms) != (None, None, 0.0):
            self._refuse()

    def lose(self, percent: float, down_percent: float | None = None) -> None:  # noqa: ARG002
        """Refuse.

        Raises:
            LabError: Always.
        """
        self._refuse()

    def cut(self) -> None:
        """Refuse.

        Raises:
            LabError: Always.
        """
        self._refuse()

    def restore(self) -> None:
        """There is nothing to undo."""

    def traffic(self) -> Traffic:
        """Return zeros: other programs use the device, too."""
        return Traffic(0, 0, 0, 0)

    def _refuse(self) -> NoReturn:
        msg = 'the loopback device has no rate and no loss; they need root or user namespaces'
        raise LabError(msg)


def why_not() -> str:
    """Try a link between two hosts.

    Returns:
        Why a lab cannot be had here; empty if it can.
    """
    hosts = []
    try:
        hosts.append(Host('edge'))
        hosts.append(Host('server', hosts[0]))
        link = Link(*hosts)
        link.shape(1.0, 1.0)
        link.cut()
    except LabError as error:
        return str(error)
    finally:
        for host in hosts:
            host.close()
    return ''
