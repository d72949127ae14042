"""YAML files of users: data, never code."""

import os
from pathlib import Path
from typing import Any

import yaml

from mic_det.errors import UserError
from mic_det.library import find
from mic_det.validation import shortened

BASE = "_BASE_"
LARGEST = 1_000_000  # values that a file may unfold to; aliases of aliases can make billions of a few lines
PREFIX = "tag:yaml.org,2002:"
TUPLE = f"{PREFIX}python/tuple"
PLAIN_TAGS = {f"{PREFIX}{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null", "merge")}


class PlainLoader(yaml.SafeLoader):
    """Builds text, numbers, lists, tuples and mappings, and nothing else. A date is text."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # the base class's, which is an attribute of instances to type checkers
        first: [(tag, pattern) for tag, pattern in resolvers if tag in PLAIN_TAGS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def tuple(self, node: yaml.SequenceNode) -> tuple:
        """What `!!python/tuple` stands for, which `CfgNode.dump` writes."""
        return tuple(self.construct_sequence(node, deep=True))


PlainLoader.add_constructor(TUPLE, PlainLoader.tuple)


def read_yaml(path: str | Path, what: str = "File") -> Any:
    """The content of a YAML file with one document.

    Args:
        path: `~` is the home folder.
        what: the file's role, for the message.

    Raises:
        UserError: when the file cannot be read, is empty or is not plain YAML: it has a tag, a key twice in one mapping, a key
            that is not text, an alias inside its own anchor or several documents.
    """
    path = Path(os.path.expanduser(path))
    try:
        if not path.is_file():
            problem = "is a folder" if path.is_dir() else "is not a file" if path.exists() else "does not exist"
            raise UserError(f"{what} {path} {problem}.")
        loader = PlainLoader(path.read_bytes())
        node = loader.get_single_node()
        if node is None:
            raise UserError(f"{what} {path} is empty.")
        count_values(node, {})
        return loader.construct_document(node)
    except OSError as error:
        raise UserError(f"{what} {path} cannot be read: {error.strerror}.") from None
    except yaml.reader.ReaderError as error:
        raise UserError(f"{what} {path} is not a text file in UTF-8: {error.reason}.") from None
    except yaml.MarkedYAMLError as error:
        raise UserError(f"{what} {path} is not valid YAML: {problem_of(error)}.") from None
    except RecursionError:
        raise UserError(f"{what} {path} is nested too deeply.") from None
    except (ValueError, LookupError) as error:  # numbers that are none
        if isinstance(error, UserError):
            raise
        raise UserError(f"{what} {path} holds a value that is not what its tag says: {error}.") from None


def problem_of(error: yaml.MarkedYAMLError) -> str:
    """Where in a file its YAML is wrong, and how."""
    mark = error.problem_mark or error.context_mark
    problem = error.problem or error.context or "not YAML"
    if mark is None:
        return problem
    # The commonest mistake, which yaml calls a character that cannot start any token.
    hint = "; a tab cannot indent, use spaces" if "\\t" in problem else ""
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}{hint}"


def count_values(node: yaml.Node, known: dict[yaml.Node, int], around: tuple[yaml.Node, ...] = ()) -> int:
    """Number of values that a node unfolds to, after looking at every one: its tag and, in a mapping, the keys.

    Args:
        known: {node: its number}, of those counted before.
        around: the nodes that hold this one.

    Raises:
        yaml.MarkedYAMLError: naming what must not be there.
    """
    if node in around:
        raise yaml.MarkedYAMLError(problem="an alias stands inside its own anchor", problem_mark=node.start_mark)
    if node in known:
        return known[node]
    check_tag(node)
    parts = []
    if isinstance(node, yaml.MappingNode):
        check_keys(node)
        parts = [value for _, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        parts = node.value
    known[node] = 1 + sum(count_values(part, known, (*around, node)) for part in parts)
    if known[node] > LARGEST:
        raise yaml.MarkedYAMLError(problem="its aliases unfold to too many values", problem_mark=node.start_mark)
    return known[node]


def check_tag(node: yaml.Node) -> None:
    """Raise yaml.MarkedYAMLError for a tag that is not plain."""
    if node.tag not in (*PLAIN_TAGS, TUPLE):
        tag = node.tag.replace(PREFIX, "!!")
        raise yaml.MarkedYAMLError(problem=f"the tag {tag} is not allowed: write the value itself", problem_mark=node.start_mark)


def check_keys(node: yaml.MappingNode) -> None:
    """Raise yaml.MarkedYAMLError for a key of a mapping that is no text or stands twice."""
    lines: dict[str, int] = {}
    for key, _ in node.value:
        check_tag(key)
        if key.tag not in (f"{PREFIX}str", f"{PREFIX}merge"):
            name = shortened(getattr(key, "value", key)) if isinstance(key, yaml.ScalarNode) else "of this mapping"
            raise yaml.MarkedYAMLError(problem=f"the key {name} is not text: quote it", problem_mark=key.start_mark)
        if key.value in lines:
            raise yaml.MarkedYAMLError(
                problem=f"'{key.value}' stands twice, in line {lines[key.value]} and here: join both", problem_mark=key.start_mark
            )
        lines[key.value] = key.start_mark.line + 1


def read_config(path: str | Path) -> dict[str, Any]:
    """The content of a config file as nested dictionaries, merged over that of its `_BASE_`.

    `_BASE_` is one file name, absolute, below the home folder (`~`) or relative to the file that names it. Where no file lies, it
    and `path` may be names of the library's configs.

    Raises:
        UserError: as `read_yaml`, for a file that is no mapping, and for a `_BASE_` that is no file name or leads in a circle.
    """
    layers: list[dict[str, Any]] = []
    seen: list[Path] = []
    name: Path | None = find(path)
    while name is not None:
        layers.append(read_mapping(name, f"{BASE} of {seen[-1]}:" if seen else "Config file"))
        seen.append(name.resolve())
        if seen[-1] in seen[:-1]:
            circle = " -> ".join(file.name for file in seen[seen.index(seen[-1]) :])
            raise UserError(f"_BASE_ of {seen[-2]} leads in a circle: {circle}.")
        name = base_of(layers[-1], seen[-1])
    content: dict[str, Any] = {}
    for layer in reversed(layers):
        merge(layer, content, path)
    return content


def read_mapping(path: str | Path, what: str) -> dict[str, Any]:
    """`read_yaml` of a file that holds a mapping. Raises UserError for another content."""
    content = read_yaml(path, what)
    if not isinstance(content, dict):
        raise UserError(f"{what} {path} must hold sections and keys, but holds {shortened(content)}.")
    return content


def base_of(content: dict[str, Any], path: Path) -> Path | None:
    """The file that a config's `_BASE_`, which is taken out, names; None without one."""
    if BASE not in content:
        return None
    name = content.pop(BASE)
    if not isinstance(name, str) or not name:
        raise UserError(f"{BASE} of {path} must be the name of one file, but is {shortened(name)}.")
    if "://" in name:
        raise UserError(f"{BASE} of {path} is the address {name}: download that file first and name it here.")
    return find(name, path.parent, f"{BASE} of {path}:")


def merge(content: dict[str, Any], base: dict[str, Any], path: str | Path, prefix: str = "") -> None:
    """Put the values of one config over those of its base, in place."""
    for name, value in content.items():
        if isinstance(value, dict) and isinstance(base.get(name, {}), dict):
            merge(value, base.setdefault(name, {}), path, f"{prefix}{name}.")
        elif isinstance(value, dict) or isinstance(base.get(name), dict):
            raise UserError(f"{prefix}{name} is a section in one of {path} and its {BASE}, and a value in the other.")
        else:
            base[name] = value
