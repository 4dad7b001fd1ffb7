"""The ruleset state machine of nf_tables, for tables that hold ct helper objects and their maps.

Truth is the real kernel: every behaviour here is compared with it by the contract suite. What the
kernel does not check is not checked here either; what is not modelled is refused loudly.
"""
