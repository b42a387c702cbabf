# SPDX-License-Identifier: Apache-2.0
"""Errors that a user or a peer can cause; each text names the thing, its value and the remedy."""

from enum import StrEnum


class MtlSplitError(Exception):
    """Base of every expected error. Commands print its text as one line and exit with 2."""


class BundleError(MtlSplitError):
    """A model bundle is missing, damaged or does not fit what is asked of it."""


class ImageError(MtlSplitError):
    """An image cannot be used as it is."""


class DataError(MtlSplitError):
    """A data set, a recording or an array handed in does not fit."""


class BackendError(MtlSplitError):
    """An inference backend is missing or cannot load or run a network."""


class RefusalReason(StrEnum):
    """Which check refused a packet, in the order in which the checks run."""

    FINGERPRINT = 'fingerprint'
    CODEC = 'codec'
    RATE = 'rate'
    SHAPE = 'shape'
    GEOMETRY = 'geometry'
    SIZE = 'size'
    CRC = 'crc'
    PAYLOAD = 'payload'


class PacketError(MtlSplitError):
    """A packet is refused; the receiver goes on with the next one.

    Args:
        reason: The check that refused it.
        text: One line naming field, value and what was expected.
    """

    def __init__(self, reason: RefusalReason, text: str) -> None:
        super().__init__(f'{reason}: {text}')
        self.reason = reason
