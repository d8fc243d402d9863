"""Providers that speak OpenAI's chat completions at an address of their own: for starting without a file.

Their ids are those of the price catalogue.  Addresses and variable names as each provider documents them;
Anthropic and Google are left out because their native interface is another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Provider(NamedTuple):
    """Someone who sells tokens over chat completions."""

    id: str
    title: str
    variable: str
    """The environment variable in which its key usually is."""

    url: str
    stream_usage: bool = True
    """Mistral refuses ``stream_options`` (422, extra inputs are not permitted) and sends the usage unasked."""


PROVIDERS: Final = (
    Provider("openai", "OpenAI", "OPENAI_API_KEY", "https://api.openai.com/v1"),
    Provider("deepseek", "DeepSeek", "DEEPSEEK_API_KEY", "https://api.deepseek.com/v1"),
    Provider("mistral", "Mistral", "MISTRAL_API_KEY", "https://api.mistral.ai/v1", stream_usage=False),
    Provider("groq", "Groq", "GROQ_API_KEY", "https://api.groq.com/openai/v1"),
    Provider("together", "Together", "TOGETHER_API_KEY", "https://api.together.xyz/v1"),
    Provider("openrouter", "OpenRouter", "OPENROUTER_API_KEY", "https://openrouter.ai/api/v1"),
    Provider("fireworks", "Fireworks", "FIREWORKS_API_KEY", "https://api.fireworks.ai/inference/v1"),
    Provider("x-ai", "xAI", "XAI_API_KEY", "https://api.x.ai/v1"),
    Provider("cerebras", "Cerebras", "CEREBRAS_API_KEY", "https://api.cerebras.ai/v1"),
)

_OTHER_HOSTS: Final = {
    "api.moonshot.ai": "moonshotai",
    "api.moonshot.cn": "moonshotai",
    "api.novita.ai": "novita",
    "api.perplexity.ai": "perplexity",
    "api.together.ai": "together",
    "api.z.ai": "zai",
    "generativelanguage.googleapis.com": "google",
}
_SUFFIXES: Final = {".openai.azure.com": "azure"}


def provider_at(host: str) -> str:
    """Return the price catalogue's id of who sells at that host; empty when that is not known."""
    for provider in PROVIDERS:
        if host == provider.url.split("/")[2]:
            return provider.id
    by_suffix = (name for suffix, name in _SUFFIXES.items() if host.endswith(suffix))
    return _OTHER_HOSTS.get(host) or next(by_suffix, "")


def understands_stream_usage(host: str) -> bool:
    """Whether that host takes ``stream_options``; every one does that is not known not to."""
    return all(provider.stream_usage or host != provider.url.split("/")[2] for provider in PROVIDERS)


def with_key(environment: Mapping[str, str]) -> tuple[Provider, ...]:
    """Return the providers whose key is in the environment."""
    return tuple(provider for provider in PROVIDERS if environment.get(provider.variable, "").strip())
