"""Model names as clients send them: which provider and which name to look for, the most telling way first.

Names come with a provider in front (`openai/gpt-4o`, `vertex_ai/...`, `bedrock:...`), as resource names (Bedrock ARNs,
`publishers/google/models/...`), with a region (`us.anthropic.claude-...`) or bare. A bare name is looked for among the
makers of models only: who hosts an open model decides its price, so `llama-3.1-8b` alone has none.
A fine-tuned model (`ft:...`) has prices of its own that no book lists; it is never taken for its base model.
"""

from collections.abc import Iterator

# What stands in front of a name -> the base book's provider.
PROVIDERS: dict[str, str] = {
    "azure": "azure", "azure_ai": "azure", "azure-openai": "azure", "azure_openai": "azure",
    "bedrock": "aws", "amazon-bedrock": "aws", "amazon_bedrock": "aws", "aws": "aws", "bedrock_converse": "aws",
    "vertex_ai": "google", "vertex": "google", "google-vertex": "google", "google": "google", "gemini": "google",
    "google-gla": "google", "google_genai": "google", "google_vertexai": "google",
    "openai": "openai", "anthropic": "anthropic", "mistral": "mistral", "mistralai": "mistral", "cohere": "cohere",
    "groq": "groq", "deepseek": "deepseek", "xai": "x-ai", "x-ai": "x-ai", "together": "together",
    "together_ai": "together", "togetherai": "together", "fireworks": "fireworks", "fireworks_ai": "fireworks",
    "perplexity": "perplexity", "openrouter": "openrouter", "cerebras": "cerebras", "voyage": "voyageai",
    "voyageai": "voyageai", "novita": "novita", "cloudflare": "cloudflare", "databricks": "databricks",
}  # fmt: skip

MAKERS = ("openai", "anthropic", "google", "mistral", "cohere", "deepseek", "x-ai", "voyageai", "perplexity")
_BEDROCK_MAKERS = (
    "anthropic.", "amazon.", "meta.", "cohere.", "mistral.", "ai21.", "stability.", "deepseek.", "openai.", "qwen.",
    "writer.", "google.", "nvidia.", "minimax.", "moonshot.", "twelvelabs.",
)  # fmt: skip
_REGIONS = ("us.", "eu.", "apac.", "global.", "us-gov.", "jp.", "au.", "ca.", "sa.")

Candidate = tuple[str | None, str]  # the base book's provider (None: by its own matching) and the name there


def candidates(name: str) -> Iterator[Candidate]:
    """Where to look for a client's name, in order; the first hit counts."""
    if name.lower().startswith("ft:"):
        return
    if name.lower().startswith("arn:aws"):
        yield "aws", name.rpartition("/")[2]
        return
    yield None, name
    bare = name
    for sign in ("/", ":"):
        prefix, found, rest = name.partition(sign)
        if found and (provider := PROVIDERS.get(prefix.lower())):
            yield provider, rest
            if "/" in rest:  # bedrock/us-east-1/anthropic.claude-..., openrouter/openai/gpt-4o
                yield provider, rest.rpartition("/")[2]
            bare = rest
            break
    last = bare.rpartition("/")[2]
    if _without_region(last).startswith(_BEDROCK_MAKERS):
        yield "aws", last
        yield "aws", _without_region(last)
    if "/" in name:
        yield "openrouter", name
    if last != name:
        yield None, last
    if "/" not in name or bare != name:
        for maker in MAKERS:
            yield maker, last


def _without_region(name: str) -> str:
    lower = name.lower()
    return next((lower[len(region) :] for region in _REGIONS if lower.startswith(region)), lower)
