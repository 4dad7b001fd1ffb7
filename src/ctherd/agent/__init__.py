"""The daemon of one host: watches file, namespaces and kernel, and lets the reconciler act."""
