"""The lab: client, NAT router and server on this very kernel, with real protocol exchanges.

Everything here lives in namespaces of its own and leaves the host as it was.
"""
