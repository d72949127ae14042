import pytest

from mic_det.experiments.benchmark import run_benchmark


def test_parts_floor_and_ratio_fit_together(tiny_cfg):
    result = run_benchmark(tiny_cfg(), steps=4, warmup=1)
    assert {"data", "EMA", "mask", "mask and jitter", "optimizer", *result["network"]} == set(result["parts"])
    assert result["floor"] == pytest.approx(sum(result["parts"][name] for name in result["network"]))
    assert result["ratio"] == pytest.approx(result["step"] / result["floor"]) and 0.5 < result["ratio"] < 2
    assert result["images_per_second"] == pytest.approx(4 / result["step"])
    assert result["diagnostics"]["pseudo_boxes_per_image"] > 0


def test_steps_without_pseudo_boxes_are_timed_too(tiny_cfg):
    result = run_benchmark(tiny_cfg("MODEL.MIC.PSEUDO_LABELS.THRESHOLD", 0.999), steps=1, warmup=0)
    assert result["diagnostics"]["pseudo_boxes_per_image"] == 0
    assert result["parts"]["student masked forward+backward"] < 0.1 * result["step"]
