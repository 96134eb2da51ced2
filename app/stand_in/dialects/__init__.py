"""How servers that speak OpenAI's protocol differ: what each refuses, and in which shape it answers.

One entry each, taken from documentation, source and public bug reports, which are named beside it. The stand-in answers
with the same content in all of them; the client has to adapt.

- refusals.py: what is refused, and in which words
- shapes.py: what a completion looks like
- understood.py: tools and schemas that a client wrote into the prompt, read as a model reads them
"""

from collections.abc import Mapping
from dataclasses import dataclass

from app.stand_in.dialects import refusals, shapes
from app.stand_in.dialects.refusals import Refuse
from app.stand_in.dialects.shapes import Shape


@dataclass(frozen=True)
class Dialect:
    """One server.

    `refuses` are asked in turn. With `reads_tools` or `reads_schemas` false, what is offered so is ignored, and so are
    the fields that it `ignores`.
    """

    says: str
    refuses: tuple[Refuse, ...] = ()
    shape: Shape = shapes.plain
    reads_tools: bool = True
    reads_schemas: bool = True
    ignores: tuple[str, ...] = ()


PLAIN = Dialect("takes everything, answers as documented")

DIALECTS: Mapping[str, Dialect] = {
    "plain": PLAIN,
    # Reasoning models: langchain-ai/langgraph#5943, vercel/ai#6034, langchain-ai/langchain#29704,
    # continuedev/continue#3403, vercel/ai#5171, tailcallhq/forgecode#1185, lastmile-ai/openai-agents-mcp#2.
    "openai": Dialect(
        "OpenAI, strict: refuses what its reasoning models refuse",
        (
            refusals.openai_unsupported("max_tokens", "Use 'max_completion_tokens' instead."),
            refusals.openai_unsupported("parallel_tool_calls"),
            refusals.openai_only_default("temperature"),
            refusals.empty_tools,
            refusals.long_ids,
            refusals.unanswered_calls,
            refusals.not_strict,
        ),
        shapes.openai,
    ),
    # Azure/azure-rest-api-specs#29545, BerriAI/litellm#8638, microsoft/semantic-kernel#8189.
    "azure": Dialect(
        "Azure OpenAI with an older API version, and a model of few tokens",
        (
            refusals.azure_unrecognized("max_completion_tokens"),
            refusals.azure_unrecognized("parallel_tool_calls"),
            refusals.azure_unrecognized("stream_options"),
            refusals.at_most(4096, "max_tokens is too large: {asked}. This model supports at most {most} completion "
                             "tokens, whereas you provided {asked}."),
            refusals.unanswered_calls,
        ),
        shapes.azure,
    ),
    # ollama/ollama openai/openai.go: `max_completion_tokens` and `tool_choice` are not in its struct.
    "ollama": Dialect(
        "Ollama, with a model that knows tools",
        (refusals.broken_history, refusals.empty_content),
        shapes.ollama,
        ignores=("max_completion_tokens", "tool_choice"),
    ),
    # ollama/ollama#13578, pydantic/pydantic-ai#703.
    "ollama-no-tools": Dialect(
        "Ollama, with a model that does not", (refusals.ollama_without_tools, refusals.empty_content), shapes.ollama
    ),
    # ggml-org/llama.cpp tools/server/server-common.cpp; defilantech/LLMKube#126.
    "llama.cpp": Dialect("llama.cpp without --jinja: no tools", (refusals.llama_without_jinja,), shapes.llama),
    # ggml-org/llama.cpp#22581: tools are in no template, so the model never hears of them.
    "llama.cpp-deaf": Dialect(
        "llama.cpp with a template that leaves tools out", shape=shapes.llama, reads_tools=False
    ),
    # vllm serve/render/serving.py; vllm-project/vllm#20409.
    "vllm": Dialect("vLLM, with a context of 16,384 tokens", (refusals.vllm_context(16_384),), shapes.vllm),
    "vllm-no-parser": Dialect("vLLM without a tool parser", (refusals.vllm_without_parser,), shapes.vllm),
    # mistralai client/models/chatcompletionrequest.py; editor-code-assistant/eca#231; nearai/ironclaw#1241;
    # pipecat-ai/pipecat-flows#178.
    "mistral": Dialect(
        "Mistral: refuses unknown fields, ids not its own, a user after a tool",
        (refusals.mistral_fields, refusals.mistral_ids, refusals.mistral_turns),
        shapes.mistral,
    ),
    # SuzumiyaAkizuki/ComfyUI-NewBie-LLM-Formatter#3, zed-industries/zed#44875, langroid/langroid#969.
    "gemini": Dialect(
        "Gemini's compatible endpoint: a subset of JSON Schema, signed calls",
        (refusals.gemini_fields, refusals.gemini_keywords, refusals.gemini_signatures),
        shapes.gemini,
    ),
    # https://platform.claude.com/docs/en/cli-sdks-libraries/libraries/openai-sdk: response_format is ignored.
    "anthropic": Dialect(
        "Anthropic's compatible endpoint: ignores schemas", shape=shapes.anthropic, reads_schemas=False
    ),
    # https://openrouter.ai/docs/api/reference/errors-and-debugging, zed-industries/zed#36094, openai/codex#7758.
    "openrouter": Dialect(
        "OpenRouter, in front of a model that cannot be forced",
        (refusals.openrouter_forced, refusals.openrouter_upstream("service_tier")),
        shapes.openrouter,
    ),
    # deepseek-ai/DeepSeek-V3#69, runebookai/tome#87.
    "deepseek": Dialect(
        "DeepSeek: no JSON schemas, short answers",
        (
            refusals.deepseek_schemas,
            refusals.at_most(4096, "Invalid max_tokens value, the valid range of max_tokens is [1, {most}]"),
        ),
        shapes.deepseek,
    ),
    # lmstudio-ai/lmstudio-bug-tracker#670.
    "lmstudio": Dialect("LM Studio: no tool by its name", (refusals.lmstudio_choice,), shapes.lmstudio),
}  # fmt: skip

__all__ = ["DIALECTS", "PLAIN", "Dialect"]
