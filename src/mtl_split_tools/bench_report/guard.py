# SPDX-License-Identifier: Apache-2.0
"""Ratios between figures of one run, and which of them got worse than the baseline that ships.

Two figures of the same run share the machine and what else it does, so their ratio holds on any.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mtl_split_core.errors import DataError
from mtl_split_tools.bench_report.looks import Row
from mtl_split_tools.bench_report.reading import outside_network, shots
from mtl_split_tools.files import write_json

WORST = 1.5
"""Times the baseline beyond which a ratio got worse; of each ratio less is better."""
PICTURE, RAW, LOCAL = 'jpeg:80', 'raw', 'local'


@dataclass(frozen=True, slots=True)
class Bare:
    """The networks alone, without nodes, in this process.

    Args:
        encoder_cpu_ms: Processor time of the encoder for a picture.
        tail_cpu_ms: Processor time of the tail.
    """

    encoder_cpu_ms: float
    tail_cpu_ms: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """One ratio now and as it shipped."""

    name: str
    now: float
    baseline: float

    @property
    def change(self) -> float:
        """Times the baseline."""
        return self.now / self.baseline

    @property
    def worse(self) -> bool:
        """Whether it got worse by more than half."""
        return self.change > WORST

    def __str__(self) -> str:
        return (
            f'{self.name}: {self.now:.3f}, baseline {self.baseline:.3f} ({self.change:.2f} times)'
        )


def make_ratios(rows: Mapping[str, Row], split: str, bare: Bare) -> dict[str, float]:
    """Return what is compared; of each less is better.

    Args:
        rows: Of one run over loopback, by transport.
        split: Which of them is the split.
        bare: The networks alone, from the same machine at the same time.

    Raises:
        DataError: A row has no answers.
    """
    for row in rows.values():
        if row['end_to_end_ms']['p50'] is None:
            msg = f'{row["transport"]} had no answer in {row["frames"]} images; see its log'
            raise DataError(msg)
    mine, share = rows[split], outside_network(rows[split])
    if share is None:
        msg = f'{split} told no stages; see the logs of the nodes'
        raise DataError(msg)
    delay = {way: _undisturbed_s(row) for way, row in rows.items()}
    edge_cpu = {way: row['edge_cpu_ms'] / _sent(row) for way, row in rows.items()}
    return {
        'bytes, split over JPEG': (mine['bytes_app'] / _sent(mine))
        / (rows[PICTURE]['bytes_app'] / _sent(rows[PICTURE])),
        'server CPU over the bare tail': mine['server_cpu_ms']
        / mine['answered']
        / bare.tail_cpu_ms,
        'edge CPU over the bare encoder': edge_cpu[split] / bare.encoder_cpu_ms,
        'edge CPU, split over local': edge_cpu[split] / edge_cpu[LOCAL],
        'delay, split over raw': delay[split] / delay[RAW],
        'delay, split over local': delay[split] / delay[LOCAL],
        'share of the delay outside encoder and tail': share,
    }


def _undisturbed_s(row: Row) -> float:
    """Return the lower quartile of the delays: other work on the machine moves the median."""
    return float(np.quantile([s.delay_s for s in shots(row) if s.delay_s is not None], 0.25))


def _sent(row: Row) -> float:
    """Return the share of the images that were worked on: a busy machine leaves some out."""
    ways = [shot.way for shot in shots(row)]
    return sum(map(bool, ways)) / len(ways)


def compare(ratios: Mapping[str, float], baseline: Mapping[str, float]) -> list[Comparison]:
    """Set ratios beside the baseline.

    Raises:
        DataError: They are not the same ones.
    """
    if differing := sorted(set(ratios) ^ set(baseline)):
        msg = f'the baseline differs in {", ".join(differing)}; renew it with --update'
        raise DataError(msg)
    return [Comparison(name, value, baseline[name]) for name, value in ratios.items()]


def read_baseline(path: Path) -> dict[str, float]:
    """Return the ratios of a baseline.

    Raises:
        DataError: It is missing or damaged.
    """
    try:
        ratios = json.loads(path.read_text(encoding='utf-8'))['ratios']
        found = {str(name): float(value) for name, value in ratios.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f'{path} is no baseline ({error}); make one with `mtl-split bench-quick --update`'
        raise DataError(msg) from error
    if bad := [name for name, value in found.items() if not 0 < value < float('inf')]:
        msg = f'{path}: {bad[0]} is {found[bad[0]]}, allowed is a number above 0; renew it'
        raise DataError(msg)
    return found


def write_baseline(path: Path, ratios: Mapping[str, float], machine: Mapping[str, object]) -> None:
    """Make ratios the baseline."""
    rounded = {name: float(f'{value:.4g}') for name, value in ratios.items()}
    write_json(path, {'machine': dict(machine), 'ratios': rounded})
