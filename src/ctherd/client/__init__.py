"""The server's API from the other side: what the commands ask of it, and what its answers mean."""
