"""The Redis that holds everything: the client, and the server that comes with the project."""
