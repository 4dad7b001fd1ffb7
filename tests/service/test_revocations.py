"""What came of revoking, in data and in words."""

from typing import Any

from ctherd.errors import DataplaneError, NetnsAbsent
from ctherd.model.assignment import ANY, AssignmentKey
from ctherd.model.catalog import Protocol
from ctherd.model.debt import Action, Debt
from ctherd.model.document import NetnsName
from ctherd.ports import Revoked, Settled
from ctherd.service.revocations import add_outcomes, in_words, settled_as_data

A, B, C, D = map(NetnsName, "abcd")
FTP = AssignmentKey(Protocol.TCP, 21, "ftp")


def debt(action: Action) -> Debt:
    return Debt(action, FTP, ANY)


def test_each_router_is_told_of_its_own() -> None:
    """What failed is an error of that router; a netns that is gone took its flows along."""
    routers: list[dict[str, Any]] = [
        {"netns": netns, "error": None, "revoked": []} for netns in (A, B, C, D)
    ]
    failed = DataplaneError("list flows", netns=B, errno=1)
    paid = Revoked(A, 1, (Settled(debt(Action.DETACH), flows=2),))
    answer = add_outcomes(
        {"routers": routers}, {A: paid, B: failed, C: NetnsAbsent("gone", where=C)}
    )
    told = {each["netns"]: each for each in answer["routers"]}
    assert [each["flows"] for each in told[A]["revoked"]] == [2]
    assert told[B]["error"] == failed.as_data()
    assert [told[each]["error"] for each in (A, C, D)] == [None] * 3
    assert [told[each]["revoked"] for each in (B, C, D)] == [[]] * 3


def test_in_words() -> None:
    """What was done, what went with it, what lives on, and what is left and why."""
    said = {
        in_words(settled_as_data(each))
        for each in (
            Settled(debt(Action.DETACH), flows=2, expectations=1, data_connections=3),
            Settled(debt(Action.KILL), flows=1, data_connections=1, ended=1),
            Settled(debt(Action.ADOPT), left=4, why="they came back"),
        )
    }
    assert said == {
        "tcp/21 ftp: 2 flows lost their helper, 1 expectations removed, "
        "3 data connections open (they live on)",
        "tcp/21 ftp: 1 flows were ended, 1 data connections open (ended)",
        "tcp/21 ftp: 0 open flows were let go, to be tracked anew with the helper, "
        "4 flows left as they are: they came back",
    }
