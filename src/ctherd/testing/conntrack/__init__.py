"""The part of ctnetlink that ctherd reads and writes: flows, their helpers, their expectations."""
