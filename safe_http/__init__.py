"""HTTP with untrusted peers: `public` and `bodies` are the client, `serving` and `connections` the server.
Nothing is imported here, so that users of one half do not load the other."""
