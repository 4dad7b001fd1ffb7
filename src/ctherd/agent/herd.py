"""The herd file as the source of documents: read when it is complete and new, held if unsafe."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ctherd.agent.files import HerdWatch
from ctherd.agent.source import Enforcer
from ctherd.errors import InvalidDeclaration, NotFound
from ctherd.model.document import Document, NetnsName
from ctherd.reconcile.reconciler import Report
from ctherd.service.host_answers import Answer

_log: Final = logging.getLogger("ctherd.agent")


class HerdSource:
    """Tells an agent what one herd file declares.

    Shape: *read_herd* returns the file's documents or raises InvalidDeclaration.
    """

    def __init__(self, herd: Path, read_herd: Callable[[Path], Sequence[Document]]) -> None:
        self._herd = herd
        self._read_herd = read_herd
        self._held: Sequence[Document] | None = None
        self.in_sync = False

    def doubts(self) -> Mapping[str, int]:
        """Return whether a change of the file is held."""
        return {"held": int(self._held is not None)}

    def begin(self, agent: Enforcer) -> None:
        """Begin with the file; if it cannot be had or is unsafe, with what was last applied."""
        self._agent = agent
        self._watch = HerdWatch(self._herd, self._on_herd)
        asyncio.get_running_loop().add_reader(self._watch.fileno(), self._watch.read)
        if not self._load():
            agent.accept(agent.service.managed_documents())

    async def run(self) -> None:
        """Wait: the file's events come by themselves."""
        await asyncio.Event().wait()

    def reload(self) -> None:
        """Read the file again."""
        self._load()

    def reconciled(self, names: Sequence[NetnsName]) -> None:
        """A file has nobody to tell: its author asks `ctherd show`."""

    def repaired(self, report: Report, seconds: float) -> None:
        """A file has nobody to tell."""

    def answer(self, request: dict[str, Any]) -> Answer:
        """Plan any file, apply this one, or confirm what is held.

        Raises: InvalidDeclaration, UnsafePlan, NotFound.
        """
        match request.get("operation"):
            case "plan":
                documents = self._read_herd(self._meant(request))
                return self._agent.service.plan(documents, partial=bool(request.get("partial")))
            case "apply":
                return self._apply(request)
            case "confirm":
                return self._confirm()
        raise NotFound(f"the agent knows no operation {request.get('operation')!r}")

    def close(self) -> None:
        """Stop watching the file."""
        asyncio.get_running_loop().remove_reader(self._watch.fileno())
        self._watch.close()

    def _on_herd(self) -> None:
        _log.info("%s was written", self._herd)
        self._load()

    def _load(self) -> bool:
        self.in_sync = False
        try:
            documents = self._read_herd(self._herd)
        except InvalidDeclaration as error:
            _log.error("the herd file is not used, everything stays as it is: %s", error)
            return False
        unsafe = self._agent.service.danger(documents)
        if unsafe:
            self._held = documents
            _log.warning("held as unsafe until `ctherd confirm`: %s", unsafe)
            return False
        self._accept(documents)
        return True

    def _accept(self, documents: Sequence[Document]) -> None:
        self._held = None
        self.in_sync = True
        self._agent.accept(documents)

    def _meant(self, request: dict[str, Any]) -> Path:
        """Return the file that a request names; without a name it is ours."""
        return Path(str(request.get("file") or self._herd))

    def _apply(self, request: dict[str, Any]) -> Answer:
        self._refuse_other_files(request)
        documents = self._read_herd(self._herd)
        answer = self._agent.service.apply(documents, confirmed=bool(request.get("confirmed")))
        self._held = None
        self.in_sync = True
        self._agent.look_everywhere()
        return answer

    def _refuse_other_files(self, request: dict[str, Any]) -> None:
        """Refuse what the next change of our file would undo.

        Raises: InvalidDeclaration.
        """
        asked = self._meant(request)
        if asked.resolve() != self._herd.resolve():
            raise InvalidDeclaration(
                f"is not what the running agent enforces: that is {self._herd}",
                where=str(asked),
                cure=f"copy it over {self._herd}, which is applied at once; or end the agent first",
            )
        if request.get("partial"):
            raise InvalidDeclaration(
                "is enforced by the running agent as a whole, so it cannot be applied in part",
                where=str(asked),
                cure="declare every router that shall stay in it; or end the agent first",
            )

    def _confirm(self) -> Answer:
        if self._held is None:
            return {"message": "nothing is held"}
        unsafe = self._agent.service.danger(self._held)
        self._accept(self._held)
        return {"message": f"confirmed: {unsafe or 'the held file'}"}
