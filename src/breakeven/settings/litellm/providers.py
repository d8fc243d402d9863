"""LiteLLM's names of providers, and which of them the gateway reaches."""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class Known(NamedTuple):
    """A provider as LiteLLM names it."""

    provider: str
    """Ours; empty: told by the URL alone."""

    variable: str
    """The environment variable in which LiteLLM looks for its key; empty: none."""

    base_ends: str = ""
    """What LiteLLM adds to ``api_base`` before ``/chat/completions`` or ``/messages``."""


# The prefix of a model and the variable stand on each provider's page below https://docs.litellm.ai/docs/providers.
KNOWN: Final = {
    "openai": Known("openai", "OPENAI_API_KEY"),
    "text-completion-openai": Known("openai", "OPENAI_API_KEY"),
    "custom_openai": Known("", ""),
    "openai_like": Known("", ""),
    "azure": Known("azure", "AZURE_API_KEY"),
    "anthropic": Known("anthropic", "ANTHROPIC_API_KEY", "/v1"),
    "gemini": Known("google", "GEMINI_API_KEY"),
    "bedrock": Known("aws", "AWS_BEARER_TOKEN_BEDROCK"),
    "mistral": Known("mistral", "MISTRAL_API_KEY"),
    "deepseek": Known("deepseek", "DEEPSEEK_API_KEY"),
    "groq": Known("groq", "GROQ_API_KEY"),
    "together_ai": Known("together", "TOGETHERAI_API_KEY"),
    "fireworks_ai": Known("fireworks", "FIREWORKS_AI_API_KEY"),
    "openrouter": Known("openrouter", "OPENROUTER_API_KEY"),
    "huggingface": Known("huggingface", "HF_TOKEN", "/v1"),
    "xai": Known("x-ai", "XAI_API_KEY"),
    "cerebras": Known("cerebras", "CEREBRAS_API_KEY"),
    "moonshot": Known("moonshotai", "MOONSHOT_API_KEY"),
    "novita": Known("novita", "NOVITA_API_KEY"),
    "perplexity": Known("perplexity", "PERPLEXITYAI_API_KEY"),
    "zai": Known("zai", "ZAI_API_KEY"),
    "hosted_vllm": Known("vllm", ""),
    "ollama": Known("ollama", "", "/v1"),
    "ollama_chat": Known("ollama", "", "/v1"),
    "xinference": Known("", ""),
    "llamafile": Known("llama.cpp", ""),
}

UNREACHED: Final = {
    "vertex_ai": "its keys are OAuth tokens that end within the hour, and the gateway renews none.",
    "vertex_ai_beta": "its keys are OAuth tokens that end within the hour, and the gateway renews none.",
    "sagemaker": "SageMaker wants requests signed with AWS keys, which the gateway does not do.",
    "sagemaker_chat": "SageMaker wants requests signed with AWS keys, which the gateway does not do.",
    "vllm": "LiteLLM runs that engine in its own process; start `vllm serve` and name its address.",
}
"""Why some others are not reached."""

_BARE: Final = (
    (re.compile(r"(gpt-|chatgpt-|o[134](-|$)|text-embedding-|ft:gpt|davinci|babbage)"), "openai"),
    (re.compile(r"claude-"), "anthropic"),
)
"""Whose a model is that is named without a provider."""


def split_model(model: str, told: str) -> tuple[str, str]:
    """Return LiteLLM's name of the provider and that provider's name of the model; an empty provider: not known.

    ``told`` is ``custom_llm_provider``, which goes before the model's prefix.
    """
    prefix, slash, rest = model.partition("/")
    if slash and prefix in (KNOWN.keys() | UNREACHED.keys()) and told in ("", prefix):
        return prefix, rest
    if told:
        return told, model
    return next((name for pattern, name in _BARE if pattern.match(model)), prefix if slash else ""), model
