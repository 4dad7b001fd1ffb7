"""The book of evidence: what it keeps beside what, and when it asks the kernel again."""

from pathlib import Path

from ctherd.errors import NetnsAbsent
from ctherd.journal.evidence import EvidenceFiles
from ctherd.model.assignment import ANY
from ctherd.model.catalog import Family
from ctherd.model.document import NetnsName
from ctherd.model.evidence import Circumstances
from ctherd.model.observation import Tag
from ctherd.service.evidence import EvidenceBook
from tests.journal.test_evidence import FTP, THEN, evidence

ONE, TWO = NetnsName("n1"), NetnsName("n2")
LIVE = {FTP: ANY}


class Kernel:
    """What the kernel says now, and how often it was asked for all of it."""

    def __init__(self) -> None:
        self.now = THEN
        self.looks = 0

    def look(self, netns: NetnsName, tag: Tag | None) -> Circumstances:
        self.looks += 1
        return self.now

    def generation(self, netns: NetnsName) -> int:
        return self.now.generation


def test_evidence_is_kept_beside_what_is_known(tmp_path: Path) -> None:
    """The last word on each assignment and family; what nobody knows any more goes."""
    kernel = Kernel()
    book = EvidenceBook(EvidenceFiles(tmp_path), kernel.look, kernel.generation)
    book.keep(ONE, [evidence()], [ONE, TWO], [FTP])
    book.keep(TWO, [evidence()], [ONE, TWO], [FTP])
    book.keep(ONE, [evidence(Family.IPV6)], [ONE, TWO], [FTP])
    again = EvidenceBook(EvidenceFiles(tmp_path), kernel.look, kernel.generation)
    for each in (book, again):
        assert each.of(ONE, None, LIVE).keys() == {(FTP, Family.IPV4), (FTP, Family.IPV6)}
        assert each.of(TWO, None, LIVE).keys() == {(FTP, Family.IPV4)}
    book.keep(ONE, [evidence(Family.IPV6)], [ONE], [])
    assert book.of(ONE, None, LIVE).keys() == {(FTP, Family.IPV6)}
    assert EvidenceFiles(tmp_path).load().keys() == {ONE}


def test_the_kernel_is_asked_again_when_its_generation_is_another(tmp_path: Path) -> None:
    """An agent looks at a thousand netns every few seconds; `show` asks thoroughly."""
    kernel = Kernel()
    book = EvidenceBook(EvidenceFiles(tmp_path), kernel.look, kernel.generation)
    assert book.of(ONE, None, LIVE) == {} and kernel.looks == 0
    book.keep(ONE, [evidence()], [ONE], [FTP])
    for _ in range(3):
        (judged,) = book.of(ONE, None, LIVE, thoroughly=False).values()
        assert judged.verified_at == evidence().when
    assert kernel.looks == 1
    kernel.now = THEN._replace(generation=4, ruleset="other")
    (judged,) = book.of(ONE, None, LIVE, thoroughly=False).values()
    assert (judged.verified_at, judged.stale) == ("", "the ruleset has changed since")
    kernel.now = THEN._replace(generation=4)
    (judged,) = book.of(ONE, None, LIVE, thoroughly=False).values()
    assert judged.stale
    (judged,) = book.of(ONE, None, LIVE).values()
    assert not judged.stale


def test_what_cannot_be_asked_does_not_count(tmp_path: Path) -> None:
    """A netns that is gone proves nothing, and breaks nothing."""

    def gone(*_: object) -> Circumstances:
        raise NetnsAbsent("no such network namespace")

    book = EvidenceBook(EvidenceFiles(tmp_path), gone, lambda _: 0)
    book.keep(ONE, [evidence()], [ONE], [FTP])
    (judged,) = book.of(ONE, None, LIVE).values()
    assert "no such network namespace" in judged.stale and not judged.verified_at
