"""Shipped fakes: a kernel that simulates nf_tables and ctnetlink as bytes, a clock, a directory."""
