# SPDX-License-Identifier: Apache-2.0
"""The detector that stands alone learns to find a box, in pixels of the source."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.train.project import CONFIG, write_data

from mtl_split_core.errors import DataError
from mtl_split_core.geometry import Letterbox
from mtl_split_train.config import parse_config
from mtl_split_train.dataset import read_dataset
from mtl_split_train.detector import Detector, DetectorModule, evaluate_detector, start_from
from mtl_split_train.heads import DetectionHead


def test_all_sides_of_a_box_can_be_learnt_from_the_start() -> None:
    """Behind a ReLU, a side that starts at zero everywhere may never be learnt."""
    for seed in range(3):
        torch.manual_seed(seed)
        picture = torch.randn(2, 3, 64, 96)
        alone = Detector(parse_config(CONFIG), 2)(picture)[0]
        ours = DetectionHead(dict.fromkeys((8, 16, 32), 16), 2)(
            {s: torch.randn(2, 16, 64 // s, 96 // s) for s in (8, 16, 32)}
        )
        for outputs in (alone, ours):
            assert (outputs['bbox_regression'] > 0).all()


def test_it_learns_where_a_bright_box_is() -> None:
    torch.manual_seed(0)
    detector = Detector(parse_config(CONFIG), 2)
    # 48 rows are no multiple of the largest stride: they are padded.
    picture = torch.zeros(2, 3, 48, 64)
    boxes = ((20.0, 10.0, 44.0, 34.0), (4.0, 16.0, 28.0, 40.0))
    for index, (x0, y0, x1, y1) in enumerate(boxes):
        picture[index, :, int(y0) : int(y1), int(x0) : int(x1)] = 3.0
    targets = [{'boxes': torch.tensor([box]), 'labels': torch.tensor([1])} for box in boxes]
    optimizer = torch.optim.AdamW(detector.parameters(), 3e-3)
    first = float(detector.loss(picture, targets).detach())
    for _ in range(40):
        optimizer.zero_grad()
        loss = detector.loss(picture, targets)
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.5 * first
    # Statistics of the norms lag behind in so few steps: those of the batch are used.
    with torch.no_grad():
        found = detector.answer(picture[:1], Letterbox.fit(128, 96, 64, 48))
    assert found.class_ids[0] == 1
    assert found.scores[0] > 0.2
    assert np.abs(found.boxes[0] - 2 * np.array(boxes[0])).max() < 16


def test_it_is_scored_on_whole_frames(tmp_path: Path) -> None:
    write_data(tmp_path)
    data = read_dataset(tmp_path / 'data/val')
    seen = []
    found = evaluate_detector(DetectorModule(CONFIG, 2).eval(), data, lambda: seen.append(1))
    assert 0 <= found['map50'] <= 1
    assert len(seen) == 2


def test_it_starts_from_the_backbone_of_a_bundle() -> None:
    backbone = {'backbone': 'mobilenet_v3_large', 'weights': None}
    detector = Detector(parse_config({**CONFIG, 'network': backbone}), 2)
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    start_from(detector, Path('camvid'))
    anew = {name for name, value in detector.state_dict().items() if not value.equal(before[name])}
    layers = {name.split('.layers.')[1].split('.')[0] for name in anew}
    assert layers == {str(stage) for stage in range(11)}  # where the bundle is cut
    other = Detector(parse_config(CONFIG), 2)
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(DataError, match=r'camvid has another backbone: layers\.\S+ does not fit'):
        start_from(other, Path('camvid'))
    assert all(value.equal(before[name]) for name, value in other.state_dict().items())
