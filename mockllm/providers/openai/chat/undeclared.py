"""Members that services with a Chat Completions API send and openai 3.54.0 does not declare.

OpenAI's own answers have nothing undeclared. The API is spoken by many others;
``testdata/recorded`` has answers of most of those named here.
"""

from __future__ import annotations

from mockllm.validation.undeclared import Undeclared

ANSWER = Undeclared(
    {
        # of the message
        "choices[].message.reasoning_content": "DeepSeek, vLLM, llama-server, xAI, LiteLLM",
        "choices[].message.reasoning": "OpenRouter, Groq, vLLM, Cerebras",
        "choices[].message.reasoning_details": "OpenRouter",
        "choices[].message.thinking_blocks": "LiteLLM",
        "choices[].message.images": "OpenRouter",
        "choices[].message.executed_tools": "Groq",
        "choices[].message.extra_content": "Gemini",
        "choices[].message.provider_specific_fields": "LiteLLM",
        "choices[].message.prefix": "Mistral",
        "choices[].message.name": "MiniMax",
        "choices[].message.audio_content": "MiniMax",
        "choices[].message.tool_calls[].index": "DeepSeek, LiteLLM",
        "choices[].message.tool_calls[].extra_content": "Gemini",
        "choices[].message.tool_calls[].provider_specific_fields": "LiteLLM",
        # of the choice
        "choices[].native_finish_reason": "OpenRouter",
        "choices[].stop_reason": "vLLM",
        "choices[].token_ids": "vLLM",
        "choices[].routed_experts": "vLLM",
        "choices[].prompt_logprobs": "vLLM",
        "choices[].matched_stop": "SGLang",
        "choices[].hidden_states": "SGLang",
        "choices[].seed": "Together",
        "choices[].content_filter_results": "Azure",
        "choices[].content_filter_offsets": "Azure",
        "choices[].provider_specific_fields": "LiteLLM",
        "choices[].delta": "Perplexity, in whole answers too",
        # of the answer
        "provider": "OpenRouter",
        "x_groq": "Groq",
        "usage_breakdown": "Groq",
        "time_info": "Cerebras",
        "timings": "llama-server",
        "stats": "LM Studio",
        "perf_metrics": "Fireworks",
        "prompt": "Together",
        "prompt_filter_results": "Azure",
        "prompt_logprobs": "vLLM",
        "prompt_token_ids": "vLLM",
        "prompt_text": "vLLM",
        "kv_transfer_params": "vLLM",
        "ec_transfer_params": "vLLM",
        "metrics": "vLLM",
        "metadata": "SGLang",
        "citations": "Perplexity, xAI",
        "search_results": "Perplexity",
        "images": "Perplexity",
        "related_questions": "Perplexity",
        "request_id": "Zhipu",
        "base_resp": "MiniMax",
        "input_sensitive": "MiniMax",
        "input_sensitive_type": "MiniMax",
        "output_sensitive": "MiniMax",
        "output_sensitive_type": "MiniMax",
        "output_sensitive_int": "MiniMax",
        # of the usage
        "usage.prompt_cache_hit_tokens": "DeepSeek",
        "usage.prompt_cache_miss_tokens": "DeepSeek",
        "usage.cached_tokens": "Moonshot",
        "usage.reasoning_tokens": "SGLang, Perplexity",
        "usage.cost": "OpenRouter, Perplexity",
        "usage.cost_details": "OpenRouter",
        "usage.is_byok": "OpenRouter",
        "usage.server_tool_use": "OpenRouter",
        "usage.server_tool_use_details": "OpenRouter",
        "usage.cost_in_usd_ticks": "xAI",
        "usage.num_sources_used": "xAI",
        "usage.queue_time": "Groq",
        "usage.prompt_time": "Groq",
        "usage.completion_time": "Groq",
        "usage.total_time": "Groq",
        "usage.search_context_size": "Perplexity",
        "usage.citation_tokens": "Perplexity",
        "usage.num_search_queries": "Perplexity",
        "usage.total_characters": "MiniMax",
        "usage.cache_creation_input_tokens": "LiteLLM",
        "usage.cache_read_input_tokens": "LiteLLM",
        "usage.prompt_tokens_details.cache_creation_tokens": "LiteLLM",
        "usage.extra_properties": "Gemini, in Vertex AI",
        "usage.completion_tokens_details.image_tokens": "OpenRouter",
        "usage.prompt_tokens_details.video_tokens": "OpenRouter",
    },
    open_enums=("service_tier",),  # Groq: on_demand
)
CHUNK = ANSWER.renamed("choices[].message", "choices[].delta")
MESSAGE = ANSWER.inside("choices[].message")
IN_REQUESTS = Undeclared(
    {
        "cache_control": "OpenRouter, LiteLLM",
        "content[].cache_control": "OpenRouter, LiteLLM",
        "audio.data": "clients that send back an answer whole",
        "audio.expires_at": "clients that send back an answer whole",
        "audio.transcript": "clients that send back an answer whole",
        "name": "many clients, in tool messages",
        "prefix": "clients of DeepSeek and Mistral",
        "partial": "clients of Moonshot and Qwen",
    }
)
"""What clients send in a message."""
