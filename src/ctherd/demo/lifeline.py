"""What every server of the demo does besides serving: it says when it is ready, and ends in time.

It ends with its stdin, so that none outlives the program that started it, whatever ended that one.
"""

import os
import sys
import threading
from typing import Final

READY: Final = "ready"


def announce() -> None:
    """Tell who started us that requests are served from now on."""
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()


def end_with_stdin() -> None:
    """End this process, without ceremony, when its stdin ends."""
    threading.Thread(target=_end, name="lifeline", daemon=True).start()


def _end() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os._exit(0)
