"""PyTorch's side of the prefix on BART in docs/RESULTS.md: keys and values at three attention sites, trained with AdamW, for several seeds.

    python g2p_prefix.py --model bart-g2p-us --train train.jsonl --test test.jsonl --seeds 0 1 2 3 4 [--grouped] [--std 0.02] [--dropout 0.1]

Rows are of token ids, as `cargo run --release -p peft-tests --example g2p_rows` writes them. The model's forward pass is written out here, because
transformers has no way in for keys and values of the encoder and of the attention to it; without a prefix its logits are compared with theirs first.
"""

import argparse
import json
import time

import torch
from torch.nn import functional as F
from transformers import BartForConditionalGeneration

PAD, START, END = 0, 1, 2
SITES = ["encoder.layers.0.self_attn", "decoder.layers.0.self_attn", "decoder.layers.0.encoder_attn"]


class Bart:
    """One encoder and one decoder layer of one head each."""

    def __init__(self, model, dropout):
        self.weights = {name.removeprefix("model."): value.detach() for name, value in model.state_dict().items()}
        self.dropout = dropout

    def linear(self, name, x):
        return F.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def norm(self, name, x):
        return F.layer_norm(x, x.shape[-1:], self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def drop(self, x, training):
        return F.dropout(x, self.dropout, training)

    def embed(self, stack, ids, training):
        positions = self.weights[f"{stack}.embed_positions.weight"][2 : 2 + ids.shape[1]]
        x = F.embedding(ids, self.weights["shared.weight"]) + positions
        return self.drop(self.norm(f"{stack}.layernorm_embedding", x), training)

    def attention(self, name, x, others, mask, prefix):
        """`mask` [B, S, T] is true where a query sees a key; it sees all of the prefix."""
        query, key, value = (
            self.linear(f"{name}.{part}_proj", of) for part, of in [("q", x), ("k", others), ("v", others)]
        )
        if prefix is not None:
            rows = x.shape[0]
            before = prefix[name].unsqueeze(1).expand(-1, rows, -1, -1)
            key, value = torch.cat([before[0], key], 1), torch.cat([before[1], value], 1)
            mask = F.pad(mask, (before.shape[2], 0), value=True)
        return self.linear(f"{name}.out_proj", F.scaled_dot_product_attention(query, key, value, mask))

    def block(self, name, x, training):
        inner = F.gelu(self.linear(f"{name}.fc1", x))
        x = x + self.drop(self.linear(f"{name}.fc2", inner), training)
        return self.norm(f"{name}.final_layer_norm", x)

    def encode(self, ids, prefix=None, training=False):
        name, x = "encoder.layers.0", self.embed("encoder", ids, training)
        mask = (ids != PAD)[:, None, :].expand(-1, ids.shape[1], -1)
        found = self.attention(f"{name}.self_attn", x, x, mask, prefix)
        x = self.norm(f"{name}.self_attn_layer_norm", x + self.drop(found, training))
        return self.block(name, x, training)

    def decode(self, states, source, ids, prefix=None, training=False):
        name, x = "decoder.layers.0", self.embed("decoder", ids, training)
        length = ids.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool).tril().expand(ids.shape[0], -1, -1)
        found = self.attention(f"{name}.self_attn", x, x, causal, prefix)
        x = self.norm(f"{name}.self_attn_layer_norm", x + self.drop(found, training))
        mask = (source != PAD)[:, None, :].expand(-1, length, -1)
        found = self.attention(f"{name}.encoder_attn", x, states, mask, prefix)
        x = self.norm(f"{name}.encoder_attn_layer_norm", x + self.drop(found, training))
        x = self.block(name, x, training)
        return F.linear(x, self.weights["shared.weight"]) + self.weights["final_logits_bias"]


def padded(rows, value=PAD):
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], True, value)


def shifted(labels):
    return [[START, *row[:-1]] for row in labels]


def batches(rows, size, grouped, generator):
    """One epoch: shuffled, or rows of similar length in batches whose order is shuffled."""
    order = torch.randperm(len(rows), generator=generator).tolist()
    if grouped:
        order.sort(key=lambda at: len(rows[at]["input_ids"]) + len(rows[at]["labels"]))
    cut = [order[start : start + size] for start in range(0, len(order), size)]
    if grouped:
        cut = [cut[at] for at in torch.randperm(len(cut), generator=generator).tolist()]
    return [[rows[at] for at in batch] for batch in cut]


def generate(bart, rows, prefix, most=40):
    """Greedy, all rows at once."""
    source = padded([row["input_ids"] for row in rows])
    states = bart.encode(source, prefix)
    ids = torch.full((len(rows), 1), START)
    done = torch.zeros(len(rows), dtype=torch.bool)
    for _ in range(most):
        token = bart.decode(states, source, ids, prefix)[:, -1].argmax(-1)
        token[done] = PAD
        done |= token == END
        ids = torch.cat([ids, token[:, None]], 1)
        if done.all():
            break
    return [[token for token in row if token not in (PAD, START, END)] for row in ids[:, 1:].tolist()]


def exact(bart, rows, prefix):
    with torch.no_grad():
        found = generate(bart, rows, prefix)
    wanted = [[token for token in row["labels"] if token not in (PAD, START, END)] for row in rows]
    return sum(a == b for a, b in zip(found, wanted)) / len(rows)


def train(bart, rows, args, seed):
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    width = bart.weights["shared.weight"].shape[1]
    prefix = {
        site: torch.nn.Parameter(args.std * torch.randn(2, args.num_virtual_tokens, width, generator=generator))
        for site in SITES
    }
    optimizer = torch.optim.AdamW(prefix.values(), lr=args.lr, weight_decay=0.0)
    steps = args.epochs * -(-len(rows) // args.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    for _ in range(args.epochs):
        for batch in batches(rows, args.batch_size, args.grouped, generator):
            source = padded([row["input_ids"] for row in batch])
            labels = padded([row["labels"] for row in batch], -100)
            ids = padded(shifted([row["labels"] for row in batch]))
            states = bart.encode(source, prefix, True)
            logits = bart.decode(states, source, ids, prefix, True)
            loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return prefix


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--train", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--num-virtual-tokens", type=int, default=16)
    parser.add_argument("--lr", type=float, default=0.03)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--std", type=float, default=1.0, help="of the start; torch.nn.Embedding's is 1")
    parser.add_argument("--grouped", action="store_true", help="rows of similar length in a batch")
    parser.add_argument("--dropout", type=float, default=0.0, help="of the frozen model while training; its config says 0.1")
    args = parser.parse_args()

    model = BartForConditionalGeneration.from_pretrained(args.model).eval()
    bart = Bart(model, args.dropout)
    rows = {name: [json.loads(line) for line in open(getattr(args, name))] for name in ["train", "test"]}
    source, labels = ([row[key] for row in rows["test"][:8]] for key in ["input_ids", "labels"])
    source, ids = padded(source), padded(shifted(labels))
    with torch.no_grad():
        theirs = model(input_ids=source, attention_mask=source != PAD, decoder_input_ids=ids).logits
        ours = bart.decode(bart.encode(source), source, ids)
    # Behind a row's end a decoder position is padding, which nothing reads.
    assert torch.allclose(theirs, ours, atol=1e-4), (theirs - ours).abs().max()
    print(json.dumps({"frozen": exact(bart, rows["test"], None)}), flush=True)
    for seed in args.seeds:
        start = time.perf_counter()
        prefix = train(bart, rows["train"], args, seed)
        score = exact(bart, rows["test"], prefix)
        print(json.dumps({"seed": seed, "exact": score, "seconds": round(time.perf_counter() - start, 1)}), flush=True)


if __name__ == "__main__":
    main()
