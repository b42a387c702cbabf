# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mtl_split_edge.link import Report
from mtl_split_edge.servers import SERVER_ALIVE_S, Servers

OURS, FOREIGN = 7, 8
REPORT = Report(
    fingerprint=OURS,
    session=1,
    interval=0.1,
    received=1,
    lost=0,
    refused=0,
    answered=1,
    goodput=9000,
    last_sequence=3,
    hold_s=0.1,
    service_s=0.02,
    busy_fraction=0.3,
    refusal='',
)
delays = st.lists(st.floats(0, 2), min_size=1, max_size=10)


@given(offset=st.floats(-1e6, 1e6), delays=delays, ahead=st.floats(0.001, 3))
def test_the_server_never_answers_after_the_time_whatever_the_clocks_and_the_delays(
    offset: float, delays: list[float], ahead: float
) -> None:
    servers = Servers(OURS)
    now = 1000.0
    for delay in delays:
        now += 0.1
        # the report left `delay` ago, with what the server's clock showed then
        clock = max(0.0, now - delay + offset + 2e6)
        servers.heard(replace(REPORT, clock_us=int(clock * 1e6)), now)
    until = now + ahead
    session, micros = servers.address(until)
    assert session == REPORT.session
    # what the server's clock shows at that moment
    at_until = until + offset + 2e6
    assert micros <= at_until * 1e6 + 1
    # and no earlier than the quickest report allows
    assert micros >= (at_until - min(delays)) * 1e6 - 2


def test_without_a_server_nobody_is_addressed() -> None:
    servers = Servers(OURS)
    assert servers.address(5.0) == (0, 0)
    assert servers.alive(5.0) == ()


def test_it_stays_with_one_server_until_that_is_gone() -> None:
    servers = Servers(OURS)
    assert servers.heard(REPORT, 1.0)
    assert not servers.heard(replace(REPORT, session=2), 1.1)
    assert servers.alive(1.2) == (1, 2)
    assert servers.address(2)[0] == 1
    later = 1.0 + SERVER_ALIVE_S
    assert servers.heard(replace(REPORT, session=2), later)
    assert servers.address(later)[0] == 2
    assert servers.alive(later) == (2,)


def test_a_server_with_the_right_bundle_is_preferred() -> None:
    servers = Servers(OURS)
    assert servers.heard(replace(REPORT, session=2, fingerprint=FOREIGN), 1.0)
    assert servers.heard(REPORT, 1.1)
    assert not servers.heard(replace(REPORT, session=2, fingerprint=FOREIGN), 1.2)


def test_what_comes_over_the_wire_is_bounded() -> None:
    servers = Servers(OURS)
    for session in range(1000):
        servers.heard(replace(REPORT, session=session, clock_us=2**64 - 1), session * 0.001)
    assert len(servers.alive(1.0)) <= 16
    assert 0 < servers.address(1e12)[1] < 2**64
