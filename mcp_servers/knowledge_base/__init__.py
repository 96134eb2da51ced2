"""Market documents over MCP: search by words and by meaning, read by section."""
