# SPDX-License-Identifier: Apache-2.0
"""The link report of a server, from the message as it travels."""

from mtl_split.msg import LinkReport

from mtl_split_edge.link import Report


def report_from_msg(message: LinkReport) -> Report:
    """Return what a LinkReport says, as it says it: see `Report.possible`."""
    return Report(
        fingerprint=message.fingerprint,
        session=message.session,
        interval=message.interval,
        received=message.received,
        lost=message.lost,
        refused=message.refused,
        answered=message.answered,
        goodput=message.goodput,
        last_sequence=message.last_sequence,
        hold_s=message.hold_us / 1e6,
        service_s=message.service_us / 1e6,
        busy_fraction=message.busy_fraction,
        refusal=message.refusal,
        clock_us=message.clock_us,
        late=message.late,
        done_sequence=message.done_sequence,
        done_mask=message.done_mask,
    )
