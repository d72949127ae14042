"""`mic-det study`."""

import logging
from collections.abc import Sequence

import click

from mic_det.cli.common import TRAILING, overrides_argument
from mic_det.errors import UserError

EXAMPLES = """\b
Examples:
  mic-det study --benchmark toycity --report output/toycity.md
  mic-det study --benchmark toycity_seg --jobs 2 --method source_only --method daformer --report output/daformer.md
  mic-det study --benchmark toycity_cls --add --seed 3   # keep the runs in the report's .jsonl, add a seed
  mic-det study --benchmark all --jobs 2                 # every benchmark whose datasets are prepared
"""


@click.command("study", epilog=EXAMPLES, context_settings=TRAILING)
@click.option("--benchmark", default="toycity", show_default=True, help="Stem of the configs, as toycity_seg; or all.")
@click.option("--method", "methods", multiple=True, help="As often as needed; default: all that have a config.")
@click.option("--seed", "seeds", type=int, multiple=True, default=(0, 1, 2), show_default=True, help="As often as needed.")
@click.option("--output", metavar="FOLDER", help="Folder of the runs (default output/study/BENCHMARK); finished ones stay.")
@click.option("--report", metavar="FILE", help="Markdown file to write; the default is the benchmark's own, below benchmarks/.")
@click.option("--add", is_flag=True, help="Keep the runs in the .jsonl beside the report; train what it lacks.")
@click.option("--jobs", type=int, default=1, show_default=True, help="Seeds trained at the same time.")
@overrides_argument()
def command(
    benchmark: str,
    methods: Sequence[str] | None,
    seeds: Sequence[int],
    output: str | None,
    report: str | None,
    add: bool,
    jobs: int,
    overrides: Sequence[str],
) -> None:
    """Repeat all methods of a benchmark over several seeds and write a Markdown report."""
    from mic_det.experiments.study import REPORTS, is_prepared, methods_of, results_of, run_study
    from mic_det.reporting.report import read_lines

    logging.basicConfig(format="%(message)s")
    if benchmark == "all" and (methods or output or report):
        raise UserError("--benchmark all runs all methods and has its own folders and reports.")
    if benchmark not in (*REPORTS, "all") and not report:
        raise UserError(f"--report is needed for '{benchmark}', which is none of {', '.join(REPORTS)}.")
    refuse_unknown(methods or ())
    for stem in [stem for stem in REPORTS if is_prepared(stem)] if benchmark == "all" else [benchmark]:
        page = report or REPORTS[stem]
        if add and not results_of(page).is_file():
            raise UserError(f"--add: there is no {results_of(page)} to add to; without --add everything is trained.")
        known = read_lines(results_of(page)) if add else ()
        folder = output or f"output/study/{stem}"
        click.echo(run_study(stem, list(methods or methods_of(stem)), folder, seeds, page, overrides, jobs, known))


def refuse_unknown(methods: Sequence[str]) -> None:
    """Raise UserError for a method that the studies do not know."""
    from mic_det.experiments.study import METHODS

    unknown = [method for method in methods if method not in METHODS]
    if unknown:
        raise UserError(f"--method: there is no method '{unknown[0]}'; there are {', '.join(METHODS)}.")
