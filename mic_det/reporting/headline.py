"""What a report says first: how much is gained, over what, and what that means."""

from collections.abc import Sequence
from dataclasses import dataclass

from mic_det.evaluation.metrics import names_in

MINUS = "\N{MINUS SIGN}"
UNCLEAR = 1.0  # percent points that another seed alone may make
MEANINGS = {
    "AP50": "AP50 is the area under the precision-recall curve, a box being right from an overlap (IoU) of 0.5 on, mean of all "
    "classes; 100 is perfect.",
    "mIoU": "mIoU is how far predicted and true pixels of a class overlap, mean of all classes; 100 is perfect.",
    "top1": "top1 is how many of 100 test images get the right class.",
}


@dataclass(frozen=True)
class Headline:
    """The first lines of a report.

    Attributes:
        figure: e.g. `+15.6 AP50`.
        kind: "gain", "loss" or "none".
        sentences: what it means.
    """

    figure: str
    kind: str
    sentences: tuple[str, ...]


def signed(value: float) -> str:
    """`+1.5`, `-1.5` (with a real minus) or `±0.0`."""
    text = f"{abs(value):.1f}"
    return f"{'±' if text == '0.0' else '+' if value > 0 else MINUS}{text}"


def reference_of(run: dict, references: Sequence[dict]) -> dict | None:
    """The one of `references` with the same model and test set; None without one, or when it is the run itself."""
    same = [row for row in references if (row["model"], row["test"]) == (run["model"], run["test"])]
    return same[0] if same and same[0] != run else None


def delta(run: dict, reference: dict | None, metric: str) -> float | None:
    """Percent points that `run` has more of `metric`; None where either has none."""
    if reference is None or run.get(metric) is None or reference.get(metric) is None:
        return None
    return run[metric] - reference[metric]


def headline(results: Sequence[dict], references: Sequence[dict], adapts_from: int | None = None) -> Headline | None:
    """The headline of results, for the last method's first model on the first test set. None without results.

    Args:
        results: as in `write_report`.
        references: rows of the same form to compare with.
        adapts_from: the iteration from which a run adapts; None where it does not, or where that is not known.
    """
    if not results:
        return None
    run = next(row for row in results if row["method"] == results[-1]["method"])
    metric = names_in(run).headline
    reference, value = reference_of(run, references), run[metric]
    gain = delta(run, reference, metric)
    where = f"the {run['model']} on {run['test']}"
    if value is None:
        return Headline(f"no {metric}", "none", (f"There is no ground truth to measure {where} by.",))
    if reference is None or gain is None:
        alone = "There is nothing to compare with here: train the source-only config as well and see both with mic-det compare."
        return Headline(f"{value:.1f} {metric}", "none", (f"That is {where}.", alone, MEANINGS[metric]))
    kind = "none" if abs(gain) < UNCLEAR else "gain" if gain > 0 else "loss"
    first = f"{comparison(run, reference, adapts_from)}: {metric} {reference[metric]:.1f} before, {value:.1f} now ({where})."
    if reference["method"] != run["method"]:
        first = f"{run['method']} against {reference['method']}: {metric} {value:.1f} against {reference[metric]:.1f} ({where})."
    verdict = {
        "none": "That is no clear difference: another seed may turn it round.",
        "gain": "One seed: before believing a small gain, repeat it with others.",
        "loss": "That is a loss: look at the pseudo-labels below before training longer.",
    }[kind]
    return Headline(f"{signed(gain)} {metric}", kind, (first, MEANINGS[metric], verdict))


def comparison(run: dict, reference: dict, adapts_from: int | None) -> str:
    """What lies between two evaluations of one run."""
    start, end = reference["iterations"], run["iterations"]
    if start == adapts_from == 0:
        return f"What adaptation brought in {end} iterations to the weights that it began with"
    if start == adapts_from:
        return f"What adaptation and {end - start} more iterations brought, since iteration {start}, where it began"
    if adapts_from is not None and start < adapts_from:
        return f"What training from iteration {start} to {end} brought, with adaptation since {adapts_from}"
    if adapts_from is None:
        return f"What training from iteration {start} to {end} brought, without adaptation"
    return f"What training from iteration {start} to {end} brought, all of it with adaptation"
