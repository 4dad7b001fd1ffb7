"""The lab: client, NAT router and server on this very kernel, where exchanges prove helpers.

Everything here lives in namespaces of its own and leaves the host as it was.
"""
