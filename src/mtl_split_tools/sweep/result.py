# SPDX-License-Identifier: Apache-2.0
"""What a sweep found: curves, their comparison, the files."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from rich.table import Table

from mtl_split_core.bundle import Bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_tools.console import MISSING, figure, kilobytes, table
from mtl_split_tools.evaluation import Evaluation, PictureWay, SplitWay, Stages, Way
from mtl_split_tools.sweep.bd_rate import Comparison, Point, bytes_for, compare, frontier

Metric = Literal['miou', 'map50', 'accuracy']
METRICS: dict[Metric, str] = {'miou': 'mIoU', 'map50': 'mAP50', 'accuracy': 'accuracy'}
"""One per task, and how people write it."""

COMPARED: tuple[Metric, ...] = ('miou', 'map50')
"""Those with a curve worth comparing: the third is right on nearly every frame."""

RIVALS = {
    'jpeg': 'JPEG',
    'webp': 'WebP',
    'jpeg, best': 'JPEG at its best',
    'webp, best': 'WebP at its best',
}
"""Plain: full size, and the network without rounding of Z_b. At its best: full or half size, with
or without that rounding, whichever gives more for its bytes."""

# At 480x360 from 1 to 70 kB; below 4 kB neither format can hold the picture at its full size.
_PICTURES = {
    'jpeg': ('15/2', '40/2', '75/2', '5', '12', '25', '50', '95'),
    'webp': ('1/2', '20/2', '60/2', '1', '10', '40', '96'),
}
_ROUNDED = ' rounded'
_POINT = 0.01
_COLUMNS = (
    *('bytes_per_frame', 'bytes_per_frame_p95', 'bytes_per_frame_max', 'miou', 'map50', 'map'),
    *('accuracy', 'encode_ms', 'decode_ms', 'network_ms'),
)


@dataclass(frozen=True, slots=True)
class Sweep:
    """Figures of all ways on the same pictures.

    Args:
        bundle: The bundle.
        data: What the pictures are.
        frames: How many.
        done: By transport: `split:K`, `raw`, `jpeg:Q`, `jpeg:Q/2`, `webp:Q`, `webp:Q/2`; those of
            pictures also with ` rounded` behind, Z_b rounded as the last rate does.
    """

    bundle: Bundle
    data: str
    frames: int
    done: Mapping[str, Evaluation]

    def value(self, transport: str, metric: Metric) -> float | None:
        """Return the accuracy of one way; None where the bundle or the data has no such task."""
        return self.done[transport].metrics[metric]

    def points(self, family: str, metric: Metric) -> list[Point]:
        """Return bytes and accuracy of `split` or of a rival, fewest bytes first."""
        found = []
        kind, _, best = family.partition(',')
        for name, evaluation in self.done.items():
            value = evaluation.metrics[metric]
            plain = '/' not in name and not name.endswith(_ROUNDED)
            member = name.startswith(f'{kind}:') and (best or plain)
            if member and value is not None:
                found.append((float(evaluation.sizes.mean()), value))
        return sorted(found)

    def measured(self, metrics: Sequence[Metric]) -> list[Metric]:
        """Return which of these the bundle and the data have."""
        return [metric for metric in metrics if self.points('split', metric)]

    def comparison(self, rival: str, metric: Metric) -> Comparison:
        """Compare Z_b with pictures at equal accuracy."""
        return compare(self.points(rival, metric), self.points('split', metric))

    def equal_accuracy(self) -> list[dict[str, Any]]:
        """Return for each rate and metric the bytes of pictures that reach the same.

        A rival's bytes are None where none of its pictures gets there.
        """
        rows = []
        for metric in self.measured(COMPARED):
            for rate in range(len(self.bundle.rates)):
                value = self.value(f'split:{rate}', metric)
                if value is None:
                    continue
                needed = {r: bytes_for(self.points(r, metric), value) for r in RIVALS}
                rows.append(
                    {
                        'metric': metric,
                        'rate': rate,
                        'accuracy': value,
                        'bytes': float(self.done[f'split:{rate}'].sizes.mean()),
                        **{r: b if b < float('inf') else None for r, b in needed.items()},
                    }
                )
        return rows

    def document(self) -> dict[str, Any]:
        """Return the content of sweep.json."""
        return {
            'bundle': self.bundle.name,
            'fingerprint': f'{self.bundle.fingerprint:016x}',
            'data': self.data,
            'frames': self.frames,
            'rows': [{'transport': name, **e.document()} for name, e in self.done.items()],
            'bd_rate': {
                rival: {m: asdict(self.comparison(rival, m)) for m in self.measured(COMPARED)}
                for rival in RIVALS
            },
            'equal_accuracy': self.equal_accuracy(),
        }

    def csv(self) -> str:
        """Return the content of sweep.csv."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator='\n')
        writer.writerow(('transport', 'frames', *_COLUMNS))
        for name, evaluation in self.done.items():
            facts = evaluation.document()
            writer.writerow((name, self.frames, *(facts[key] for key in _COLUMNS)))
        return text.getvalue()


def sweep_ways(bundle: Bundle, stages: Stages, codecs: Sequence[CodecId] = ()) -> dict[str, Way]:
    """Return every rate of the bundle, the uncompressed picture, and pictures from 1 to 70 kB.

    Args:
        bundle: The bundle.
        stages: Its halves.
        codecs: Codecs of Z_b to run besides, by their names.
    """
    ways: dict[str, Way] = {
        f'split:{rate}': SplitWay(bundle, stages, rate) for rate in range(len(bundle.rates))
    }
    for codec in codecs:
        ways[codec.name.lower()] = SplitWay(bundle, stages, bundle.default_rate, codec)
    names = ['raw', *(f'{kind}:{how}' for kind, all_of in _PICTURES.items() for how in all_of)]
    for name in names:
        ways[name] = PictureWay(stages, name)
        if name != 'raw':  # which would be the last rate
            ways[name + _ROUNDED] = PictureWay(stages, name, bundle.tables)
    return ways


BD_COLUMNS = ('task', 'against', 'BD-rate', 'over')
EQUAL_COLUMNS = ('task', 'rate', 'accuracy', 'bytes', *RIVALS.values())


def bd_rate_rows(sweep: Sweep) -> list[tuple[str, ...]]:
    """Return task, rival, BD-rate and what it rests on, as BD_COLUMNS."""
    rows: list[tuple[str, ...]] = []
    for metric in sweep.measured(COMPARED):
        for rival, name in RIVALS.items():
            found = sweep.comparison(rival, metric)
            if found.rate is not None:
                thin = ' (thin)' if found.high - found.low < _POINT else ''
                cells = (f'{found.rate:+.0%}', f'{found.low:.3f} to {found.high:.3f}{thin}')
            elif found.above:
                best = kilobytes(frontier(sweep.points(rival, metric))[-1][0])
                cells = ('no overlap', f'rate 0 is above all of them, the best has {best}')
            else:
                cells = ('no overlap', 'no accuracy that both reach')
            rows.append((METRICS[metric], name, *cells))
    return rows


def bd_cell(found: Comparison | None) -> str:
    """Return a comparison as one cell of a table; a dash where nothing was compared."""
    if found is None:
        return MISSING
    if found.rate is None:
        return 'all above' if found.above else 'no overlap'
    return f'{found.rate:+.0%} ({figure(found.low)} to {figure(found.high)})'


def equal_rows(sweep: Sweep) -> list[tuple[str, ...]]:
    """Return task, rate, accuracy, bytes, and what each rival needs, as EQUAL_COLUMNS."""
    rows: list[tuple[str, ...]] = []
    for found in sweep.equal_accuracy():
        cells = []
        for rival in RIVALS:
            points = frontier(sweep.points(rival, found['metric']))
            needed = found[rival]
            if needed is None:
                cells.append(f'never ({figure(points[-1][1])})')
            else:
                least = '<= ' if needed == points[0][0] else ''
                cells.append(f'{least}{kilobytes(needed)} (x {needed / found["bytes"]:.1f})')
        facts = (figure(found['accuracy']), kilobytes(found['bytes']))
        rows.append((METRICS[found['metric']], str(found['rate']), *facts, *cells))
    return rows


def tables(sweep: Sweep) -> list[Table]:
    """Return what a person wants to see on the terminal."""
    rows = []
    for name, evaluation in sweep.done.items():
        facts = evaluation.document()
        sizes = (facts[f'bytes_per_frame{end}'] for end in ('', '_p95', '_max'))
        rows.append(
            (
                name,
                *(kilobytes(size) for size in sizes),
                *(figure(facts[key]) for key in (*METRICS, 'map')),
            )
        )
    columns = ('way', 'mean', 'p95', 'max', *METRICS.values(), 'mAP')
    title = f'{sweep.bundle.name} on {sweep.frames} frames of {sweep.data}'
    found = [table(title, columns, rows)]
    if sweep.measured(COMPARED):
        found.append(
            table(
                'bytes against pictures at equal accuracy, on average',
                BD_COLUMNS,
                bd_rate_rows(sweep),
            )
        )
        found.append(
            table(
                'and for each rate: bytes of the pictures that reach the same',
                EQUAL_COLUMNS,
                equal_rows(sweep),
            )
        )
    return found
