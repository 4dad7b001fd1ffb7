"""Verification: proves that a helper works on a production router, without touching its traffic.

``look`` reads the kernel's state and ``state`` judges it. ``copy`` makes a scratch copy of the
router, ``flows`` sends a minimal flow through it, and the expectation that the kernel then holds
*there* is the evidence. The router itself is only read.
"""
