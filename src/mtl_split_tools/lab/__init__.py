# SPDX-License-Identifier: Apache-2.0
"""Two hosts on one machine: a car and its server as network namespaces, with a link to misuse.

    with Lab(folder) as lab:                      # LabError where this machine gives no rights
        lab.server()                              # keyword arguments are parameters of the node
        edge = lab.edge(mode='auto')
        consumer = lab.consumer()                 # on the edge's side; side=lab.server_host: there
        camera = lab.camera(rate=15)              # the shipped clip, in a loop
        consumer.wait_for_answers(10)
        lab.link.shape(up_mbit=0.3, down_mbit=0.3)
        lab.link.lose(5)                          # percent of packets, both ways
        lab.link.cut(); lab.link.restore()
        edge.stall(); edge.go_on(); edge.kill(); lab.edge(mode='auto')
        camera.say('size 320 240')                # see mtl_split_tools.lab.camera
        consumer.set('edge', mode='local')
        stream = Stream(camera.published(), consumer.answers())
        stream.duplicates, stream.out_of_order, stream.delays_s()
        edge.rss_mb, edge.cpu_s, lab.link.traffic()

All times are seconds of the machine's monotonic clock, which the two hosts share; only the lab uses
that, the nodes do not know it. Nothing outlives the process that made the lab, not even after
SIGKILL: namespaces have no names, and all children die with the thread that started them.
"""

from mtl_split_tools.lab.hosts import LabError
from mtl_split_tools.lab.lab import Lab
from mtl_split_tools.lab.link import Link, Traffic, why_not
from mtl_split_tools.lab.processes import Process
from mtl_split_tools.lab.stations import Camera, Consumer
from mtl_split_tools.lab.stream import Answer, Finding, FrameFate, Published, Stream

__all__ = [
    'Answer',
    'Camera',
    'Consumer',
    'Finding',
    'FrameFate',
    'Lab',
    'LabError',
    'Link',
    'Process',
    'Published',
    'Stream',
    'Traffic',
    'why_not',
]
