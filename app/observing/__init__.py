"""Logs, traces and terminal output for operators, and the redaction of secrets in them."""
