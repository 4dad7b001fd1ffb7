"""Which halves of a helper are in the kernel: the one that follows, and the one that translates.

Where helpers are modules the kernel loads ``nf_conntrack_<helper>`` by itself when it is assigned,
but not ``nf_nat_<helper>``: the helper is active then, and yet broken under NAT. Only files are
read here, nothing is loaded.
"""

from dataclasses import dataclass, field
from pathlib import Path

from ctherd.model.catalog import Helper


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the files said. Shape: *loaded* is None where the kernel knows no modules at all."""

    loaded: frozenset[str] | None
    builtin: frozenset[str]


@dataclass(slots=True)
class HelperModules:
    """Tells what of a helper is missing, from files below *root*, read once until ``refresh``."""

    root: Path = field(default_factory=lambda: Path("/"))
    _seen: _Seen | None = field(default=None, init=False, repr=False)

    def refresh(self) -> None:
        """Read the files anew when next asked."""
        self._seen = None

    def nat_missing(self, helper: Helper) -> bool:
        """Tell whether *helper* follows connections now but cannot translate them.

        What is not known is not missing: no modules at all, or none that follows (not loaded yet,
        or compiled in).
        """
        loaded = self._read().loaded
        if not helper.nat_module or loaded is None or helper.module not in loaded:
            return False
        return not self.present(helper.nat_module)

    def present(self, module: str) -> bool:
        """Tell whether the code of *module* is in the kernel, loaded or compiled in."""
        seen = self._read()
        if seen.loaded is None or module in seen.loaded or module in seen.builtin:
            return True
        # Compiled-in modules have a directory only if they take parameters.
        return (self.root / "sys/module" / module).is_dir()

    def _read(self) -> _Seen:
        if self._seen is None:
            self._seen = _Seen(self._loaded(), self._builtin())
        return self._seen

    def _loaded(self) -> frozenset[str] | None:
        lines = _lines(self.root / "proc/modules")
        return None if lines is None else frozenset(line.split(" ", 1)[0] for line in lines)

    def _builtin(self) -> frozenset[str]:
        release = "".join(_lines(self.root / "proc/sys/kernel/osrelease") or [])
        if not release:
            return frozenset()
        paths = _lines(self.root / "lib/modules" / release / "modules.builtin") or []
        return frozenset(Path(path).stem.replace("-", "_") for path in paths)


def _lines(path: Path) -> list[str] | None:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
