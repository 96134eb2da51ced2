"""Accepting, queueing and running jobs, and reporting their results."""
