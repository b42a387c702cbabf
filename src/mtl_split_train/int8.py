# SPDX-License-Identifier: Apache-2.0
"""Post-training quantisation of the tail: its convolutions in 8 bits, its answers the same."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from mtl_split_core.backend import load_network
from mtl_split_core.errors import DataError

#: Share of label pixels that may change before the 8-bit tail is refused.
MAX_CHANGED_PIXELS = 0.05


class _Features(CalibrationDataReader):  # type: ignore[misc]
    """Hands Z_b, one frame at a time, to the calibration."""

    def __init__(self, features: Sequence[NDArray[np.float32]]) -> None:
        self._rest: Iterator[NDArray[np.float32]] = iter(features)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next input of the network, None after the last."""
        z = next(self._rest, None)
        return None if z is None else {'z_b': z[None]}


def quantise_tail(source: Path, target: Path, features: Sequence[NDArray[np.float32]]) -> None:
    """Write the 8-bit form of a tail graph.

    Weights take 7 of the 8 bits: on processors with AVX2 but without VNNI the sum of two full
    8-bit products saturates in 16 bits (ONNX Runtime, "Quantize ONNX Models", reduce_range).

    Args:
        source: The float graph.
        target: File to write, QDQ format.
        features: Z_b [C, h, w] as the server receives it, at all rates; ranges are taken from it.
    """
    prepared = target.with_suffix('.prepared.onnx')
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    # Its advice to run the step above comes although that has been done.
    logging.disable(logging.WARNING)
    try:
        quantize_static(
            str(prepared),
            str(target),
            _Features(features),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=['Conv'],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    finally:
        logging.disable(logging.NOTSET)
        prepared.unlink(missing_ok=True)


def changed_pixels(
    source: Path, target: Path, features: Sequence[NDArray[np.float32]]
) -> float | None:
    """Return the share of label pixels that the 8-bit tail answers otherwise, 0 to 1.

    None where the tail has no segmentation.

    Raises:
        DataError: It is more than ``MAX_CHANGED_PIXELS``.
    """
    whole, small = load_network(source), load_network(target)
    if 'mask' not in whole.output_names:
        return None
    changed = [
        (whole.run({'z_b': z[None]})['mask'] != small.run({'z_b': z[None]})['mask']).mean()
        for z in features
    ]
    share = float(np.mean(changed))
    if share > MAX_CHANGED_PIXELS:
        msg = f'the 8-bit tail changes {share:.1%} of the label pixels: export without --int8'
        raise DataError(msg)
    return share
