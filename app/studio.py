"""The graph as LangGraph Studio loads it: without a checkpointer, because the platform brings its own.

Loading opens no connection. `make studio` starts what a run needs and says where it is; without that, the default
addresses of `tollgate mcp` and of the embedded store are tried when a node first needs them.
"""

from app.models import chat_model, pricer
from app.redis import connect
from app.settings import SERVERS, Settings, load
from graphs.deps import Deps
from graphs.evidence import EvidenceStore
from graphs.governance.tools import ToolGateway
from graphs.supervisor import ResearchGraph, build_research_graph

DEFAULT_REDIS = "redis://127.0.0.1:6379"
DEFAULT_MODEL = "http://127.0.0.1:7800/v1"
DEFAULT_PORTS = {"knowledge_base": 7801, "sales": 7802, "analytics": 7803}


def graph() -> ResearchGraph:
    """The factory that `langgraph.json` names."""
    settings = load()
    model = str(settings.stand_in_url) if settings.stand_in_url else settings.provider_url or DEFAULT_MODEL
    url = settings.redis_url.get_secret_value() if settings.redis_url else DEFAULT_REDIS
    deps = Deps(
        supervisor_model=chat_model(settings.supervisor_model, settings, model),
        model=chat_model(settings.model, settings, model),
        gateway=ToolGateway(_servers(settings)),
        evidence=EvidenceStore(connect(url), ttl_seconds=settings.ttl_seconds),
        price=pricer(settings),
        limits=settings.limits,
    )
    return build_research_graph(deps)


def _servers(settings: Settings) -> dict[str, str]:
    default = {name: f"http://127.0.0.1:{DEFAULT_PORTS[name]}/mcp" for name in SERVERS}
    return {**default, **{name: str(server.url) for name, server in settings.mcp.items()}}
