"""ctherd keeps the conntrack helpers of every Linux router exactly as declared."""

__version__ = "0.1.0"
