"""Netlink as bytes: sans-I/O messages of nf_tables and ctnetlink, and the one socket they cross."""
