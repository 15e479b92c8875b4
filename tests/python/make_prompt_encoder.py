"""Makes vectors/prompt_encoder: PEFT's PromptEncoder, its rows and their derivatives.

    python make_prompt_encoder.py [--out ../vectors/prompt_encoder]
    python make_prompt_encoder.py --defects

One file per case, NAME.safetensors:
- the encoder's state as torch names it: embedding.weight, lstm_head.*, mlp_head.*;
- rows: W `[P, H]`, what it makes in evaluation mode;
- direction: random numbers `[P, H]`; gradient.NAME: the derivative of sum(W * direction) by each tensor of the state.

`cases.json` has P, H, M (encoder_hidden_size) and the layers of each. Values are torch's own initial ones, from a fixed seed.

--defects makes nothing. It shows three things that PEFT 0.21.2 does and one would not expect, and fails if one is gone:
- rows that are saved in training mode have dropout in them, other in each save;
- on an encoder-decoder the encoder reads 2 P rows, and the second half, which nothing else uses, changes the first through
  the LSTM's way back;
- a checkpoint holds W under the name of Z's place: loaded into an encoder to go on with, it is taken for Z.

Committed results: torch 2.15.0, peft 0.21.2.
"""

import argparse
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from common import VECTORS, load_base, quiet, write_json
from peft import PromptEncoder, PromptEncoderConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

# case: type, P, H, M, layers of the LSTM
CASES = {
    "mlp": ("MLP", 4, 6, 5, 2),
    "lstm": ("LSTM", 5, 6, 4, 2),
    "lstm-1": ("LSTM", 5, 6, 4, 1),
    "lstm-3": ("LSTM", 3, 4, 2, 3),
    "lstm-one-row": ("LSTM", 1, 4, 3, 2),
}


def encoder(kind, p, h, m, layers, **others):
    config = PromptEncoderConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=p,
        token_dim=h,
        num_transformer_submodules=1,
        encoder_reparameterization_type=kind,
        encoder_hidden_size=m,
        encoder_num_layers=layers,
        **others,
    )
    return PromptEncoder(config)


def make(out):
    out.mkdir(parents=True, exist_ok=True)
    for seed, (name, (kind, p, h, m, layers)) in enumerate(CASES.items()):
        torch.manual_seed(500 + seed)
        made = encoder(kind, p, h, m, layers).eval()
        direction = torch.randn(p, h)
        rows = made(torch.arange(p)[None])[0]
        (rows * direction).sum().backward()
        tensors = {key: value.detach().clone() for key, value in made.state_dict().items()}
        tensors |= {f"gradient.{key}": value.grad.clone() for key, value in made.named_parameters()}
        tensors |= {"rows": rows.detach().clone(), "direction": direction}
        save_file({key: value.contiguous() for key, value in tensors.items()}, str(out / f"{name}.safetensors"))
        print(f"{name}: rows of standard deviation {rows.std():.3f}, {sum(x.numel() for x in made.parameters())} parameters")
    names = ("type", "num_virtual_tokens", "hidden_size", "encoder_hidden_size", "encoder_num_layers")
    write_json(out / "cases.json", {name: dict(zip(names, case)) for name, case in CASES.items()})


def small(task, base, **others):
    config = PromptEncoderConfig(
        task_type=task, num_virtual_tokens=4, encoder_reparameterization_type="LSTM", encoder_hidden_size=8, **others
    )
    torch.manual_seed(1)
    return get_peft_model(load_base(VECTORS / "logits" / base, task), config)


def saved(model):
    return get_peft_model_state_dict(model)["prompt_embeddings"]


def defects():
    model = small("CAUSAL_LM", "gpt2", encoder_dropout=0.5)
    still, first, second = saved(model.eval()), saved(model.train()), saved(model.train())
    assert not torch.equal(first, second) and not torch.equal(first, still)
    print(f"saved in training mode with dropout 0.5: rows that differ by {(first - second).abs().max():.3f} from each other")
    print(f"  and by {(first - still).abs().max():.3f} from those of evaluation")

    model = small("SEQ_2_SEQ_LM", "t5").eval()
    table = model.prompt_encoder["default"].embedding.weight
    before = saved(model)
    assert before.shape[0] == 8
    with torch.no_grad():
        table[4:] += 1
    moved = (saved(model) - before)[:4].abs().max()
    assert moved > 0
    print(f"encoder-decoder: the unused half of 2 P rows moves the used one by {moved:.3f}")

    model = small("CAUSAL_LM", "gpt2").eval()
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder, save_embedding_layers=False)
        state = load_file(str(Path(folder) / "adapter_model.safetensors"))
    made = saved(model)
    with torch.no_grad():
        model.prompt_encoder["default"]._load_adapter_state_dict(state)
    other = (saved(model) - made).abs().max()
    assert other > 0
    print(f"loaded back into the same encoder: rows that differ by {other:.3f} from those that were saved")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=VECTORS / "prompt_encoder")
    parser.add_argument("--defects", action="store_true")
    args = parser.parse_args()
    quiet()
    warnings.filterwarnings("ignore", message="for MLP")
    if args.defects:
        defects()
    else:
        make(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
