"""The namespaces of a scripted kernel, opened by name as ctherd.netns.directory does."""

from ctherd.errors import NetnsAbsent
from ctherd.model.document import NetnsName
from ctherd.netns.directory import Namespace
from ctherd.testing.kernel import FakeKernel


class FakeNetnsDirectory:
    """What stands for the directory in which namespaces are mounted."""

    def __init__(self, kernel: FakeKernel) -> None:
        self._kernel = kernel

    def names(self) -> list[NetnsName]:
        """List the names in the directory, sorted."""
        return [NetnsName(name) for name in self._kernel.names()]

    def open(self, name: NetnsName) -> Namespace:
        """Open the netns called *name*.

        Raises: NetnsAbsent if there is none (yet).
        """
        found = self._kernel.find(name)
        if found is None:
            raise NetnsAbsent("the network namespace does not exist", where=name)
        return Namespace(name, found.cookie, found.connect(), found.cookie)

    def leads_to(self, namespace: Namespace) -> bool:
        """Tell whether the name of *namespace* still leads to it."""
        found = self._kernel.find(namespace.name)
        return found is not None and found.cookie == namespace.cookie

    def scratch(self) -> Namespace:
        """Open a fresh netns that nobody else sees and that dies when it is closed."""
        made = self._kernel.scratch()
        return Namespace(NetnsName("(scratch)"), made.cookie, made.connect())
