"""Which halves of a helper are in the kernel, told from files alone."""

from pathlib import Path

import pytest

from ctherd.dataplane.modules import HelperModules
from ctherd.model.catalog import HELPERS, by_name

FTP = by_name("ftp")
SNMP = by_name("snmp")
RELEASE = "6.1.0-99-test"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A system that has modules, but none loaded and none compiled in."""
    for name in ("proc/sys/kernel", f"lib/modules/{RELEASE}", "sys/module"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/osrelease").write_text(f"{RELEASE}\n", encoding="utf-8")
    compile_in(tmp_path)
    load(tmp_path)
    return tmp_path


def load(root: Path, *modules: str) -> None:
    lines = [f"{name} 20480 1 - Live 0x0000000000000000\n" for name in modules]
    (root / "proc/modules").write_text("".join(lines), encoding="utf-8")


def compile_in(root: Path, *paths: str) -> None:
    listed = "".join(f"kernel/net/{path}.ko\n" for path in paths)
    (root / f"lib/modules/{RELEASE}/modules.builtin").write_text(listed, encoding="utf-8")


@pytest.mark.parametrize("helper", HELPERS, ids=lambda helper: helper.name)
def test_on_a_kernel_without_modules_nothing_is_missing(tmp_path: Path, helper: object) -> None:
    """Without /proc/modules everything that works is compiled in."""
    modules = HelperModules(tmp_path)
    assert not any(modules.nat_missing(each) for each in HELPERS if each is helper)
    assert modules.present("nf_nat_ftp")


def test_a_helper_that_is_not_loaded_misses_nothing(root: Path) -> None:
    """Before its first assignment a helper is not loaded, which is not a fault."""
    assert not HelperModules(root).nat_missing(FTP)


def test_a_loaded_helper_without_its_nat_half_is_broken(root: Path) -> None:
    """The kernel loads the following half by itself, and leaves the translating one out."""
    load(root, "nf_conntrack", "nf_conntrack_ftp")
    modules = HelperModules(root)
    assert modules.nat_missing(FTP)
    assert not modules.present("nf_nat_ftp")


def test_a_helper_with_both_halves_loaded_is_whole(root: Path) -> None:
    """Both are in /proc/modules, in any order."""
    load(root, "nf_nat_ftp", "nf_conntrack_ftp")
    assert not HelperModules(root).nat_missing(FTP)


def test_a_compiled_in_nat_half_is_there(root: Path) -> None:
    """modules.builtin lists it by path, with dashes or underscores."""
    load(root, "nf_conntrack_snmp")
    compile_in(root, "ipv4/netfilter/nf-nat-snmp_basic")
    assert not HelperModules(root).nat_missing(SNMP)


def test_a_compiled_in_module_may_be_seen_by_its_parameters_alone(root: Path) -> None:
    """A directory in /sys/module is enough, where modules.builtin is not installed."""
    (root / f"lib/modules/{RELEASE}/modules.builtin").unlink()
    load(root, "nf_conntrack_ftp")
    (root / "sys/module/nf_nat_ftp").mkdir()
    assert not HelperModules(root).nat_missing(FTP)


def test_a_helper_that_translates_nothing_misses_nothing(root: Path) -> None:
    """sane and netbios-ns have no translating half at all."""
    load(root, "nf_conntrack_sane", "nf_conntrack_netbios_ns")
    modules = HelperModules(root)
    assert not modules.nat_missing(by_name("sane"))
    assert not modules.nat_missing(by_name("netbios-ns"))


def test_files_are_read_once_until_refreshed(root: Path) -> None:
    """Status asks often; only a refresh looks again."""
    load(root, "nf_conntrack_ftp")
    modules = HelperModules(root)
    assert modules.nat_missing(FTP)
    load(root, "nf_conntrack_ftp", "nf_nat_ftp")
    assert modules.nat_missing(FTP)
    modules.refresh()
    assert not modules.nat_missing(FTP)
