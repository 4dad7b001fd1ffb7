"""What Prometheus reads of a real agent."""

import ftplib
import re
import socket
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from ctherd.demo.lab import Lab
from ctherd.netns.enter import entered
from tests.kernel.host import FTP, Host, becomes

pytestmark = pytest.mark.usefixtures("only_agent")


DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
SERVER = "## Of the server"


class Exporter:
    """A host whose agent serves metrics at a free port."""

    def __init__(self, directory: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port = found.getsockname()[1]
        self.host = Host(directory)
        config = directory / "ctherd.toml"
        served = f'metrics = "127.0.0.1:{self.port}"\nsweep_interval_s = 0.1'
        config.write_text(config.read_text().replace('metrics = ""', served))

    def value(self, name: str, **labels: str) -> float | None:
        for sample in self.samples():
            if (sample.name, sample.labels) == (name, labels):
                return float(sample.value)
        return None

    def samples(self) -> list[Sample]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
            text = answer.read().decode()
        families = text_string_to_metric_families(text)
        return [sample for family in families for sample in family.samples]


@pytest.fixture
def exporter(tmp_path: Path) -> Exporter:
    return Exporter(tmp_path)


def test_expectations_are_counted_by_helper(exporter: Exporter, lab: Lab) -> None:
    """A PASV that nobody follows is one expectation of ftp, until its connection is forgotten."""
    router = lab.net.router
    exporter.host.declare({router.name: [FTP]})
    with exporter.host.agent():
        assert exporter.value("ctherd_assignments", status="active") == 1
        client = ftplib.FTP(timeout=5)
        with lab.net.client.opened() as netns_fd, entered(netns_fd):
            client.connect(str(lab.net.server.v4), 21)
        client.login()
        client.sendcmd("PASV")
        assert becomes(lambda: exporter.value("ctherd_expectations", helper="ftp") == 1)
        router.run(["conntrack", "-F"])
        assert becomes(lambda: exporter.value("ctherd_expectations", helper="ftp") == 0)
        client.close()


def test_every_metric_is_documented(exporter: Exporter) -> None:
    """The page names each one, as Prometheus does, and none that is not served."""
    exporter.host.declare({"ctest-not-there": [FTP]})
    with exporter.host.agent():
        assert becomes(lambda: exporter.value("ctherd_queue_depth", state="waiting") == 1)
        names = {each.name for each in exporter.samples()}
    served = {re.sub("_(bucket|count|sum)$", "", name) for name in names if "_created" not in name}
    # Nothing expects anything here.
    documented = DOCS.read_text().partition(SERVER)[0]
    assert served | {"ctherd_expectations"} == set(re.findall(r"`(ctherd_\w+)", documented))


def test_what_waits_is_counted(exporter: Exporter) -> None:
    """A netns that is not there is looked for now and then; nothing else is left to do."""
    exporter.host.declare({"ctest-not-there": [FTP]})
    with exporter.host.agent():
        assert becomes(lambda: exporter.value("ctherd_queue_depth", state="waiting") == 1)
        assert exporter.value("ctherd_queue_depth", state="due") == 0
