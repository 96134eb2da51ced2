"""Redis: the client, and the embedded server."""
