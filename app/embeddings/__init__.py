"""The embeddings gate: the only program that calls the provider's embeddings endpoint, and pays for each request."""
