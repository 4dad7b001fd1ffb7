"""The tenants' API: OpenStack Networking v2.0 for routers and their conntrack helpers."""
