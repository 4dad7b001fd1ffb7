"""Revisioned keys and values for the server: the port, its stores, and the mirror above them."""
