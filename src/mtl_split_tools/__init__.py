# SPDX-License-Identifier: Apache-2.0
"""What a person types: demo, replay, record, inspect, eval, train and export."""
