"""The rules of the house that no linter checks."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "ctherd"
SOURCES = sorted(PACKAGE.rglob("*.py"))

# By prefix: os.execve, os.spawnlp, os.posix_spawn, asyncio.create_subprocess_exec, …
PROCESS_MODULES = {"subprocess", "multiprocessing", "pty"}
PROCESS_CALLS = ("system", "popen", "exec", "spawn", "posix_spawn", "create_subprocess")
PROCESS_CALL_OWNERS = {"os", "asyncio"}

# Where nothing of a router or of the documentation can be: only somebody's own machine.
PRIVATE_PATH = re.compile(r"(?<![\w./-])/(?:home|root|work|opt|srv|mnt|media|Users)/")
RELATIVE_PATH = re.compile(r"(?<![\w./])(?:\.\./)+[\w./-]*")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> Iterator[str]:
    """Yield the full dotted name of everything that the module imports."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports hide which floor they lead to"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def starts_processes(path: Path) -> bool:
    def calls(owner: str, name: str) -> bool:
        return owner in PROCESS_CALL_OWNERS and name.startswith(PROCESS_CALLS)

    return any(
        name.partition(".")[0] in PROCESS_MODULES or calls(*name.rpartition(".")[::2])
        for name in imported(path)
    ) or any(
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and calls(node.value.id, node.attr)
        for node in ast.walk(tree(path))
    )


def names_netlink_sockets(path: Path) -> bool:
    """True if code, not prose, says AF_NETLINK."""
    return any(
        "AF_NETLINK" in (getattr(node, "attr", ""), getattr(node, "id", ""))
        for node in ast.walk(tree(path))
    ) or any(name.endswith(".AF_NETLINK") for name in imported(path))


def undocumented(node: ast.AST, place: str = "") -> Iterator[str]:
    """Yield the public classes, functions and methods without a docstring."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if child.name.startswith("_"):
                continue
            here = f"{place}.{child.name}" if place else child.name
            decorators = {ast.unparse(decorator) for decorator in child.decorator_list}
            # An override is documented where it was promised, an overload where it is done.
            inherited = {name for name in decorators if name.endswith(("override", "overload"))}
            if not inherited and ast.get_docstring(child) is None:
                yield here
            if isinstance(child, ast.ClassDef):
                yield from undocumented(child, here)
        elif isinstance(child, ast.If | ast.Try):
            yield from undocumented(child, place)


def relative(paths: list[Path]) -> set[str]:
    return {path.relative_to(PACKAGE).as_posix() for path in paths}


def texts() -> list[Path]:
    """List what people read: everything but code, in the places that we ship or publish."""
    places = [ROOT / name for name in ("docs", "packaging", "scripts", ".ci")]
    found = [path for place in places for path in place.rglob("*") if path.is_file()]
    # In a linked worktree .git is a file, too.
    unread = {".coverage", ".git"}
    found += [path for path in ROOT.iterdir() if path.is_file() and path.name not in unread]
    return [path for path in found if path.suffix not in {".png", ".svg", ".ico"}]


def test_only_one_file_starts_processes() -> None:
    """Whoever asks what ctherd executes has one file to read."""
    assert relative([path for path in SOURCES if starts_processes(path)]) <= {"process/running.py"}


def test_one_file_opens_netlink_sockets() -> None:
    """Whoever asks how ctherd talks to the kernel has one file to read."""
    assert relative([path for path in SOURCES if names_netlink_sockets(path)]) == {
        "netlink/socket.py"
    }


def test_fakes_stay_out_of_the_product() -> None:
    """What ships for tests is used by nothing else that ships."""
    users = [
        path
        for path in SOURCES
        if PACKAGE / "testing" not in path.parents
        and any(f"{name}.".startswith("ctherd.testing.") for name in imported(path))
    ]
    assert relative(users) == set()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_what_is_public_is_documented(path: Path) -> None:
    """Every module, public class and public function says what it is for."""
    assert ast.get_docstring(tree(path)), "the module does not say what it is for"
    assert list(undocumented(tree(path))) == []


@pytest.mark.parametrize("path", texts(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_texts_name_no_private_place(path: Path) -> None:
    """What we publish must make sense on everybody's machine, and outside of this checkout."""
    text = path.read_text(encoding="utf-8")
    assert str(ROOT) not in text
    assert PRIVATE_PATH.findall(text) == []
    leaving = [
        link
        for link in RELATIVE_PATH.findall(text)
        if not (path.parent / link).resolve().is_relative_to(ROOT)
    ]
    assert leaving == []


@pytest.mark.parametrize(("ci", "status"), [("", 0), ("1", 1)])
def test_a_skip_is_loud_and_fails_ci(tmp_path: Path, ci: str, status: int) -> None:
    """A test that did not run is counted in the last lines, and CI does not accept it."""
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_one.py").write_text(
        "import pytest\ndef test_one() -> None: pytest.skip('no kernel')\n", encoding="utf-8"
    )
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", tmp_path],
        cwd=tmp_path,
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == status, run.stdout + run.stderr
    assert "SKIPPED TESTS: 1" in run.stdout


def test_help_imports_nothing_that_only_a_command_needs() -> None:
    """`ctherd --help` is quick because it does not load what it does not use."""
    heavy = {"asyncio", "cryptography", "httpx", "rich", "sqlite3", "starlette", "uvicorn", "yaml"}
    code = "import ctherd.cli.main, sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert heavy.isdisjoint(run.stdout.split())


def test_an_agent_of_a_file_imports_nothing_of_a_server() -> None:
    """The core installs and runs without the extras."""
    extras = {"cryptography", "httpx", "httptools", "oslo_policy", "starlette", "uvicorn", "uvloop"}
    code = "import ctherd.main.agent, ctherd.main.wiring, sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert extras.isdisjoint(run.stdout.split())
