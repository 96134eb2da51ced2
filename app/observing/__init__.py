"""What is told of a run to whoever operates it, and what is never told."""
