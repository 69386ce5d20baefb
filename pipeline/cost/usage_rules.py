"""How each source counts tokens, as data: which spellings mean what, and which counts include which.

A spelling means a *whole* (all of the input, all of the output, the total) or a *part*. A part is `inside` its whole
(OpenAI's cached tokens are among its prompt tokens) or `beside` it (Anthropic's are not). The whole of a part is told
by the part's canonical name: input_* belongs to the input, output_* to the output.
The first rule of RULES whose marks are among the keys that were received applies; SPELLINGS holds for all rules.
A mark that ends in a dot stands for every key that begins with it.
Sources are the providers' and libraries' own reference pages, named at each rule.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

TokenMap = Mapping[str, str]

# Units that are billed but are no tokens: never part of a total.
NOT_TOKENS = frozenset(
    {
        "requests",
        "searches",
        "storage_searches",
        "rerank_searches",
        "social_searches",
        "code_executions",
        "seconds",
        "input_seconds",
        "output_seconds",
        "images",
        "characters",
        "messages",
        "pages",
        "annotated_pages",
        "pixels",
    }
)  # fmt: skip

# What instrumentation puts in front of the names; taken off before anything else is looked at.
PREFIXES = ("gen_ai.usage.", "llm.token_count.", "llm.usage.", "ai.usage.")

WHOLES: dict[str, str] = {
    **dict.fromkeys(
        ("input", "input_tokens", "prompt_tokens", "promptTokens", "inputTokens", "prompt_token_count",
         "promptTokenCount", "prompt", "inputTokenCount"), "input"),
    **dict.fromkeys(
        ("output", "output_tokens", "completion_tokens", "completionTokens", "outputTokens", "candidates_token_count",
         "candidatesTokenCount", "completion", "outputTokenCount"), "output"),
    **dict.fromkeys(
        ("total", "total_tokens", "totalTokens", "total_token_count", "totalTokenCount", "tokens"), "total"),
}  # fmt: skip

# Parts and units whose spelling has one meaning everywhere; all of these stand beside their whole unless a rule says
# otherwise: this is how Langfuse's own SDKs count, whose keys are disjoint.
SPELLINGS: dict[str, str] = {
    **dict.fromkeys(
        ("input_cached", "input_cached_tokens", "input_cache_read", "cache_read_input_tokens", "cached_tokens",
         "cache_read_tokens", "cacheReadInputTokens", "cacheReadInputTokenCount", "input_cached_text_tokens",
         "cachedInputTokens"), "input_cached"),
    **dict.fromkeys(
        ("input_cache_creation", "cache_creation_input_tokens", "cache_write_tokens", "cacheWriteInputTokens",
         "cacheCreationInputTokens", "cacheWriteInputTokenCount", "cache_creation_tokens"), "input_cache_write"),
    **dict.fromkeys(
        ("input_cache_write_5m", "input_cache_creation_5m", "input_cache_creation_5m_tokens",
         "cache_creation.ephemeral_5m_input_tokens"), "input_cache_write_5m"),
    **dict.fromkeys(
        ("input_cache_write_1h", "input_cache_creation_1h", "input_cache_creation_1h_tokens",
         "cache_creation.ephemeral_1h_input_tokens"), "input_cache_write_1h"),
    **dict.fromkeys(("input_audio", "input_audio_tokens", "input_modality_4", "input_modality_AUDIO"), "input_audio"),
    **dict.fromkeys(("input_image", "input_image_tokens", "input_modality_2", "input_modality_IMAGE"), "input_image"),
    **dict.fromkeys(("input_video", "input_modality_3", "input_modality_VIDEO"), "input_video"),
    **dict.fromkeys(("input_cached_audio", "input_cached_audio_tokens"), "input_cached_audio"),
    **dict.fromkeys(("input_modality_1", "input_modality_TEXT", "input_text", "input_text_tokens"), "input_text"),
    **dict.fromkeys(
        ("output_reasoning", "output_reasoning_tokens", "reasoning_tokens", "thoughts_token_count",
         "thoughtsTokenCount", "reasoningTokens"), "output_reasoning"),
    **dict.fromkeys(("output_audio", "output_audio_tokens", "output_modality_4"), "output_audio"),
    **dict.fromkeys(("output_image", "output_image_tokens", "output_modality_2"), "output_image"),
    **dict.fromkeys(("output_modality_1", "output_text", "output_text_tokens"), "output_text"),
    **dict.fromkeys(
        ("searches", "web_searches", "web_search_requests", "server_tool_use.web_search_requests",
         "web_search_queries", "webSearchQueries", "grounding_queries", "groundingQueries", "num_sources_used",
         "num_search_queries"), "searches"),
    **dict.fromkeys(("requests",), "requests"),
    **dict.fromkeys(("seconds", "audio_seconds", "prompt_audio_seconds", "duration_seconds"), "seconds"),
    **dict.fromkeys(("images", "image_count"), "images"),
    **dict.fromkeys(("characters", "input_characters"), "characters"),
    **dict.fromkeys(("pages", "pages_processed", "input_document_pages"), "pages"),
}  # fmt: skip

# Said again elsewhere, or no count of tokens at all.
IGNORED = frozenset({"prompt_cache_miss_tokens", "prompt_time", "completion_time", "total_time", "queue_time"})

# Objects that break a whole down. What stands in them under a name that no rule knows (text, predictions) remains in
# its whole.
DETAILS = (
    "prompt_tokens_details.", "completion_tokens_details.", "input_tokens_details.", "output_tokens_details.",
    "input_token_details.", "output_token_details.", "inputTokenDetails.", "outputTokenDetails.",
    "promptTokensDetails.", "candidatesTokensDetails.", "candidates_tokens_details.", "cacheTokensDetails.",
    "cache_tokens_details.", "toolUsePromptTokensDetails.", "tool_use_prompt_tokens_details.",
    "cached_tokens_details.", "details.", "prompt_details.", "completion_details.",
)  # fmt: skip


class Rule(NamedTuple):
    """One source's way of counting. `inside` and `beside` map its spellings of parts to canonical keys."""

    id: str
    marks: tuple[str, ...]  # one of these keys is there
    inside: TokenMap
    beside: TokenMap = MappingProxyType({})
    also: tuple[str, ...] = ()  # and one of these, where any is named
    model: str = ""  # and the model's name contains this, where it is named
    ignored: frozenset[str] = frozenset()
    strict: bool = False  # a part larger than its whole is an error of the source, not a sign that it stands beside


def _details(prefixes: tuple[str, ...], parts: TokenMap) -> dict[str, str]:
    return {f"{prefix}.{name}": canonical for prefix in prefixes for name, canonical in parts.items()}


_INPUT = {
    "cached_tokens": "input_cached", "audio_tokens": "input_audio", "image_tokens": "input_image",
    "cache_creation_tokens": "input_cache_write", "cache_write_tokens": "input_cache_write",
}  # fmt: skip
_OUTPUT = {
    "reasoning_tokens": "output_reasoning", "audio_tokens": "output_audio", "image_tokens": "output_image",
}  # fmt: skip
_OPENAI = {
    **_details(("prompt_tokens_details", "input_tokens_details", "input_token_details"), _INPUT),
    **_details(("completion_tokens_details", "output_tokens_details", "output_token_details"), _OUTPUT),
    "cached_tokens_details.audio_tokens": "input_cached_audio",
    "input_token_details.cached_tokens_details.audio_tokens": "input_cached_audio",
}  # fmt: skip
_FLAT_CACHE = {key: SPELLINGS[key] for key in ("cache_read_input_tokens", "cache_creation_input_tokens")}
_GEMINI_MODALITIES = {
    f"{prefix}.{modality}": f"{kind}_{modality.lower()}"
    for prefix, kind in (
        ("prompt_tokens_details", "input"), ("promptTokensDetails", "input"),
        ("cache_tokens_details", "input_cached"), ("cacheTokensDetails", "input_cached"),
        ("candidates_tokens_details", "output"), ("candidatesTokensDetails", "output"),
    )
    for modality in ("AUDIO", "IMAGE", "VIDEO")
}  # fmt: skip
RULES: tuple[Rule, ...] = (
    # docs.x.ai, API reference: completion_tokens leaves the reasoning tokens out, total_tokens counts them.
    Rule(
        "xai", ("completion_tokens_details.reasoning_tokens",),
        {key: name for key, name in _OPENAI.items() if name != "output_reasoning"},
        {"completion_tokens_details.reasoning_tokens": "output_reasoning"}, model="grok",
    ),
    # api-docs.deepseek.com: prompt_tokens = prompt_cache_hit_tokens + prompt_cache_miss_tokens.
    Rule(
        "deepseek", ("prompt_cache_hit_tokens", "prompt_cache_miss_tokens"),
        {"prompt_cache_hit_tokens": "input_cached", **_OPENAI}, strict=True,
    ),
    # docs.cohere.com: billed_units is what is charged; `tokens` counts the template around it, too.
    Rule(
        "cohere", ("billed_units.",), {},
        {
            "billed_units.input_tokens": "input_text", "billed_units.output_tokens": "output_text",
            "billed_units.search_units": "rerank_searches", "billed_units.images": "images",
        },
        ignored=frozenset({"tokens.input_tokens", "tokens.output_tokens", "cached_tokens"}),
    ),
    # ai.google.dev and Vertex AI, UsageMetadata: the prompt includes cached content; thoughts and tool-use prompts
    # stand beside; modalities detail their count.
    Rule(
        "gemini",
        ("prompt_token_count", "promptTokenCount", "candidates_token_count", "candidatesTokenCount",
         "cached_content_token_count", "cachedContentTokenCount"),
        {"cached_content_token_count": "input_cached", "cachedContentTokenCount": "input_cached",
         **_GEMINI_MODALITIES},
        {"thoughts_token_count": "output_reasoning", "thoughtsTokenCount": "output_reasoning",
         "tool_use_prompt_token_count": "input_tool", "toolUsePromptTokenCount": "input_tool"},
    ),
    # docs.aws.amazon.com, Converse TokenUsage: inputTokens leaves cache reads and writes out.
    Rule(
        "bedrock", ("cacheReadInputTokens", "cacheWriteInputTokens", "cacheReadInputTokenCount",
                    "cacheWriteInputTokenCount"), {}, {},
    ),
    # LangChain usage_metadata: input_token_details and output_token_details break their counts down.
    Rule(
        "langchain",
        ("input_token_details.cache_read", "input_token_details.cache_creation", "output_token_details.reasoning",
         "input_token_details.audio", "output_token_details.audio",
         "input_token_details.ephemeral_5m_input_tokens", "input_token_details.ephemeral_1h_input_tokens"),
        {
            "input_token_details.cache_read": "input_cached", "input_token_details.cache_creation": "input_cache_write",
            "input_token_details.ephemeral_5m_input_tokens": "input_cache_write_5m",
            "input_token_details.ephemeral_1h_input_tokens": "input_cache_write_1h",
            "input_token_details.audio": "input_audio", "output_token_details.audio": "output_audio",
            "output_token_details.reasoning": "output_reasoning",
        },
    ),
    # OpenInference semantic conventions: prompt_details and completion_details are parts of prompt and completion.
    Rule(
        "openinference", ("llm.token_count.", "prompt_details.", "completion_details."),
        {
            "prompt_details.cache_read": "input_cached", "prompt_details.cache_write": "input_cache_write",
            "prompt_details.cache_input": "input_cached", "prompt_details.audio": "input_audio",
            "completion_details.reasoning": "output_reasoning", "completion_details.audio": "output_audio",
        },
    ),
    # OTel GenAI semantic conventions (and OpenLLMetry, Logfire): input_tokens should include all kinds of input.
    Rule(
        "otel-genai",
        ("gen_ai.usage.", "llm.usage.", "cache_read.input_tokens", "cache_creation.input_tokens",
         "reasoning.output_tokens"),
        {
            **_OPENAI, **_FLAT_CACHE,
            "cache_read.input_tokens": "input_cached", "cache_creation.input_tokens": "input_cache_write",
            "reasoning.output_tokens": "output_reasoning", "reasoning_tokens": "output_reasoning",
            "cached_tokens": "input_cached", "cache_read_tokens": "input_cached",
            "cache_write_tokens": "input_cache_write",
            "details.cache_read_tokens": "input_cached", "details.cache_write_tokens": "input_cache_write",
            "details.cache_read_input_tokens": "input_cached",
            "details.cache_creation_input_tokens": "input_cache_write",
            "details.cached_tokens": "input_cached",
            "details.reasoning_tokens": "output_reasoning", "details.input_audio_tokens": "input_audio",
            "details.output_audio_tokens": "output_audio",
            "input_audio_tokens": "input_audio", "output_audio_tokens": "output_audio",
        },
    ),
    # LiteLLM: prompt_tokens is OpenAI's for every provider, Anthropic's flat cache counts are repeated beside it.
    Rule(
        "litellm", ("cache_read_input_tokens", "cache_creation_input_tokens"),
        {**_OPENAI, **_FLAT_CACHE, "cache_creation.ephemeral_5m_input_tokens": "input_cache_write_5m",
         "cache_creation.ephemeral_1h_input_tokens": "input_cache_write_1h"}, also=("prompt_tokens",),
    ),
    # docs.anthropic.com, Messages usage: input_tokens leaves cache reads and writes out.
    Rule(
        "anthropic",
        ("cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation.", "server_tool_use."), {}, {},
    ),
    # Vercel AI SDK: inputTokens and outputTokens are the wholes.
    Rule(
        "vercel-ai",
        ("ai.usage.", "cachedInputTokens", "reasoningTokens", "inputTokenDetails.", "outputTokenDetails."),
        {
            "cachedInputTokens": "input_cached", "reasoningTokens": "output_reasoning",
            "inputTokenDetails.cacheReadTokens": "input_cached",
            "inputTokenDetails.cacheWriteTokens": "input_cache_write",
            "outputTokenDetails.reasoningTokens": "output_reasoning",
        },
    ),
    # platform.openai.com: chat completions, also of Azure, Mistral, Groq, Together, Fireworks, OpenRouter, Perplexity.
    Rule("openai-chat", ("prompt_tokens", "completion_tokens"), _OPENAI, strict=True),
    # platform.openai.com: responses (input_tokens_details) and realtime (input_token_details).
    Rule(
        "openai-responses",
        ("input_tokens_details.", "output_tokens_details.", "input_token_details.", "output_token_details."),
        _OPENAI, strict=True,
    ),
    # Langfuse's SDKs, and whoever follows them: all keys are disjoint.
    Rule("disjoint", (), {}),
)  # fmt: skip
