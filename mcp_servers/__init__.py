"""The data: separate programs, reached over MCP only. Nothing here imports the rest of the project."""
