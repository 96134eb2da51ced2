"""What can go wrong in the graph, grouped by who must act.

GraphError
├── ModelMustAct            the model is told and may try again
│   ├── PlanError           a plan that cannot be carried out
│   └── ToolFailure         a tool call that failed or was refused
└── OperatorMustAct         retrying will not help until somebody mends it
    └── ServerUnavailable   an MCP server that cannot be reached

All are RuntimeErrors: LangGraph's default retry policy leaves those alone.
"""

from langchain_openai.chat_models.base import OpenAIRefusalError

# What a model client raises when the provider answers with something that is no usable answer.
UNUSABLE_ANSWER = (ValueError, TypeError, LookupError, OpenAIRefusalError)


class GraphError(RuntimeError):
    """Base of every error that `graphs` raises on purpose."""


class ModelMustAct(GraphError):
    """The message goes to the model."""


class OperatorMustAct(GraphError):
    """The message goes to whoever runs the service."""


class PlanError(ModelMustAct):
    """The plan names unknown agents or tasks, repeats an id, or has a cycle."""


class ToolFailure(ModelMustAct):
    """A tool call that gave no result; the message says what the model can do instead."""


class ServerUnavailable(OperatorMustAct):
    """An MCP server that did not answer; the message names it and its address."""
