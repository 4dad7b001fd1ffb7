"""The daemon of oslo.privsep as its own program starts it, with the processes counted it starts.

``python -m bench.privsep_helper LOG privsep-helper OPTION…``: a root helper that knows one command.
"""

import sys
from pathlib import Path

from oslo_privsep.daemon import helper_main

from bench import started

if __name__ == "__main__":
    log, _ = sys.argv[1:3]
    del sys.argv[1:3]
    started.log_to(Path(log))
    helper_main()
