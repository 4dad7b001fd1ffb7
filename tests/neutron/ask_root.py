"""What stands for sudo: asks a process of root's, which a test is, to start privsep-helper.

Run as: ask_root.py SOCKET --config-file …
"""

import json
import socket
import sys

with socket.socket(socket.AF_UNIX) as root:
    root.connect(sys.argv[1])
    root.sendall(json.dumps(sys.argv[2:]).encode() + b"\n")
    sys.exit(int(root.makefile().readline()))
