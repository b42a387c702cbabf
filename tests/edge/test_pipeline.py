# SPDX-License-Identifier: Apache-2.0
import pytest
from tests.tiny_bundle import street_image

from mtl_split_core.backend import load_network
from mtl_split_core.bundle import Bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.encode import EncodeStage
from mtl_split_core.errors import MtlSplitError
from mtl_split_edge import pipeline
from mtl_split_edge.pipeline import EdgePipeline, SentTimes, check_rate
from mtl_split_ros.status import Status

IMAGE = street_image(120, 80)


@pytest.fixture
def edge(tiny_bundle: Bundle) -> EdgePipeline:
    return EdgePipeline(
        tiny_bundle, EncodeStage(tiny_bundle, load_network(tiny_bundle.encoder_path))
    )


def test_packets_are_numbered_and_timed(edge: EdgePipeline) -> None:
    packets = [
        edge.encode(IMAGE, rate=0, codec='entropy', wait_s=0.002, convert_s=0.001) for _ in range(3)
    ]
    assert [packet.sequence for packet in packets] == [0, 1, 2]
    assert (packets[0].edge_times_us.wait, packets[0].edge_times_us.convert) == (2000, 1000)


def test_numbers_wrap(edge: EdgePipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, 'SEQUENCE_MODULUS', 2)
    packets = [edge.encode(IMAGE, rate=0, codec='entropy', wait_s=0, convert_s=0) for _ in range(3)]
    assert [packet.sequence for packet in packets] == [0, 1, 0]


def test_rate_and_codec_are_taken_per_frame(edge: EdgePipeline, tiny_bundle: Bundle) -> None:
    first = edge.encode(IMAGE, rate=-1, codec='entropy', wait_s=0, convert_s=0)
    second = edge.encode(IMAGE, rate=0, codec='float16', wait_s=0, convert_s=0)
    assert (first.rate, first.codec) == (tiny_bundle.default_rate, CodecId.ENTROPY)
    assert (second.rate, second.codec) == (0, CodecId.FLOAT16)


@pytest.mark.parametrize('rate', [-2, 2, 255])
def test_a_rate_that_the_bundle_lacks_is_refused(tiny_bundle: Bundle, rate: int) -> None:
    with pytest.raises(MtlSplitError, match=f'rate is {rate}; bundle tiny has rates 0 to 1'):
        check_rate(tiny_bundle, rate)
    check_rate(tiny_bundle, -1)
    check_rate(tiny_bundle, 1)


def test_a_frame_that_cannot_be_encoded_takes_no_number(edge: EdgePipeline) -> None:
    with pytest.raises(MtlSplitError):
        edge.encode(IMAGE[..., 0], rate=0, codec='entropy', wait_s=0, convert_s=0)
    assert edge.encode(IMAGE, rate=0, codec='entropy', wait_s=0, convert_s=0).sequence == 0


def test_diagnostics_name_bytes_and_stages(edge: EdgePipeline, tiny_bundle: Bundle) -> None:
    for _ in range(4):
        packet = edge.encode(IMAGE, rate=-1, codec='entropy', wait_s=0.001, convert_s=0)
        edge.sent(packet, edge_s=0.010, publish_s=0.001)
    status = Status()
    edge.fill(status, rate=-1, codec='entropy')
    values = dict(status.values)
    assert values['sent'] == '4'
    assert values['rate'] == str(tiny_bundle.default_rate)
    assert values['fingerprint'] == f'{tiny_bundle.fingerprint:016x}'
    assert values['bytes mean'] == f'{len(packet.data):.2f}'
    assert values['edge ms p50'] == values['edge ms p99'] == '10.00'
    assert values['publish ms p95'] == '1.00'
    stages = {'wait', 'convert', 'letterbox', 'encode', 'entropy', 'publish', 'edge'}
    assert {key.split(' ms ')[0] for key in values if ' ms ' in key} == stages


def test_round_trip_is_on_the_edges_own_clock() -> None:
    times = SentTimes(keep=2)
    for sequence in range(3):
        times.sent(sequence, now=10 + sequence)
    assert times.round_trip_s(2, hold_s=0.25, now=12.75) == 0.5
    assert times.round_trip_s(2, hold_s=9, now=12.75) == 0
    assert times.round_trip_s(0, hold_s=0, now=13) is None
