# SPDX-License-Identifier: Apache-2.0
"""The lab itself: what its link lets through, and that nothing of it stays behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.allowance import within
from tests.lab_rights import EXPECTED, need_lab

from mtl_split_tools.lab.hosts import Host, LabError
from mtl_split_tools.lab.link import SERVER_ADDRESS, Link, why_not
from mtl_split_tools.lab.processes import Process, wait_for
from mtl_split_tools.lab.stream import Answer, Published, Stream

PACKET = 1000
PATIENCE_S = 40.0
RECEIVE = f"""
import json, select, socket, sys, time
receiver = socket.socket(type=socket.SOCK_DGRAM)
receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**22)
receiver.bind(('{SERVER_ADDRESS}', 5000))
print('ready', flush=True)
arrived, sources, silence = [], [receiver, sys.stdin], None
while ready := select.select(sources, [], [], silence)[0]:
    if receiver in ready:
        receiver.recv(2000)
        arrived.append(time.monotonic())
    else:
        # all is sent: until nothing comes any more
        sources, silence = [receiver], 0.7
print(json.dumps(arrived))
"""
SEND = f"""
import socket, sys, time
count, pause = int(sys.argv[1]), float(sys.argv[2])
sender = socket.socket(type=socket.SOCK_DGRAM)
for _ in range(count):
    sender.sendto(bytes({PACKET}), ('{SERVER_ADDRESS}', 5000))
    time.sleep(pause)
"""
BARE = [sys.executable, '-S', '-c']  # without the site packages: it starts at once

pytestmark = pytest.mark.real_time


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    edge = Host('edge')
    server = Host('server', edge)
    yield edge, server
    server.close()
    edge.close()


@pytest.fixture
def link(hosts: tuple[Host, Host]) -> Link:
    return Link(*hosts)


def through(
    hosts: tuple[Host, Host], folder: Path, count: int = 200, pause: float = 0.001
) -> list[float]:
    """When the packets arrived that were sent from edge to server."""
    receiver = Process(
        'receiver', hosts[1], [*BARE, RECEIVE], dict(os.environ), folder / 'receiver.log'
    )
    receiver.wait_for_log('ready')
    hosts[0].run(*BARE, SEND, str(count), str(pause))
    receiver.say('sent')
    wait_for(lambda: not receiver.alive, 'the receiver to end', PATIENCE_S)
    arrived: list[float] = json.loads(receiver.log.splitlines()[1])
    receiver.end()
    return arrived


def able_to(link: Link, **shape: float) -> str:
    """Why the kernel cannot, '' if it can."""
    try:
        link.shape(**shape)
    except LabError as error:
        return str(error)
    return ''


@pytest.mark.usefixtures('lab_rights')
class TestLink:
    def test_everything_passes_at_first(
        self, hosts: tuple[Host, Host], link: Link, tmp_path: Path
    ) -> None:
        link.shape()
        assert len(through(hosts, tmp_path)) == 200

    def test_rate(self, hosts: tuple[Host, Host], link: Link, tmp_path: Path) -> None:
        link.shape(up_mbit=50.0)
        link.shape(up_mbit=1.0, queue_ms=5000.0)
        before = link.traffic()
        arrived = through(hosts, tmp_path, count=100, pause=0.0)
        assert len(arrived) == 100
        # 100 packets of 1042 bytes at 125 kB/s take 0.83 s, less the first few at once; a busy
        # machine may see the first or the last one late
        assert 0.6 < arrived[-1] - arrived[0] < within(0.8)
        assert link.traffic().since(before).up_bytes == pytest.approx(104_200, abs=500)

    def test_full_queue_loses(self, hosts: tuple[Host, Host], link: Link, tmp_path: Path) -> None:
        link.shape(up_mbit=1.0, queue_ms=100.0)
        arrived = through(hosts, tmp_path, count=100, pause=0.0)
        # 12 wait in the queue; more pass while they are sent, 1 in 8 ms
        assert 10 <= len(arrived) <= 50

    def test_loss(self, hosts: tuple[Host, Host], link: Link, tmp_path: Path) -> None:
        link.lose(20.0)
        # a binomial with 200 trials is within 5 standard deviations
        assert 200 - len(through(hosts, tmp_path)) == pytest.approx(40, abs=28)

    def test_loss_is_one_way_if_asked(
        self, hosts: tuple[Host, Host], link: Link, tmp_path: Path
    ) -> None:
        link.lose(0.0, down_percent=50.0)
        assert len(through(hosts, tmp_path)) == 200

    def test_cut_and_restore(self, hosts: tuple[Host, Host], link: Link, tmp_path: Path) -> None:
        link.lose(1e-6)
        link.cut()
        assert through(hosts, tmp_path, count=20) == []
        link.restore()
        assert len(through(hosts, tmp_path, count=20)) == 20

    def test_impossible_rate(self, link: Link) -> None:
        with pytest.raises(LabError, match='0 Mbit/s'):
            link.shape(up_mbit=0.0)

    def test_delay_or_a_clear_refusal(
        self, hosts: tuple[Host, Host], link: Link, tmp_path: Path
    ) -> None:
        if 'netem' not in able_to(link, delay_ms=300.0):
            started = time.monotonic()
            assert through(hosts, tmp_path, count=1)[0] - started >= 0.3


@pytest.mark.usefixtures('lab_rights')
class TestCleanUp:
    def test_nothing_outlives_a_killed_owner(self, tmp_path: Path) -> None:
        program = """
import sys, time
from pathlib import Path
from mtl_split_tools.lab import Lab
from mtl_split_tools.lab.processes import Process
lab = Lab(Path(sys.argv[1]))
sleeper = Process('sleeper', lab.edge_host, ['sleep', '60'], {}, Path(sys.argv[1]) / 'log')
print(lab.edge_host.pid, lab.server_host.pid, sleeper.pid, flush=True)
time.sleep(60)
"""
        owner = subprocess.Popen(
            [sys.executable, '-c', program, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert owner.stdout
        pids = [int(word) for word in owner.stdout.readline().split()]
        assert len(pids) == 3
        assert all(running(pid) for pid in pids)
        owner.kill()
        owner.wait()
        owner.stdout.close()
        wait_for(lambda: not any(running(pid) for pid in pids), 'all to go', PATIENCE_S)

    def test_processes(self, hosts: tuple[Host, Host], tmp_path: Path) -> None:
        program = 'import signal; print("up", flush=True); print(input(), flush=True); input()'
        process = Process('it', hosts[0], [*BARE, program], dict(os.environ), tmp_path / 'log')
        process.wait_for_log('up')
        process.say('hello')
        process.wait_for_log('hello')
        assert 1 < process.rss_mb < 100
        assert 0 <= process.cpu_s < 5
        process.stall()
        wait_for(lambda: state(process.pid) == 'T', 'a stall', PATIENCE_S)
        assert process.alive
        process.go_on()
        wait_for(lambda: state(process.pid) != 'T', 'the end of a stall', PATIENCE_S)
        process.kill()
        assert not process.alive
        assert process.end() == -signal.SIGKILL
        with pytest.raises(LabError, match='it has ended'):
            process.say('hello')
        with pytest.raises(LabError, match=r'it ended; it said: hello'):
            process.wait_for_log('never')
        with pytest.raises(LabError, match='it has ended'):
            assert process.rss_mb


def test_machine_without_the_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('PATH', '/nowhere')
    assert 'no ip, tc' in why_not()


def test_where_rights_are_expected_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(EXPECTED, raising=False)
    need_lab('')
    with pytest.raises(pytest.skip.Exception, match='no lab: no rights'):
        need_lab('no rights')
    monkeypatch.setenv(EXPECTED, '1')
    need_lab('')
    with pytest.raises(AssertionError, match='no lab: no rights'):
        need_lab('no rights')


def state(pid: int) -> str:
    """One letter, '' where there is no such process."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
    except OSError:
        return ''


def running(pid: int) -> bool:
    return state(pid) not in ('', 'Z')


def image(second: int, at: float, good: bool = True) -> Published:
    return Published((second, 0), at, 0, good)


def answer(second: int, at: float) -> Answer:
    return Answer((second, 0), at)


class TestStream:
    IMAGES = tuple(image(second, second / 10) for second in range(5))

    def test_orderly(self) -> None:
        stream = Stream(self.IMAGES, [answer(0, 0.05), answer(2, 0.3), answer(4, 0.45)])
        assert stream.orderly
        assert stream.delays_s() == pytest.approx([0.05, 0.1, 0.05])
        assert stream.in_time(0.06) == pytest.approx(2 / 5)

    def test_duplicate(self) -> None:
        answers = [answer(0, 0.05), answer(1, 0.15), answer(0, 0.16)]
        stream = Stream(self.IMAGES, answers)
        assert stream.duplicates == answers[2:]
        assert not stream.orderly

    def test_out_of_order(self) -> None:
        answers = [answer(1, 0.15), answer(0, 0.16), answer(2, 0.3)]
        stream = Stream(self.IMAGES, answers)
        assert (stream.out_of_order, stream.duplicates) == (answers[1:2], [])
        assert len(stream.delays_s()) == 2

    def test_stranger(self) -> None:
        assert Stream(self.IMAGES, [answer(9, 0.5)]).strangers

    def test_stamps_that_repeat(self) -> None:
        again = [image(second, 0.5 + second / 10) for second in range(5)]
        answers = [answer(3, 0.35), answer(0, 0.55), answer(3, 0.85), answer(4, 0.95)]
        stream = Stream([*self.IMAGES, *again], answers)
        assert stream.orderly
        assert len(stream.delays_s()) == 4
        # a second answer to the last image of all
        assert Stream([*self.IMAGES, *again], [*answers, answer(4, 0.96)]).duplicates

    def test_broken_images_need_no_answer(self) -> None:
        stream = Stream([image(0, 0.0), image(1, 0.1, good=False)], [answer(0, 0.05)])
        assert stream.in_time(0.1) == 1.0
