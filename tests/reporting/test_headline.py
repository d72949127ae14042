import pytest

from mic_det.reporting.headline import headline, signed


def run(method, ap50, iterations=1000, test="foggy", model="teacher"):
    head = {"method": method, "model": model, "test": test, "iterations": iterations}
    return {**head, "AP": ap50 and ap50 / 2, "AP50": ap50, "AP75": 0.0, "per_class_AP50": {}, "best": None}


@pytest.mark.parametrize("value, text", [(1.25, "+1.2"), (-3.0, "\N{MINUS SIGN}3.0"), (0.04, "±0.0"), (-0.04, "±0.0")])
def test_signs(value, text):
    assert signed(value) == text


@pytest.mark.parametrize(
    "ap50, figure, kind", [(79.7, "+15.6 AP50", "gain"), (60.0, "\N{MINUS SIGN}4.1 AP50", "loss"), (64.5, "+0.4 AP50", "none")]
)
def test_two_methods(ap50, figure, kind):
    base = run("source_only", 64.1)
    found = headline([base, run("mic", ap50)], [base])
    assert (found.figure, found.kind) == (figure, kind)
    assert found.sentences[0] == f"mic against source_only: AP50 {ap50} against 64.1 (the teacher on foggy)."
    assert ("no clear difference" in found.sentences[-1]) == (kind == "none")


@pytest.mark.parametrize(
    "start, adapts_from, words",
    [
        (500, 500, "What adaptation and 500 more iterations brought, since iteration 500, where it began"),
        (200, 500, "What training from iteration 200 to 1000 brought, with adaptation since 500"),
        (500, 0, "all of it with adaptation"),
        (500, None, "without adaptation"),
    ],
)
def test_one_run_says_what_lies_between(start, adapts_from, words):
    found = headline([run("mic", 79.7)], [run("mic", 64.1, start)], adapts_from)
    assert found.figure == "+15.6 AP50" and words in found.sentences[0]


def test_nothing_to_compare_is_said():
    alone = headline([run("mic", 79.7)], [])
    assert alone.figure == "79.7 AP50" and alone.kind == "none" and "nothing to compare" in alone.sentences[1]
    elsewhere = headline([run("mic", 79.7)], [run("source_only", 64.1, test="clear")])
    assert elsewhere.figure == "79.7 AP50"
    assert "no ground truth" in headline([run("mic", None)], []).sentences[0]
    assert headline([], []) is None


def test_the_first_model_of_the_last_method_on_the_first_test_set():
    results = [
        run(method, value, model=model) for method, value in (("a", 10.0), ("b", 20.0)) for model in ("teacher", "student")
    ]
    assert headline(results, results[:2]).sentences[0].endswith("(the teacher on foggy).")
