# SPDX-License-Identifier: Apache-2.0
"""Training room: data, networks, losses, evaluation and export; the only room that knows torch."""
