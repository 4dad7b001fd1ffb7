"""Neutron and its libraries, imported once: they warn of each other while they are."""

import sys
import warnings

# The iptables manager of Neutron names its chains by the program, on import.
_program, sys.argv[0] = sys.argv[0], "neutron-l3-agent"
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import neutron.agent.l3.agent
    import neutron.services.conntrack_helper.plugin  # noqa: F401

    import ctherd.neutron.extension  # noqa: F401
sys.argv[0] = _program
