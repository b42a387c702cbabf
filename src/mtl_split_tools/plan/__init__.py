# SPDX-License-Identifier: Apache-2.0
"""Where to run what: the placement, from measured profiles.

    demand = Demand(bandwidth_bit_s=1e6, deadline_ms=100, fps=15)
    plan = search(candidates_of(load_profiles(['camvid'])), demand)
    plan.chosen.name, plan.chosen.latency_ms

`units` reads what a person types, `profiles` reads the files, `demand` says what is asked for,
`search` judges every candidate, `show` and `plot` say it.
"""
