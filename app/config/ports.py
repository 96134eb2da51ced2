"""Default ports of the programs."""

from app.config.servers import SERVERS

API = 8000
STAND_IN = 7800
EMBEDDINGS = 7799
MCP = {server.name: server.port for server in SERVERS}
