"""Run other programs: the only room that does. Always a list of arguments, never a shell.

Every wait is bounded, and a program that overstays is killed with all its children. Nothing about
what the programs do enters here.
"""

from ctherd.process.child import Child, spawn
from ctherd.process.failure import CommandFailed, ToolMissing
from ctherd.process.run import Completed, Task, run, run_together

__all__ = [
    "Child",
    "CommandFailed",
    "Completed",
    "Task",
    "ToolMissing",
    "run",
    "run_together",
    "spawn",
]
