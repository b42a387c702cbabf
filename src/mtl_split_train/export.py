# SPDX-License-Identifier: Apache-2.0
"""A trained checkpoint becomes a bundle: two ONNX graphs and integer tables, verified."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mtl_split_core.backend import BackendOptions, load_network
from mtl_split_core.bundle import Bundle, write_bundle
from mtl_split_core.codec_ids import CodecId
from mtl_split_core.codecs import dequantise, make_codecs, quantise
from mtl_split_core.context_fit import with_contexts
from mtl_split_core.errors import DataError
from mtl_split_core.geometry import Letterbox
from mtl_split_core.tables import CodecTables
from mtl_split_train.backbone import MEAN, STD
from mtl_split_train.config import TrainConfig
from mtl_split_train.data import normalise
from mtl_split_train.int8 import changed_pixels, quantise_tail
from mtl_split_train.network import SplitNetwork, TailGraph
from mtl_split_train.samples import Dataset, spread
from mtl_split_train.tasks import describe_tasks
from mtl_split_train.torch_weights import CHECKSUMS, checksum, save_weights

OPSET = 18
#: Largest difference between torch and ONNX Runtime that another order of additions explains.
_TOLERANCE = 2e-3
#: Largest share of label pixels that it decides in another way, where two classes are even.
_TIES = 1e-3


def export_bundle(
    network: SplitNetwork,
    config: TrainConfig,
    data: Dataset,
    out: Path,
    *,
    with_torch: bool = False,
    int8: bool = False,
) -> Bundle:
    """Write the bundle of a trained network and check it.

    Args:
        network: The trained network.
        config: Its run.
        data: Frames that the tables are counted on: the training frames, since the codec is part
            of what was trained.
        out: Folder of the bundle; must not exist.
        with_torch: Whether to add the weights that the ``torch`` backend runs.
        int8: Whether tail.onnx runs its convolutions in 8 bits.

    Raises:
        DataError: ``out`` exists, or the exported graphs do not agree with the network.
    """
    if out.exists():
        msg = f'{out} exists; remove it or choose another --out'
        raise DataError(msg)
    network = network.eval().float().to('cpu')
    width, height = config.data.input_width, config.data.input_height
    with tempfile.TemporaryDirectory() as folder:
        encoder, tail = Path(folder) / 'encoder.onnx', Path(folder) / 'tail.onnx'
        image = torch.zeros(1, 3, height, width)
        with torch.no_grad():
            z = network.encoder(image)
        write_graph(network.encoder, image, encoder, ['image'], ['z_b'])
        graph = TailGraph(network.tail, (height, width), data.classes.attribute).eval()
        write_graph(graph, z, tail, ['z_b'], graph.names, open_batch=True)
        features = list(encode_all(encoder, data, width, height))
        tables = count_tables(network, features, config.rates.finer)
        manifest = describe(config, data, (int(z.shape[1]), int(z.shape[2]), int(z.shape[3])))
        weights = save_weights(network, config, data.classes, Path(folder)) if with_torch else []
        manifest['training'][CHECKSUMS] = {path.name: checksum(path) for path in weights}
        staged = write_bundle(Path(folder) / 'bundle', manifest, encoder, tail, tables)
        verify(staged, network, data)
        if int8:
            tail = Path(folder) / 'tail8.onnx'
            received = sample_received(features, tables)
            quantise_tail(staged.tail_path, tail, received)
            share = changed_pixels(staged.tail_path, tail, received[::8])
            manifest['training']['tail'] = {'precision': 'int8', 'changed_pixels': share}
        bundle = write_bundle(out, manifest, encoder, tail, tables)
        for path in weights:
            shutil.copyfile(path, out / path.name)
    return bundle


def describe(config: TrainConfig, data: Dataset, shape: tuple[int, int, int]) -> dict[str, Any]:
    """Return bundle.yaml's content, without what ``write_bundle`` computes."""
    return {
        'name': config.bundle.name,
        'version': config.bundle.version,
        'family': 'mtl_split',
        'description': config.bundle.description,
        'licence': config.bundle.licence,
        'input': {
            'width': config.data.input_width,
            'height': config.data.input_height,
            'mean': list(MEAN),
            'std': list(STD),
        },
        'feature': dict(zip(('channels', 'height', 'width'), shape, strict=True)),
        'default_rate': config.rates.default,
        'tasks': describe_tasks(data.classes),
        'training': {
            'backbone': config.network.backbone,
            'stage': config.network.stage,
            'stride': config.network.stride,
            'rate_targets': config.rates.targets,
            **({'finer_rates': config.rates.finer} if config.rates.finer else {}),
            'frames': len(data.images),
        },
    }


def write_graph(
    module: nn.Module,
    example: Tensor,
    path: Path,
    inputs: list[str],
    outputs: list[str],
    *,
    open_batch: bool = False,
) -> None:
    """Write one ONNX graph and check it.

    Args:
        module: Takes one tensor and gives one or several.
        example: Its input, one frame.
        path: File to write.
        inputs: Name of the input.
        outputs: Names of the outputs.
        open_batch: Whether it takes any number of frames, along the first dimension of the input
            and of every output; all else is fixed.
    """
    torch.onnx.export(
        module.eval(),
        # A dimension of 1 would be taken for one that is always 1.
        (torch.cat((example, example)) if open_batch else example,),
        str(path),
        input_names=inputs,
        output_names=outputs,
        opset_version=OPSET,
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim('batch')},) if open_batch else None,
        external_data=False,
        verbose=False,
    )
    onnx.checker.check_model(str(path), full_check=True)


def encode_all(
    encoder: Path, data: Dataset, width: int, height: int
) -> Iterator[NDArray[np.float32]]:
    """Yield Z_b [C, h, w] of every frame, plain and mirrored, as ONNX Runtime computes it."""
    network = load_network(encoder, options=BackendOptions(threads=2))
    for sample in data.images:
        image = Letterbox.fit(sample.width, sample.height, width, height).apply(sample.image())
        for view in (image, np.ascontiguousarray(image[:, ::-1])):
            yield network.run({'image': normalise(view)[None].numpy()})['z_b'][0]


def count_tables(
    network: SplitNetwork, features: list[NDArray[np.float32]], finer: Sequence[float] = ()
) -> CodecTables:
    """Count the symbols of all frames at every rate into integer tables.

    Args:
        network: The trained network.
        features: Z_b of the frames, [C, h, w] each.
        finer: Gains of further rates over that of the last one.
    """
    bottleneck = network.encoder.bottleneck
    gain, step = (value.detach().numpy() for value in (bottleneck.gains, bottleneck.steps))
    z = np.stack(features)
    # A finer light would say no more, and widen the tables of all channels.
    learnt = np.arange(z.shape[1]) < z.shape[1] - bottleneck.light
    last = bottleneck.rates - 1
    for factor in finer:
        gain = np.vstack((gain, np.where(learnt, factor * gain[last], gain[last])))
        step = np.vstack((step, np.where(learnt, fit_step(z, gain[-1]), step[last])))
    gain, step = gain.astype(np.float32), step.astype(np.float32)
    symbols = [np.rint(z * g[None, :, None, None]).astype(np.int32) for g in gain]
    return with_contexts(CodecTables.from_symbols(gain, step, symbols), symbols)


def fit_step(z: NDArray[np.float32], gain: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the steps that restore rounded features best, in squares.

    Args:
        z: Features, [N, C, h, w].
        gain: Symbols per unit, [C].

    Returns:
        Units per symbol, [C]; 1 / gain where every symbol is zero.
    """
    symbols = np.rint(z * gain[:, None, None])
    energy = np.einsum('nchw,nchw->c', symbols, symbols, dtype=np.float64)
    match = np.einsum('nchw,nchw->c', symbols, z, dtype=np.float64)
    fitted = np.where(energy > 0, match / np.maximum(energy, 1.0), 1.0 / gain)
    return fitted.astype(np.float32)


def sample_received(
    features: list[NDArray[np.float32]], tables: CodecTables, frames: int = 64
) -> list[NDArray[np.float32]]:
    """Return Z_b as the server receives it, of frames spread over the data and all rates."""
    chosen = features[:: max(1, len(features) // frames)][:frames]
    rates = [index % tables.rates for index in range(len(chosen))]
    return [
        dequantise(quantise(z, tables, rate), tables, rate)
        for z, rate in zip(chosen, rates, strict=True)
    ]


def verify(bundle: Bundle, network: SplitNetwork, data: Dataset, frames: int = 4) -> None:
    """Compare a bundle with the network in torch: in one piece, and every rate by real bytes.

    Raises:
        DataError: A difference that float32 arithmetic does not explain; names the output.
    """
    encoder, tail = load_network(bundle.encoder_path), load_network(bundle.tail_path)
    codecs = make_codecs(bundle)
    lossless, codec = codecs[CodecId.LOSSLESS], codecs[CodecId.ENTROPY]
    bottleneck = network.encoder.bottleneck
    size = (bundle.input.height, bundle.input.width)
    graph = TailGraph(network.tail, size, data.classes.attribute).eval()
    for sample in spread(data.images, frames):
        box = Letterbox.fit(sample.width, sample.height, bundle.input.width, bundle.input.height)
        x = normalise(box.apply(sample.image()))[None]
        with torch.no_grad():
            reference, whole = network.encoder(x), graph.answers(network(x))
        z = encoder.run({'image': x.numpy()})['z_b'][0]
        compare('z_b', z, reference[0].numpy(), sample.name)
        received = lossless.decode(lossless.encode(z, 0), 0, bundle.feature_shape)
        compare_answers(tail.run({'z_b': received[None]}), whole, f'{sample.name}, in one piece')
        for rate in range(len(bundle.rates)):
            received = codec.decode(codec.encode(z, rate), rate, bundle.feature_shape)
            symbols = quantise(z, bundle.tables, rate)
            expected = dequantise(symbols, bundle.tables, rate)
            with torch.no_grad():
                if rate < bottleneck.rates:
                    q = torch.full((1,), rate)
                    expected = bottleneck.quantise(torch.from_numpy(z)[None], q)[0][0].numpy()
                outputs = graph.answers(graph.tail(torch.from_numpy(received)[None]))
            # What the tables clip, torch does not.
            rounded = np.rint(z * bundle.tables.gain[rate][:, None, None])
            inside = np.abs(symbols - rounded) < 0.5
            where = f'{sample.name} at rate {rate}'
            compare('z_b', received[inside], expected[inside], where)
            compare_answers(tail.run({'z_b': received[None]}), outputs, where)


def compare_answers(
    found: Mapping[str, NDArray[Any]], expected: Mapping[str, Tensor], sample: str
) -> None:
    """Refuse answers of ONNX Runtime that float32 arithmetic does not explain.

    Raises:
        DataError: Names the output that differs, and of which sample.
    """
    for name, value in expected.items():
        if name == 'mask':
            differing = float((found[name] != value.numpy()).mean())
            if differing > _TIES:
                msg = f'mask of {sample}: {differing:.2%} of pixels differ in ONNX'
                raise DataError(msg)
        else:
            scale = max(1.0, float(value.abs().max()))
            compare(name, found[name], value.numpy(), sample, scale)


def compare(
    what: str,
    found: NDArray[np.float32],
    expected: NDArray[np.float32],
    sample: str,
    scale: float = 1.0,
) -> None:
    """Refuse values of ONNX Runtime that float32 arithmetic does not explain.

    Raises:
        DataError: Names what differs, of which sample, and by how much relative to ``scale``.
    """
    difference = float(np.abs(found - expected).max(initial=0.0)) / scale
    if not difference < _TOLERANCE:
        msg = f'{what} of {sample}: ONNX and torch differ by {difference:.2g}, over {_TOLERANCE}'
        raise DataError(msg)
