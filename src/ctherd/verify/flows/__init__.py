"""Minimal real flows: as little of each protocol as makes its helper expect something.

Most are the lab's own exchanges, of which one is done; ``minimal`` has those for which the lab uses
real software, which a production router's host need not have.
"""
