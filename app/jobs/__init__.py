"""One job: its record, its lease, its runs, its events, its end."""
