"""Starts programs and keeps them running; wires a process."""
