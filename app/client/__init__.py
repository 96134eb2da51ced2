"""The HTTP API from the other side."""
