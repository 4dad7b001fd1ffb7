"""Real servers as processes, and fresh namespaces for the agents that follow them.

Every test below this directory is marked ``root`` and ``slow``.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from ctherd.lab.namespace import Namespace
from tests.kernel import conftest as kernel
from tests.served.server import Site

MakeNetns = Callable[[], Namespace]

_HERE = Path(__file__).parent

make_netns = kernel.make_netns
netns = kernel.netns


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.root)
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def site(tmp_path: Path, only_agent: None) -> Iterator[Site]:
    """A machine on which nothing of ctherd was ever started."""
    yield Site(tmp_path)
