"""A fake of the places where Linux says which modules it has, as files in the real formats."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

_LIVE: Final = "{name} 16384 0 - Live 0x0000000000000000\n"


class FakeModules:
    """A directory tree with /proc/modules, /sys/module/<name>/ and /lib/modules/<release>.

    Shape: *loaded* are live modules, *builtin* are compiled in (listed in modules.builtin; no
    directory in /sys/module, which only those with parameters have), *available* can be loaded on
    demand. Names are written with underscores, as the kernel does.
    """

    def __init__(
        self,
        root: Path,
        *,
        loaded: Iterable[str] = (),
        builtin: Iterable[str] = (),
        available: Iterable[str] = (),
        release: str = "6.1.0-scripted",
    ) -> None:
        self.root = root
        self.release = release
        self.loaded = dict.fromkeys(loaded)
        self.builtin = frozenset(builtin)
        self.available = frozenset(available)
        self._write_library()
        self._write_loaded()

    def has(self, name: str) -> bool:
        """Tell whether the code of module *name* is in the kernel."""
        return name in self.loaded or name in self.builtin

    def load(self, name: str) -> bool:
        """Load *name* as request_module() would; nf_nat_<helper> does not come along.

        Returns False if there is no such module.
        """
        if self.has(name):
            return True
        if name not in self.available:
            return False
        self.loaded[name] = None
        self._write_loaded()
        return True

    def _write_library(self) -> None:
        library = self.root / "lib" / "modules" / self.release
        library.mkdir(parents=True)
        (library / "modules.builtin").write_text(_paths(self.builtin))
        dependencies = "".join(f"{path}:\n" for path in _paths(self.available).splitlines())
        (library / "modules.dep").write_text(dependencies)
        kernel = self.root / "proc" / "sys" / "kernel"
        kernel.mkdir(parents=True)
        (kernel / "osrelease").write_text(f"{self.release}\n")

    def _write_loaded(self) -> None:
        lines = "".join(_LIVE.format(name=name) for name in self.loaded)
        (self.root / "proc" / "modules").write_text(lines)
        for name in self.loaded:
            directory = self.root / "sys" / "module" / name
            directory.mkdir(parents=True, exist_ok=True)
            (directory / "initstate").write_text("live\n")


def _paths(names: Iterable[str]) -> str:
    return "".join(f"kernel/net/netfilter/{name}.ko\n" for name in sorted(names))
