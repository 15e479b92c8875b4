"""Makes a model of a known shape with random weights, as a Hugging Face folder.

    python models.py gpt2-6l OUT [--layers 12]

The seed is fixed: the same versions write the same bytes. No shape has an end token, so that generation never stops early.
"""

import argparse

VOCABULARY = {"gpt2-small": 50257, "gpt2-6l": 8000, "llama-0.1b": 32000}


def new_config(shape, layers=None):
    import transformers as tf

    no_specials = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    vocabulary = VOCABULARY[shape]
    if shape == "gpt2-small":
        return tf.GPT2Config(vocab_size=vocabulary, n_positions=1024, n_embd=768, n_layer=layers or 12, n_head=12, **no_specials)
    if shape == "gpt2-6l":
        return tf.GPT2Config(vocab_size=vocabulary, n_positions=1024, n_embd=384, n_layer=layers or 6, n_head=6, **no_specials)
    return tf.LlamaConfig(
        vocab_size=vocabulary, hidden_size=768, intermediate_size=2048, num_hidden_layers=layers or 12, num_attention_heads=12,
        num_key_value_heads=4, max_position_embeddings=2048, tie_word_embeddings=False, **no_specials,
    )  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=VOCABULARY)
    parser.add_argument("out")
    parser.add_argument("--layers", type=int, help="instead of the shape's own number")
    args = parser.parse_args()

    import torch
    import transformers

    transformers.logging.disable_progress_bar()
    torch.manual_seed(0)
    config = new_config(args.shape, args.layers)
    transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(args.out)


if __name__ == "__main__":
    main()
