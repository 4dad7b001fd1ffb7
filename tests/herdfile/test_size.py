"""Large files: time and memory grow with them, and not faster."""

import time
import tracemalloc

from tests.herdfile.herd import HEAD, faults, parse


def test_reading_takes_time_as_the_file_is_long() -> None:
    """Four times the file does not take ten times the processor's time."""

    def seconds(routers: int) -> float:
        text = "version: 1\nrouters:\n" + "".join(
            f"- name: r{router}\n  netns: q{router}\n  helpers:\n"
            + "".join(f"  - {{helper: ftp, protocol: tcp, port: {1 + n}}}\n" for n in range(10))
            for router in range(routers)
        )
        began = time.process_time()
        assert len(parse(text)) == routers
        return time.process_time() - began

    seconds(10)
    assert min(seconds(1000) for _ in range(3)) < 10 * min(seconds(250) for _ in range(3))


def test_reading_needs_little_memory() -> None:
    """What is needed for a moment, the process keeps: 1.5 KB for an assignment, all in all."""
    helpers = "".join(
        f'    - {{"helper":"ftp","protocol":"tcp","port":{n}}}\n' for n in range(1, 1001)
    )
    tracemalloc.start()
    try:
        parse(HEAD + helpers)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1_500 * 1000


def test_many_clashes_on_one_port_are_found_in_steps() -> None:
    """Ten thousand equal assignments are compared with one, not with each other."""
    one = "    - {helper: ftp, protocol: tcp, port: 21}\n"
    lines = faults(HEAD + one * 10_000)
    assert lines[-1] == "herd.yaml: … and 9979 more"
