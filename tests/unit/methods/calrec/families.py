"""Small random models of several architectures, with logits far from uniform."""

from __future__ import annotations

from typing import Any

FAMILIES = ("llama", "gpt2", "qwen3", "gemma3", "gemma2", "mistral")
"""The last three have windows of 8 tokens, in every other layer or in all of them."""


def model_of(family: str, backbone: Any) -> Any:
    """Return a model with the backbone's vocabulary; its own for "llama"."""
    import torch
    import transformers

    if family == "llama":
        return backbone.model
    torch.manual_seed(0)
    rows = backbone.model.get_input_embeddings().num_embeddings
    common = {"vocab_size": rows, "bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    common["tie_word_embeddings"] = False
    sizes = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        **common,
    }
    if family == "gpt2":
        config = transformers.GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=64, **common)
        model = transformers.GPT2LMHeadModel(config)
    elif family == "qwen3":
        model = transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**sizes))
    elif family == "mistral":
        config = transformers.MistralConfig(**sizes, sliding_window=8)
        model = transformers.MistralForCausalLM(config)
    else:
        sizes |= {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 8}
        name = family.capitalize()
        text = "Text" if family == "gemma3" else ""
        config = getattr(transformers, f"{name}{text}Config")(**sizes)
        model = getattr(transformers, f"{name}ForCausalLM")(config)
    model.get_output_embeddings().weight.data.normal_(0, 0.3)
    return model.eval()
