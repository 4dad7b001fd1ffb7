"""The face to OpenStack Neutron: an L3 agent extension in the place of ``conntrack_helper``.

Neutron loads ``extension`` by its entry point, in a process that has no privileges. The loop and
the journal run there, in one thread; what needs privileges runs in a daemon of oslo.privsep, behind
``privileged``. Nothing else of ctherd imports this room, and ctherd without the extra never imports
Neutron.
"""
