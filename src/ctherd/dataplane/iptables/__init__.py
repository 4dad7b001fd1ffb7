"""The iptables dataplane, for hosts that run on iptables-nft or iptables-legacy.

In the raw tables of IPv4 and of IPv6, each by itself: one chain of ours with flat rules, and jumps
to it from PREROUTING and OUTPUT. ``names`` says what ours is called, ``rule`` what one rule looks
like, ``listing`` reads what the programs print, ``side``, ``observe`` and ``place`` make an
Observation of that, ``change`` turns a difference into lines for iptables-restore, ``programs``
runs it, ``kernel`` knows what differs between the variants, ``lock`` keeps others out, ``commit``
and ``refusals`` find out what came of it, ``dataplane`` carries it all.
"""
