"""Where each program listens unless it is told otherwise. MCP servers have the same; a test compares."""

API = 8000
STAND_IN = 7800
MCP = {"knowledge_base": 7801, "sales": 7802, "analytics": 7803, "web": 7804}
