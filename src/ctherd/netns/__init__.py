"""Network namespaces: how to get into one and back, find them, tell them apart, and watch them."""
