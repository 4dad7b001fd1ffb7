"""The demo: the whole story on this very kernel, in the lab's namespaces, with the real command.

Its services, clients and command line serve the tests as well. It stands on the lab's topology and
knows nothing of its exchanges.
"""
