"""`mic-det doctor`."""

from dataclasses import asdict

import click

from mic_det.cli.common import answer, json_option
from mic_det.installation.doctor import WRONG, findings

EXAMPLES = """\b
Examples:
  mic-det doctor
  mic-det doctor --json
"""


@click.command("doctor", epilog=EXAMPLES)
@json_option()
def command(as_json: bool) -> int:
    """Look at the installation: versions, device, extras, datasets. Exit status 1 when something that is needed is wrong."""
    found = list(findings())
    wrong = [finding for finding in found if finding.state == WRONG]
    if as_json:
        answer({"well": not wrong, "findings": [asdict(finding) for finding in found]})
        return 1 if wrong else 0
    width = max(len(finding.name) for finding in found)
    for finding in found:
        cure = f" -> {finding.cure}" if finding.cure else ""
        click.echo(f"{finding.state:6}  {finding.name.ljust(width)}  {finding.detail}{cure}")
    click.echo(f"\n{len(wrong)} things are wrong." if wrong else "\nEverything that is needed is there.")
    return 1 if wrong else 0
