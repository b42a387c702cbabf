# SPDX-License-Identifier: Apache-2.0
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.counted_network import CountedNetwork
from tests.tiny_bundle import make_tiny_bundle

from mtl_split_core.backend import load_network
from mtl_split_core.bundle import Bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.codecs import payload_shape
from mtl_split_core.encode import EncodeStage
from mtl_split_core.errors import BundleError, PacketError, RefusalReason
from mtl_split_core.results import FrameResults
from mtl_split_core.tail import Encoded, TailStage


def same(a: FrameResults, b: FrameResults) -> bool:
    assert a.detections
    assert b.detections
    assert a.segmentation
    assert b.segmentation
    return (
        np.array_equal(a.detections.boxes, b.detections.boxes)
        and np.array_equal(a.detections.scores, b.detections.scores)
        and np.array_equal(a.segmentation.mask, b.segmentation.mask)
        and np.array_equal(a.classifications[0].scores, b.classifications[0].scores)
    )


def reason_or_results(run: Callable[[], FrameResults]) -> FrameResults | RefusalReason:
    try:
        return run()
    except PacketError as error:
        return error.reason


@pytest.mark.parametrize('codec', list(CodecId))
def test_every_codec_is_answered_in_source_pixels(
    encode_stage: EncodeStage, tail_stage: TailStage, image: NDArray[np.uint8], codec: CodecId
) -> None:
    results = tail_stage.run(encode_stage.encode(image, 1, codec, 0))
    assert results.detections
    assert results.segmentation
    assert 0 < len(results.detections) <= 20
    assert results.detections.boxes.max() <= 150
    assert results.detections.boxes[:, 3].max() <= 80
    assert results.segmentation.mask.shape == (80, 150)
    assert [result.task for result in results.classifications] == ['time_of_day']
    picture = codec in (CodecId.JPEG, CodecId.WEBP)
    stages = ['decode', 'encode', 'tail', 'postprocess'] if picture else None
    assert list(results.times) == (stages or ['decode', 'tail', 'postprocess'])
    assert min(results.times.values()) > 0


def test_lossless_gives_what_the_unsplit_network_gives(
    encode_stage: EncodeStage, tail_stage: TailStage, image: NDArray[np.uint8]
) -> None:
    whole = tail_stage.run_features(*encode_stage.features(image))
    assert list(whole.times) == ['tail', 'postprocess']
    packet = encode_stage.encode(image, 0, CodecId.LOSSLESS, 0)
    assert same(tail_stage.run(packet), whole)
    assert not same(tail_stage.run(encode_stage.encode(255 - image, 0, CodecId.LOSSLESS, 0)), whole)


def test_payloads_of_other_types(
    encode_stage: EncodeStage, tail_stage: TailStage, image: NDArray[np.uint8]
) -> None:
    for codec in CodecId:
        packet = encode_stage.encode(image, 1, codec, 0)
        expected = tail_stage.run(packet)
        for data in (memoryview(packet.payload), np.frombuffer(packet.data, np.uint8)):
            assert same(tail_stage.run(replace(packet, data=data)), expected)


def test_score_threshold_is_live(
    encode_stage: EncodeStage, tail_stage: TailStage, image: NDArray[np.uint8]
) -> None:
    packet = encode_stage.encode(image, 1, CodecId.ENTROPY, 0)
    tail_stage.score_threshold = 0.6
    strict = tail_stage.run(packet).detections
    tail_stage.score_threshold = 1.0
    none = tail_stage.run(packet).detections
    assert strict is not None
    assert none is not None
    assert strict.scores.min() >= 0.6
    assert len(none) == 0


def test_a_picture_needs_the_encoder(
    tiny_bundle: Bundle, encode_stage: EncodeStage, image: NDArray[np.uint8]
) -> None:
    stage = TailStage(tiny_bundle, load_network(tiny_bundle.tail_path))
    stage.warm_up()
    with pytest.raises(PacketError, match=r'4 \(jpeg\), a picture.*load the encoder') as info:
        stage.run(encode_stage.encode(image, 0, CodecId.JPEG, 0))
    assert info.value.reason is RefusalReason.CODEC


def test_another_network_is_refused(tiny_bundle: Bundle) -> None:
    encoder = load_network(tiny_bundle.encoder_path)
    with pytest.raises(BundleError, match='tail network takes'):
        TailStage(tiny_bundle, encoder)
    tail = load_network(tiny_bundle.tail_path)
    with pytest.raises(BundleError, match='encoder network takes'):
        TailStage(tiny_bundle, tail, encoder=tail)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(list(CodecId)), st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_nonsense_with_a_good_crc_is_refused_or_answered(
    tiny_bundle: Bundle,
    encode_stage: EncodeStage,
    tail_stage: TailStage,
    image: NDArray[np.uint8],
    codec: CodecId,
    seed: int,
    kind: int,
) -> None:
    random = np.random.default_rng(seed)
    packet = encode_stage.encode(image, 1, codec, 0)
    data = bytearray(packet.payload)
    match kind:
        case 0:
            data = data[: int(random.integers(0, len(data)))]
        case 1:
            data = bytearray(random.bytes(len(data)))
        case 2:
            data[int(random.integers(0, len(data)))] ^= 1 << int(random.integers(0, 8))
        case _:
            data += random.bytes(int(random.integers(1, 100)))
    packet = replace(
        packet,
        data=bytes(data),
        crc32=zlib.crc32(data),
        shape=payload_shape(codec, tiny_bundle),
    )
    outcome = reason_or_results(lambda: tail_stage.run(packet))
    if isinstance(outcome, FrameResults):
        assert codec is not CodecId.ENTROPY
        assert outcome.segmentation
    else:
        assert outcome in (RefusalReason.SIZE, RefusalReason.PAYLOAD)


def several(
    encode_stage: EncodeStage, tail_stage: TailStage, image: NDArray[np.uint8]
) -> list[Encoded]:
    """Four frames that differ in codec, rate, size and content."""
    packets = [
        encode_stage.encode(image, 0, CodecId.ENTROPY, 0),
        encode_stage.encode(255 - image[:, 20:], 1, CodecId.ENTROPY, 0),
        encode_stage.encode(image[::2, ::2], 1, CodecId.JPEG, 0),
        encode_stage.encode(image[::-1], 1, CodecId.LOSSLESS, 0),
    ]
    return [tail_stage.encoded(tail_stage.prepare(packet)) for packet in packets]


def test_several_frames_in_one_run_are_answered_as_each_alone(
    tiny_bundle: Bundle, encode_stage: EncodeStage, image: NDArray[np.uint8]
) -> None:
    network = CountedNetwork(load_network(tiny_bundle.tail_path))
    tail = TailStage(tiny_bundle, network, encoder=load_network(tiny_bundle.encoder_path))
    frames = several(encode_stage, tail, image)
    alone = [tail.results(*tail.infer([frame])) for frame in frames]
    assert network.runs == [1] * 4
    together = tail.infer(frames)
    assert network.runs == [1] * 4 + [4]
    assert len({inferred.clock.times['tail'] for inferred in together}) == 1
    for inferred, one in zip(together, alone, strict=True):
        found = tail.results(inferred)
        assert same(found, one)
        assert found.times.keys() == one.times.keys()
    assert tail.results(together[1], {'segmentation'}).classifications == ()
    tail.warm_up(3)
    assert network.runs[5:] == [1, 3, 2]


def test_a_frame_that_is_refused_costs_the_others_nothing(
    encode_stage: EncodeStage, tail_stage: TailStage, image: NDArray[np.uint8]
) -> None:
    frames = several(encode_stage, tail_stage, image)
    wild = np.full((8, 8, 12), 3e38, np.float32)
    wild[::2] *= -1
    frames[1] = replace(frames[1], z=wild)
    alone = [reason_or_results(partial(tail_stage.results, *tail_stage.infer([f]))) for f in frames]
    assert [one is RefusalReason.PAYLOAD for one in alone] == [False, True, False, False]
    for inferred, one in zip(tail_stage.infer(frames), alone, strict=True):
        found = reason_or_results(partial(tail_stage.results, inferred))
        if isinstance(found, FrameResults):
            assert isinstance(one, FrameResults)
            assert same(found, one)
        else:
            assert found is one


def test_the_tail_of_an_older_bundle_runs_once_for_each_frame(
    tmp_path: Path, tail_stage: TailStage, encode_stage: EncodeStage, image: NDArray[np.uint8]
) -> None:
    """The weights are those of the tail that takes several, so are the answers."""
    bundle = make_tiny_bundle(tmp_path / 'older', batched=False)
    network = CountedNetwork(load_network(bundle.tail_path))
    older = TailStage(bundle, network)
    assert (older.batched, tail_stage.batched) == (False, True)
    older.warm_up(4)
    frames = several(encode_stage, tail_stage, image)
    found = older.infer(frames)
    assert network.runs == [1] * 5
    for inferred, one in zip(found, tail_stage.infer(frames), strict=True):
        assert same(older.results(inferred), tail_stage.results(one))


def test_a_network_that_answers_another_number_of_frames(tiny_bundle: Bundle) -> None:
    class Forgetful(CountedNetwork):
        def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
            return {name: array[:1] for name, array in super().run(inputs).items()}

    tail = TailStage(tiny_bundle, Forgetful(load_network(tiny_bundle.tail_path)))
    with pytest.raises(BundleError, match=r'tail output boxes is \[1, 96, 4\] for 2 frames'):
        tail.warm_up(2)


def test_wild_features_are_refused_or_answered(
    encode_stage: EncodeStage, tail_stage: TailStage, image: NDArray[np.uint8]
) -> None:
    _, letterbox = encode_stage.features(image)
    for value in (3e38, -3e38, 1e-40):
        z = np.full((8, 8, 12), value, np.float32)
        z[::2] *= -1
        outcome = reason_or_results(partial(tail_stage.run_features, z, letterbox))
        assert isinstance(outcome, FrameResults) or outcome is RefusalReason.PAYLOAD
