"""The page of config keys, from the comments above them in mic_det/config: `# What it does.` above `cfg.X.Y = default`."""

import ast
from pathlib import Path

# What the words of mic_det/config/ranges.py say.
WORDS = {
    "Count": "whole number from 1",
    "CountOrNone": "whole number from 0",
    "Counts": "whole numbers from 1",
    "Name": "name",
    "NonNegative": "number from 0",
    "Positive": "number above 0",
    "PositiveShare": "above 0, to 1",
    "Share": "0 to 1",
    "ShareBelowOne": "0 to below 1",
    "ShareOrNone": "to 1; negative is off or another key's",
    "Size": "pair of whole numbers from 1",
    "SizeOrNone": "pair of whole numbers from 1, or ()",
}

HEAD = """# Config keys

Every key that mic-det adds to detectron2's config, its default and what it does; generated from the comments in `mic_det/config`.
Set them in a YAML file or behind a command as `KEY VALUE`. detectron2's own keys, such as `SOLVER.BASE_LR`, are in
[its documentation](https://detectron2.readthedocs.io/en/latest/modules/config.html#yaml-config-references).
"""


def config_page(folder: Path) -> str:
    """Markdown of all keys declared in the modules of `folder`, one section per module."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.py"))}
    allowed = {key: value for tree in trees.values() for key, value in ranges_of(tree)}
    sections = [HEAD]
    for path, tree in trees.items():
        rows = [row for row in keys_of(path, tree) if row[1] is not None]
        if rows:
            sections.append(f"## {path.stem.replace('_', ' ').capitalize()}\n\n{ast.get_docstring(tree) or ''}\n")
            sections.append("| key | default | allowed | what it does |\n|---|---|---|---|")
            sections += [f"| `{key}` | `{default}` | {allowed.get(key, '')} | {comment} |" for key, default, comment in rows]
            sections.append("")
    return "\n".join(sections)


def keys_of(path, tree):
    """(key, default as source or None for a section, comment) of every `cfg.X.Y = default`, in order."""
    lines = path.read_text(encoding="utf-8").splitlines()
    statements = [node for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    for node in sorted(statements, key=lambda node: node.lineno):
        key = dotted(node.targets[0])
        if key.startswith("cfg."):
            section = isinstance(node.value, ast.Call) and dotted(node.value.func) in ("CN", "CfgNode")
            default = None if section else ast.unparse(node.value).replace("|", "\\|")
            yield key.removeprefix("cfg."), default, comment_above(lines, node.lineno)


def comment_above(lines, number):
    """The comment lines that end directly above line `number` (from 1), as one text."""
    first = number - 1
    while first > 0 and lines[first - 1].lstrip().startswith("#"):
        first -= 1
    return " ".join(line.strip().lstrip("# ") for line in lines[first : number - 1]).replace("|", "\\|")


def ranges_of(tree):
    """(key, allowed values in words) of the entries of every `RANGES = {...}`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if dotted(target) == "RANGES":
                for key, value in zip(node.value.keys, node.value.values, strict=True):
                    if isinstance(key, ast.Constant):
                        yield key.value, in_words(value)


def in_words(annotation):
    """What a type of mic_det/config/ranges.py allows, in words; nothing where it would need more than these."""
    if isinstance(annotation, ast.Name):
        return WORDS.get(annotation.id, "")
    if isinstance(annotation, ast.Subscript):
        inside = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        kind = dotted(annotation.value)
        if kind == "Literal":
            return ", ".join(f"`{choice.value}`" for choice in inside)
        if kind == "tuple":
            return ", ".join(filter(None, (in_words(part) for part in inside))) + (" each" if len(inside) == 2 else "")
        if kind == "Annotated":
            said = [part.args[1].value for part in inside[1:] if isinstance(part, ast.Call) and len(part.args) == 2]
            return "; ".join(said)
    return ""


def dotted(node):
    """`a.b.c` of nested attributes, or an empty text."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""
