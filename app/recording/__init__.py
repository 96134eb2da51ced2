"""What jobs exchanged with models and tools, kept with them; replays and cassettes of it; what decides behaviour."""
