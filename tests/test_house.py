"""The layout itself: imports point downward, and importing the package stays light."""

import ast
import pathlib
import subprocess
import sys

import pytest

import blindsr_jax

ROOT = pathlib.Path(blindsr_jax.__file__).parent

# From the ground floor up; a module may import from its own floor's earlier rooms, its own room, and floors below.
FLOORS = [
    ["cores", "errors", "lazy", "papers"],
    ["files", "pictures"],
    ["images"],
    ["hosts", "types", "ops", "data", "jaxpr_to_onnx"],
    ["degradations", "metrics"],
    ["internal_learning"],
    ["networks", "losses"],
    ["weights", "config", "export"],
    ["inference"],
    ["evaluation"],
    ["training"],
    ["demo"],
    ["main", "cli"],
]
ROOMS_OF_NAMES = ("degradations", "losses", "metrics", "networks", "ops", "training", "weights")
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
HEAVY = {
    "tensorflow": ("data", "training"),
    "clu": ("training",),
    "torch": (),
    "pyvips": ("images",),
    "gradio": ("demo",),
    "onnx": ("jaxpr_to_onnx",),
    "onnxruntime": ("export",),
}


def _modules():
    return [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


def _room(path: pathlib.Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def _imports(path: pathlib.Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.append(node.module)
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


@pytest.mark.parametrize("path", _modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downward(path):
    here = _room(path)
    assert here in FLOOR_OF, f"{here} has no floor: add it to FLOORS, and to the map in docs/architecture.md"
    for name in _imports(path):
        parts = name.split(".")
        if parts[0] != "blindsr_jax" or len(parts) < 2 or parts[1] not in FLOOR_OF:
            continue
        there = parts[1]
        assert there == here or FLOOR_OF[there] < FLOOR_OF[here], f"{here} imports {there}, which is not below it"


@pytest.mark.parametrize("path", _modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_heavy_libraries_stay_where_they_belong(path):
    for name in _imports(path):
        library = name.split(".")[0]
        assert _room(path) in HEAVY.get(library, (_room(path),)), f"{library} imported in {path}"
    if _room(path) in ("images", "data"):
        assert not any(name.split(".")[0] in ("jax", "flax") for name in _imports(path)), f"{path} knows no JAX"


def _modules_imported(path: pathlib.Path) -> set[pathlib.Path]:
    """The package's files that a file imports, also below a function or for type checkers alone."""
    places = {ROOT.parent.joinpath(*name.split(".")).with_suffix(".py") for name in _imports(path)}
    return {place for place in places if place.is_file()} - {path}


def _circle(start: pathlib.Path, graph: dict[pathlib.Path, set[pathlib.Path]]) -> list[pathlib.Path]:
    """A way from a file along imports back to it; empty if there is none."""
    ways, seen = [[start]], set()
    for way in ways:
        for place in graph.get(way[-1], set()) - seen:
            if place == start:
                return way
            seen.add(place)
            ways.append([*way, place])
    return []


@pytest.mark.parametrize("room", sorted({_room(path) for path in _modules() if path.parent != ROOT}))
def test_no_circle_of_files_in_a_room(room):
    graph = {path: _modules_imported(path) for path in _modules() if _room(path) == room}
    for path in graph:
        names = [other.name for other in _circle(path, graph)]
        assert not names, f"{room} has a circle: {' imports '.join([*names, path.name])}"


def test_a_circle_is_found():
    a, b, c = (pathlib.Path(name) for name in "abc")
    graph = {a: {b}, b: {c}, c: {b}}
    assert _circle(b, graph) == [b, c] and _circle(a, graph) == []


def _python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_import_is_light():
    code = (
        "import time, sys, jax, flax; start = time.process_time(); import blindsr_jax; "
        "blindsr_jax.load, blindsr_jax.ops, blindsr_jax.degradations, blindsr_jax.metrics, blindsr_jax.training; "
        "heavy = 'tensorflow', 'torch', 'scipy.ndimage'; "
        "print(time.process_time() - start, *(name in sys.modules for name in heavy))"
    )
    seconds, *heavy = _python(code).split()
    assert heavy == ["False"] * 3
    assert float(seconds) < 1.5


def test_public_names_are_there():
    rooms = (blindsr_jax, *(getattr(blindsr_jax, name) for name in ROOMS_OF_NAMES))
    for room in rooms:
        for name in room.__all__:
            assert getattr(room, name) is not None
            assert name in dir(room)
    with pytest.raises(AttributeError, match="no_such_name"):
        blindsr_jax.no_such_name  # noqa: B018


def test_no_name_that_says_nothing():
    for path in _modules():
        assert path.stem not in {"utils", "common", "helpers", "misc"}
