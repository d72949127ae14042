"""Every function has types and every public name a docstring, methods that override none included: ruff cannot tell these."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

import mic_det

PACKAGE = Path(mic_det.__file__).parent
# Still to come: a path below the package, of a folder or of a file.
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "__main__.py"]
# Detectron2's convention: what it takes and gives is said by the `__init__` that it serves.
EXCUSED = {"from_config"}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def definitions(tree: ast.AST, name: str = "") -> Iterator[tuple[str, ast.AST, bool]]:
    """(dotted name, class or function, whether it stands in a function) of all in a file."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Function | ast.ClassDef):
            own = f"{name}.{node.name}".lstrip(".")
            yield own, node, "<" in name
            yield from definitions(node, f"{own}<" if isinstance(node, Function) else own)
        else:
            yield from definitions(node, name)


def untyped(node: Function, is_method: bool) -> list[str]:
    """Parameters without a type, and `return`."""
    arguments = node.args
    given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *filter(None, (arguments.vararg, arguments.kwarg))]
    is_static = any(isinstance(mark, ast.Name) and mark.id == "staticmethod" for mark in node.decorator_list)
    given = given[1:] if is_method and not is_static else given
    return [one.arg for one in given if one.annotation is None] + (["return"] if node.returns is None else [])


def overrides(module: str, name: str) -> bool:
    """Whether a method of a class in a module has a namesake in one of the class's parents."""
    *path, method = name.split(".")
    found = importlib.import_module(module)
    for part in path:
        found = getattr(found, part)
    return any(hasattr(parent, method) for parent in found.__mro__[1:])


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_all_functions_are_typed(path):
    found = list(definitions(ast.parse(path.read_text())))
    classes = {name for name, node, _ in found if isinstance(node, ast.ClassDef)}
    missing = {
        f"{path}:{node.lineno} {name}": gaps
        for name, node, _ in found
        if isinstance(node, Function) and (gaps := untyped(node, name.rpartition(".")[0] in classes))
    }
    assert not missing


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_all_public_names_have_a_docstring(path):
    missing = [
        f"{path}:{node.lineno} {name}"
        for name, node, is_inner in definitions(ast.parse(path.read_text()))
        if not is_inner and not any(part.startswith("_") for part in name.split("."))
        if ast.get_docstring(node) is None and name.rpartition(".")[2] not in EXCUSED
        if isinstance(node, ast.ClassDef) or "." not in name or not overrides(module_of(path), name)
    ]
    assert not missing


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_modules_with_code_say_what_they_are_for(path):
    tree = ast.parse(path.read_text())
    assert not tree.body or ast.get_docstring(tree) or path.name == "__init__.py"


def test_the_checks_find_what_is_missing(tmp_path):
    source = "class A:\n    def b(self, c, *d, e: int, **f): ...\n    @staticmethod\n    def g(h) -> int: ...\ndef i() -> None:\n    def j(): ..."
    found = {name: (node, is_inner) for name, node, is_inner in definitions(ast.parse(source))}
    assert list(found) == ["A", "A.b", "A.g", "i", "i<.j"]
    assert untyped(found["A.b"][0], True) == ["c", "d", "f", "return"]
    assert untyped(found["A.g"][0], True) == ["h"]
    assert untyped(found["i"][0], False) == [] and untyped(found["i<.j"][0], False) == ["return"]
    assert [is_inner for _, is_inner in found.values()] == [False, False, False, False, True]


def test_overriding_is_told_from_new_methods():
    module = "mic_det.data.rare_classes"
    assert overrides(module, "RareClassDataset.choose") and not overrides(module, "RareClassSampling.draw")
