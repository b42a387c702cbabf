# SPDX-License-Identifier: Apache-2.0
from mtl_split_core import errors


def test_packet_error_says_which_check_refused() -> None:
    error = errors.PacketError(errors.RefusalReason.CRC, 'crc32 is 1, expected 2')
    assert str(error) == 'crc: crc32 is 1, expected 2'
    assert error.reason is errors.RefusalReason.CRC


def test_every_error_is_caught_by_the_base() -> None:
    kinds = (errors.BundleError, errors.ImageError, errors.DataError, errors.BackendError)
    assert all(issubclass(kind, errors.MtlSplitError) for kind in (*kinds, errors.PacketError))
