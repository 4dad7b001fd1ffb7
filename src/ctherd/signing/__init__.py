"""Signed documents: one spelling, one signature, and a set of keys that agents trust."""
