"""What is said by whom: one module per protocol, each with its ``CASES``."""
