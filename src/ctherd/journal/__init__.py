"""The agent's durable memory: which marks it drew, and what it made under them.

Written before the kernel is touched, so that a `kill -9` at any point leaves nothing that a
restart could not tell apart from somebody else's. Nothing else is remembered here.
"""
