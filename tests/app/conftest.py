"""What tests of the command line share."""

import pytest

from app.running.processes import Addresses


@pytest.fixture
def beside(addresses: Addresses) -> dict[str, str]:
    """Settings of a program that uses the model and the servers of this test process. One that starts its own takes
    twice the time."""
    servers = {f"MCP__{name.upper()}__URL": url for name, url in addresses.servers.items()}
    return {"TOLLGATE_STAND_IN_URL": addresses.model, **servers}
