import statistics

from mic_det.reporting.markdown import difference, spread, study_report


def result(method, seed, ap50, test="foggy"):
    return {
        **{"method": method, "model": "teacher", "test": test, "seed": seed, "AP": ap50 / 2, "AP50": ap50, "AP75": 0.0},
        "per_class_AP50": {"car": ap50, "train": None},
    }


RESULTS = [result(method, seed, base + seed) for method, base in (("source_only", 20.0), ("mic", 30.0)) for seed in (1, 2, 4)]


def test_spread():
    assert spread([1.0, 2.0, 4.0]) == f"{7 / 3:.1f} ± {statistics.stdev([1, 2, 4]):.1f}"
    assert spread([3.0]) == "3.0" and spread([None]) == "-"


def test_differences_are_paired_by_seed():
    text = difference(RESULTS, "mic", "source_only", "foggy", "teacher")
    assert "seed by seed: +10.0, +10.0, +10.0; mean +10.0 (95 % interval by Student's t: +10.0 to +10.0)." in text
    assert difference(RESULTS, "oracle", "mic", "foggy", "teacher") is None
    one = difference(RESULTS + [result("mean_teacher", 2, 25.0)], "mic", "mean_teacher", "foggy", "teacher")
    assert one.endswith("+7.0; mean +7.0.")


def test_intervals_follow_students_t():
    """Gains of 8, 10 and 12: 10 +- 4.30 * 2 / sqrt(3)."""
    runs = [result("mic", seed, 30.0 + gain) for seed, gain in enumerate((8, 10, 12))]
    runs += [result("source_only", seed, 30.0) for seed in range(3)]
    assert "mean +10.0 (95 % interval by Student's t: +5.0 to +15.0)." in difference(
        runs, "mic", "source_only", "foggy", "teacher"
    )


def test_report():
    text = study_report("A study", RESULTS, ["One condition."])
    assert "| mic         | teacher | 32.3 ± 1.5" in text and "* One condition." in text
    assert "| mic         | 32.3 ± 1.5 | -       |" in text


def test_the_best_checkpoint_is_reported_apart():
    runs = [{**result("mic", seed, 30.0), "best": {"value": 33.0 + seed, "iterations": 5}} for seed in (1, 2)]
    text = study_report("A study", runs, [])
    section = text.split("## Best checkpoint, selected by target labels")[1]
    assert "| mic      | teacher | 34.5 ± 0.7" in section and "only for comparison" in section
    assert "Best checkpoint" not in study_report("A study", RESULTS, [])
