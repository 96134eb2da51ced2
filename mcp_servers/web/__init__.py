"""The web: a search provider, and pages read for their text."""
