# SPDX-License-Identifier: Apache-2.0
"""What the sweep rests on: BD-rates, contexts, the bench of the codec and its document."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.tiny_bundle import street_image
from tests.tools.commands import fails

from mtl_split_core.bundle import Bundle, load_bundle
from mtl_split_core.codecs import quantise
from mtl_split_core.context_entropy import ContextCoder
from mtl_split_core.context_fit import with_contexts
from mtl_split_core.entropy import EntropyCoder
from mtl_split_tools.cli import main
from mtl_split_tools.marked import fill
from mtl_split_tools.sweep import overlays
from mtl_split_tools.sweep.bd_rate import bytes_for, compare, frontier
from mtl_split_tools.sweep.document import PARTS
from mtl_split_tools.sweep.symbols import channel_bits, sent_bits, temporal_contexts

ROOT = Path(__file__).parents[2]
PICTURE = [(4200, 0.31), (6700, 0.41), (9700, 0.455), (14800, 0.48), (35000, 0.497)]
SPLIT = [(1300, 0.42), (2800, 0.46), (4100, 0.473), (7200, 0.49)]
STEEP = [(100, 0.1), (200, 0.3), (900, 0.31)]
FLAT = [(90, 0.05), (150, 0.2), (500, 0.29), (700, 0.5)]


@pytest.mark.parametrize(
    ('anchor', 'way', 'percent'), [(PICTURE, SPLIT, -74.35536565), (STEEP, FLAT, 53.69153155)]
)
def test_bd_rate_is_that_of_the_reference(
    anchor: list[tuple[int, float]], way: list[tuple[int, float]], percent: float
) -> None:
    """The percentages are from bjontegaard 1.3.0 with its method pchip."""
    assert 100 * (compare(anchor, way).rate or 0) == pytest.approx(percent, rel=1e-5)


def test_bd_rate_of_known_curves() -> None:
    half = [(size / 2, value) for size, value in PICTURE]
    assert compare(PICTURE, half).rate == pytest.approx(-0.5)
    assert compare(half, PICTURE).rate == pytest.approx(1)
    found = compare(PICTURE, SPLIT)
    assert (found.low, found.high, found.above) == (0.42, 0.49, False)
    # One point more that nobody would choose changes nothing.
    assert compare([*PICTURE, (50000, 0.44)], SPLIT) == found


def test_curves_that_do_not_overlap_have_no_bd_rate() -> None:
    found = compare(PICTURE, [(1000, 0.5), (2000, 0.52)])
    assert found.rate is None
    assert found.above
    found = compare(PICTURE, [(1000, 0.1), (2000, 0.2)])
    assert found.rate is None
    assert not found.above
    assert compare(PICTURE, [(1000, 0.45)]).rate is None


def test_frontier_and_bytes_at_equal_accuracy() -> None:
    noisy = [(1, 0.5), (4, 0.6), (2, 0.4), (3, 0.6), (5, 0.55)]
    assert frontier(noisy) == [(1, 0.5), (3, 0.6)]
    assert bytes_for(noisy, 0.3) == 1
    assert bytes_for(noisy, 0.6) == pytest.approx(3)
    assert bytes_for(noisy, 0.55) == pytest.approx(3**0.5)
    assert bytes_for(noisy, 0.61) == float('inf')


def test_bits_are_those_of_the_coder(tiny_bundle: Bundle) -> None:
    tables, shape = tiny_bundle.tables, tiny_bundle.feature_shape
    z = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    for rate in range(len(tiny_bundle.rates)):
        symbols = quantise(z, tables, rate)
        size = channel_bits(symbols[None], tables, rate).sum() / 8
        assert size <= len(EntropyCoder(tables).encode(symbols, rate)) <= size + 9
        assert sent_bits(symbols[None], tables, rate).sum() / 8 == size
        contexts = with_contexts(tables, [symbols[None]] * tables.rates)
        assert contexts.contexts is not None
        size = sent_bits(symbols[None], contexts, rate).sum() / 8
        assert size <= len(ContextCoder(contexts).encode(symbols, rate)) <= size + 9


def test_contexts_find_what_there_is() -> None:
    """Bytes of independent symbols, and of frames of which half are alike."""
    random = np.random.default_rng(0)
    bits = 20 * 4 * 16 * 16 / 8 * np.log2(3) / 20

    def drawn(*shape: int) -> NDArray[np.int32]:
        return random.integers(-1, 2, shape).astype(np.int32)

    found = temporal_contexts(drawn(21, 4, 16, 16), 1)
    for value in found.values():
        assert value == pytest.approx(bits, rel=0.02)
    found = temporal_contexts(np.repeat(drawn(10, 4, 16, 16), 2, axis=0), 1)
    assert found['intra'] == pytest.approx(bits, rel=0.02)
    # Half of the frames repeat the one before: a symbol is that of before with 2/3, else 1/6 each.
    entropy = np.log2(3 / 2) * 2 / 3 + np.log2(6) / 3
    assert found['previous'] == pytest.approx(bits * entropy / np.log2(3), rel=0.02)


def test_overlays_are_at_1_2_4_and_8_kilobytes(
    tiny_bundle: Bundle,
) -> None:
    """The rate that is nearest to each, once; beside it the largest JPEG of no more bytes."""
    assert overlays.TARGETS == (1000, 2000, 4000, 8000)
    shipped = load_bundle(ROOT / 'models/camvid')
    sizes = [rate.bytes_mean or 0.0 for rate in shipped.rates]
    shown = overlays.nearest_rates(shipped, sizes)
    assert [round(np.log2(sizes[rate] / 1000)) for rate in shown] == [0, 1, 2, 3]
    assert overlays.nearest_rates(tiny_bundle, [950.0, 3000.0]) == [0, 1]
    assert overlays.nearest_rates(tiny_bundle, [10.0, 950.0]) == [1]

    image = street_image(480, 360, 0)
    for size in (2000, 8000):
        transport, data = overlays._picture_of(image, size)
        assert len(data) <= size
        assert transport.quality >= 10


def test_fill_wants_all_parts() -> None:
    document = ''.join(f'<!-- bench-codec: {name} -->\nold\n<!-- end -->\n' for name in PARTS)
    parts = {name: f'| {name} | a\\1 |' for name in PARTS}
    filled = fill(f'before\n{document}after\n', 'bench-codec', parts)
    assert filled.startswith('before\n')
    assert filled.endswith('after\n')
    assert 'old' not in filled
    assert all(
        f'<!-- bench-codec: {n} -->\n{text}\n<!-- end -->' in filled for n, text in parts.items()
    )
    assert fill(filled, 'bench-codec', parts) == filled


def test_the_document_is_about_the_bundle_that_ships() -> None:
    text = (ROOT / 'docs/codec.md').read_text()
    fingerprint = f'{load_bundle(ROOT / "models/camvid").fingerprint:016x}'
    assert f'`{fingerprint}`' in text, 'models/camvid has changed: run make bench-codec'
    for name in re.findall(r'\]\((codec/[\w.]+)\)', text):
        picture = ROOT / 'docs' / name
        assert cv2.imread(str(picture)) is not None
        assert picture.stat().st_size < 300_000


@pytest.mark.slow
def test_bench_on_the_shipped_clip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip('rclpy', reason='needs ROS 2')
    document = tmp_path / 'codec.md'
    document.write_text((ROOT / 'docs/codec.md').read_text())
    bench = ['bench-codec', '--out', tmp_path / 'out']
    command = [*bench, '--limit', 8, '--doc', document]
    assert main([str(argument) for argument in command]) == 0
    found = json.loads((tmp_path / 'out/summary.json').read_text())
    assert found['frames'] == 8
    for cost in found['codecs']:
        assert cost['encode_ms'] > 0
        if cost['codec'] == 'entropy':
            assert cost['bytes_per_frame'] <= 1.02 * cost['information']
    lossless = next(cost for cost in found['codecs'] if cost['codec'] == 'lossless')
    assert lossless['largest_error'] == 0
    assert '8 frames of' in document.read_text()
    assert (tmp_path / 'codec/z_b.png').exists()
    assert '--limit 3 is not at least 8' in fails(capsys, *bench, '--limit', 3)
    document.write_text('# nothing to fill\n')
    assert 'it must have measured' in fails(capsys, *bench, '--doc', document)
