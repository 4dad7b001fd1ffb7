"""Evidence on disk: a small file for each netns, beside the journal and not in it.

The journal says what may be removed from a kernel; when it cannot be read nothing is changed.
Evidence decides nothing: one that is lost is made again by `ctherd verify`. So it must not be able
to harm the journal, nor to make it larger, and a file that cannot be read counts as none.
"""

import json
import logging
import os
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ctherd.errors import InvalidDeclaration, JournalError
from ctherd.journal.lines import as_lines, from_lines
from ctherd.model.catalog import Family
from ctherd.model.document import NetnsName
from ctherd.model.evidence import Circumstances, Evidence, Proof, Result

_log: Final = logging.getLogger("ctherd.agent")

EVIDENCE_DIR: Final = "evidence"

_FORMAT: Final = 1
_SUFFIX: Final = ".json"


class EvidenceFiles:
    """The evidence below *directory*, made on first use; only who holds its lock may write.

    Raises: JournalError from what writes.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / EVIDENCE_DIR

    def load(self) -> dict[NetnsName, tuple[Evidence, ...]]:
        """Return all that can be read."""
        try:
            files = [each for each in self.path.iterdir() if each.suffix == _SUFFIX]
        except OSError:
            return {}
        read = {NetnsName(each.name.removesuffix(_SUFFIX)): _read(each) for each in files}
        return {netns: found for netns, found in read.items() if found}

    def put(self, netns: NetnsName, found: Iterable[Evidence]) -> None:
        """Keep *found* as all that is known of *netns*; on disk when this returns."""
        path = self.path / f"{netns}{_SUFFIX}"
        said = json.dumps({"format": _FORMAT, "evidence": [as_data(each) for each in found]})
        try:
            self.path.mkdir(mode=0o700, exist_ok=True)
            _replace(path, said)
        except OSError as error:
            raise JournalError(
                f"the evidence cannot be kept: {error}",
                where=str(path),
                cure="make room on that disk",
            ) from error

    def keep_only(self, names: Collection[NetnsName]) -> None:
        """Forget what is known of any other netns."""
        with suppress(OSError):
            for each in self.path.iterdir():
                if NetnsName(each.name.removesuffix(_SUFFIX)) not in names:
                    each.unlink()


def as_data(evidence: Evidence) -> dict[str, Any]:
    """Return *evidence* as JSON has it, on disk and on the control socket."""
    return {
        "assignment": as_lines({evidence.key: evidence.destinations}),
        "family": evidence.family.value,
        "result": evidence.result.value,
        "proof": evidence.proof.value,
        "words": evidence.words,
        "missing": list(evidence.missing),
        "when": evidence.when,
        "kernel": evidence.kernel,
        "found_in": list(evidence.found_in),
    }


def from_data(given: Any) -> Evidence:
    """Return the evidence that *given* is.

    Raises: InvalidDeclaration for what ``as_data`` cannot have made.
    """
    try:
        ((key, destinations),) = from_lines(given["assignment"])[0].items()
        return Evidence(
            key,
            Family(given["family"]),
            destinations,
            Result(given["result"]),
            Proof(given["proof"]),
            str(given["words"]),
            tuple(map(str, given["missing"])),
            str(given["when"]),
            str(given["kernel"]),
            _circumstances(*given["found_in"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidDeclaration(f"this is no evidence: {error!r}") from error


def _circumstances(boot: str, cookie: int, generation: int, ruleset: str) -> Circumstances:
    return Circumstances(str(boot), int(cookie), int(generation), str(ruleset))


def _read(path: Path) -> tuple[Evidence, ...]:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return tuple(map(from_data, said["evidence"])) if said["format"] == _FORMAT else ()
    except (OSError, ValueError, KeyError, TypeError, InvalidDeclaration) as error:
        _log.warning("%s is no evidence, and counts as none: %s", path, error)
        return ()


def _replace(path: Path, said: str) -> None:
    """Put *said* in the place of what *path* held, at once or not at all, and onto the disk."""
    fresh = path.with_suffix(".new")
    with open(
        os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600),
        "w",
        encoding="utf-8",
    ) as file:
        file.write(said)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
