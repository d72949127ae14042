"""`mic-det compare`: several runs in one report."""

import json
from pathlib import Path

import click


@click.command(
    epilog="Example: mic-det compare output/source_only output/mic --output comparison.html",
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN_FOLDER RUN_FOLDER...", type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default="comparison.html",
    show_default=True,
    help="HTML file to write; it needs no other file and no network.",
)
@click.option("--json", "as_json", is_flag=True, help="Print results, warnings and differing settings as JSON.")
def command(runs: tuple[Path, ...], output: Path, as_json: bool) -> None:
    """Compare runs with the first of them: results, curves over each other, classes, and settings that differ."""
    from mic_det.outputs import refuse_overwrite, refuse_unwritable
    from mic_det.reporting.comparison import different_settings, read_runs, warnings_of, write_comparison

    found = read_runs(runs)
    refuse_unwritable(output.parent)
    refuse_overwrite([folder / "report.html" for folder in runs], [output])
    write_comparison(output, found, curves_of(found[0].settings.get("MODEL.META_ARCHITECTURE")))
    if as_json:
        results = [row for run in found for row in run.results]
        content = {
            "report": str(output),
            "results": results,
            "warnings": warnings_of(found),
            "settings": different_settings(found),
        }
        click.echo(json.dumps(content, indent=1))
        return
    for warning in warnings_of(found):
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"Wrote {output}.")


def curves_of(architecture: str | None) -> dict[str, str]:
    """{logged value: title} of the curves of the task with the given MODEL.META_ARCHITECTURE; none of an unknown one."""
    from mic_det.tasks import TASKS

    return dict(TASKS[architecture].curves) if architecture in TASKS else {}
