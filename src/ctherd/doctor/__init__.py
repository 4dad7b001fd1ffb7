"""The doctor: names why helpers do not work here, and the command that cures it.

``evidence`` looks and decides nothing; ``host`` and ``router`` decide and look at nothing but the
evidence; ``examine`` puts both together. Nothing is changed.
"""
