"""Identities: who vouches for a caller."""
