"""The agent's own authorization: what its local policy denies, whoever asked for it. Pure."""
