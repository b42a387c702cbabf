# SPDX-License-Identifier: Apache-2.0
"""Codecs of Z_b: what turns the feature map into payload bytes and back, frame by frame."""

import math
import zlib
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mtl_split_core.bundle import Bundle
from mtl_split_core.codec_ids import PICTURE_FORMATS, CodecId
from mtl_split_core.context_entropy import ContextCoder
from mtl_split_core.entropy import EntropyCoder
from mtl_split_core.errors import PacketError, RefusalReason
from mtl_split_core.tables import CodecTables

CODEC_VERSIONS = dict.fromkeys(CodecId, 1)
"""Version of each bitstream; a change of the bytes raises it."""

CONTEXT_VERSION = 2
"""Version of CodecId.ENTROPY where the bundle has tables of contexts."""

Shape = tuple[int, int, int]

_FLOAT16_LIMIT = float(np.finfo(np.float16).max)


class Codec(Protocol):
    """Turns Z_b into bytes and back; each frame on its own."""

    @property
    def id(self) -> CodecId:
        """Codec field of the message."""

    @property
    def version(self) -> int:
        """Version of the bitstream."""

    def encode(self, z: NDArray[np.float32], rate: int) -> bytes:
        """Code one feature map.

        Args:
            z: float32 [C, h, w], finite.
            rate: Rate index.

        Returns:
            The payload.
        """

    def decode(self, data: bytes | memoryview, rate: int, shape: Shape) -> NDArray[np.float32]:
        """Decode one feature map.

        Args:
            data: The payload.
            rate: Rate index.
            shape: C, h, w of the bundle.

        Returns:
            float32 [C, h, w], finite.

        Raises:
            PacketError: PAYLOAD, when these bytes are not what the encoder writes.
        """


def quantise(z: NDArray[np.float32], tables: CodecTables, rate: int) -> NDArray[np.int32]:
    """Scale by the gains, round half to even, clip to the tables.

    Args:
        z: float32 [C, h, w], finite.
        tables: Tables of the bundle.
        rate: Rate index.

    Returns:
        int32 [C, h, w].
    """
    low = tables.low[rate][:, None, None]
    high = low + (tables.length[rate][:, None, None] - 1)
    # What overflows is clipped as the infinity that it becomes.
    with np.errstate(over='ignore'):
        scaled = z * tables.gain[rate][:, None, None]
    np.rint(scaled, out=scaled)
    # Symbols stay below 2**24, so the float32 bounds are exact and the clip comes before the cast.
    np.clip(scaled, low.astype(np.float32), high.astype(np.float32), out=scaled)
    quantised: NDArray[np.int32] = scaled.astype(np.int32)
    return quantised


def dequantise(symbols: NDArray[np.int32], tables: CodecTables, rate: int) -> NDArray[np.float32]:
    """Scale symbols back.

    Args:
        symbols: int32 [C, h, w].
        tables: Tables of the bundle.
        rate: Rate index.

    Returns:
        float32 [C, h, w].
    """
    z: NDArray[np.float32] = symbols.astype(np.float32) * tables.step[rate][:, None, None]
    return z


def make_coder(tables: CodecTables) -> EntropyCoder | ContextCoder:
    """Return the coder of symbols that these tables are for."""
    return EntropyCoder(tables) if tables.contexts is None else ContextCoder(tables)


def codec_version(codec: CodecId, bundle: Bundle) -> int:
    """Return the version of the bitstream that a bundle's codec writes and reads.

    Args:
        codec: The codec.
        bundle: Bundle in use.
    """
    return _entropy_version(bundle.tables) if codec is CodecId.ENTROPY else CODEC_VERSIONS[codec]


class EntropyCodec:
    """CodecId.ENTROPY.

    Args:
        tables: Tables of the bundle.
    """

    id = CodecId.ENTROPY

    def __init__(self, tables: CodecTables) -> None:
        self._tables = tables
        self._coder = make_coder(tables)

    @property
    def version(self) -> int:
        """See Codec.version."""
        return _entropy_version(self._tables)

    def encode(self, z: NDArray[np.float32], rate: int) -> bytes:
        """See Codec.encode()."""
        return self._coder.encode(quantise(z, self._tables, rate), rate)

    def decode(self, data: bytes | memoryview, rate: int, shape: Shape) -> NDArray[np.float32]:
        """See Codec.decode()."""
        return dequantise(self._coder.decode(data, rate, shape[1:]), self._tables, rate)


class Float16Codec:
    """CodecId.FLOAT16."""

    id = CodecId.FLOAT16
    version = CODEC_VERSIONS[CodecId.FLOAT16]

    def encode(self, z: NDArray[np.float32], rate: int) -> bytes:  # noqa: ARG002
        """See Codec.encode()."""
        return np.clip(z, -_FLOAT16_LIMIT, _FLOAT16_LIMIT).astype('<f2').tobytes()

    def decode(
        self,
        data: bytes | memoryview,
        rate: int,  # noqa: ARG002
        shape: Shape,
    ) -> NDArray[np.float32]:
        """See Codec.decode()."""
        _check_length(len(data), 2 * math.prod(shape))
        return _finite(np.frombuffer(data, '<f2').astype(np.float32).reshape(shape))


class LosslessCodec:
    """CodecId.LOSSLESS."""

    id = CodecId.LOSSLESS
    version = CODEC_VERSIONS[CodecId.LOSSLESS]

    def encode(self, z: NDArray[np.float32], rate: int) -> bytes:  # noqa: ARG002
        """See Codec.encode()."""
        planes = z.astype('<f4').reshape(-1, 1).view(np.uint8).T
        return zlib.compress(planes.tobytes(), level=1)

    def decode(
        self,
        data: bytes | memoryview,
        rate: int,  # noqa: ARG002
        shape: Shape,
    ) -> NDArray[np.float32]:
        """See Codec.decode()."""
        size = 4 * math.prod(shape)
        stream = zlib.decompressobj()
        try:
            # One byte more than wanted shows a stream that would go on.
            planes = stream.decompress(data, size + 1)
        except zlib.error as error:
            msg = f'lossless payload of {len(data)} bytes does not inflate: {error}'
            raise PacketError(RefusalReason.PAYLOAD, msg) from error
        if not stream.eof or stream.unused_data:
            msg = f'lossless payload of {len(data)} bytes does not end where its stream does'
            raise PacketError(RefusalReason.PAYLOAD, msg)
        _check_length(len(planes), size)
        values = np.frombuffer(planes, np.uint8).reshape(4, -1).T.copy().view('<f4')
        return _finite(values.astype(np.float32, copy=False).reshape(shape))


def make_codecs(bundle: Bundle) -> dict[CodecId, Codec]:
    """Return the codecs of Z_b; the picture codecs belong to the stages.

    Args:
        bundle: Bundle whose tables to use.
    """
    codecs: list[Codec] = [EntropyCodec(bundle.tables), Float16Codec(), LosslessCodec()]
    return {codec.id: codec for codec in codecs}


def payload_shape(codec: CodecId, bundle: Bundle) -> Shape:
    """Return the shape of what a payload carries: of Z_b, or 3, H, W of the picture.

    Args:
        codec: Codec of the payload.
        bundle: Bundle in use.
    """
    if codec in PICTURE_FORMATS:
        return (3, bundle.input.height, bundle.input.width)
    return bundle.feature_shape


def payload_limits(codec: CodecId, bundle: Bundle) -> tuple[int, int]:
    """Return the smallest and largest payload that the codec can write, bytes.

    Args:
        codec: Codec of the payload.
        bundle: Bundle in use.
    """
    values = math.prod(payload_shape(codec, bundle))
    if codec is CodecId.ENTROPY:
        # A symbol costs at most the 24 bits of a frequency of 1; the coder holds up to 3 words.
        return 4, 3 * values + 12
    if codec is CodecId.FLOAT16:
        return 2 * values, 2 * values
    if codec is CodecId.LOSSLESS:
        # Deflate stores what it cannot compress, in blocks of at most 65535 with 5 bytes each.
        return 8, 4 * values + values // 1024 + 64
    return 16, values + 65536


def _entropy_version(tables: CodecTables) -> int:
    return CODEC_VERSIONS[CodecId.ENTROPY] if tables.contexts is None else CONTEXT_VERSION


def _check_length(found: int, expected: int) -> None:
    if found != expected:
        msg = f'payload holds {found} bytes of features, expected {expected}'
        raise PacketError(RefusalReason.PAYLOAD, msg)


def _finite(z: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(z).all():
        msg = 'features hold values that are not finite'
        raise PacketError(RefusalReason.PAYLOAD, msg)
    return z
