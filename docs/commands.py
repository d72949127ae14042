"""The command-line reference, from the click commands of mic_det.cli."""

import click

from mic_det.cli import group

HEAD = """# Command line

`mic-det` and `python -m mic_det` are the same. Every verb prints this with `--help`; trailing `KEY VALUE` pairs override
[config keys](config_keys.md).
"""


def command_page() -> str:
    """Markdown of every verb: usage, help and a table of its options."""
    context = click.Context(group, info_name="mic-det")
    verbs = [(name, group.get_command(context, name)) for name in group.list_commands(context)]
    return "\n".join([HEAD, *(section(verb, click.Context(verb, info_name=name, parent=context), 2) for name, verb in verbs)])


def section(command, context, level):
    """One command, and below it its own verbs."""
    parts = [f"{'#' * level} {context.command_path}\n", f"```text\n{command.get_help(context)}\n```\n"]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            parts.append(section(inner, click.Context(inner, info_name=name, parent=context), level + 1))
    return "\n".join(parts)
