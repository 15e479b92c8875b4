"""Greedy and beam search as transformers does them, without a cache and one row at a time. Not a program.

What transformers 5 does (generation/utils.py), and this repeats:
- max_new_tokens counts what follows the input; for encoder-decoders what follows decoder_start_token_id. The end-of-text
  token counts and is part of the output.
- forced_eos_token_id (BART): once max_new_tokens - 1 tokens are there, the last one is forced to be that token: greedy search
  sees all other logits as minus infinity; in beam search its log-probability is 0, so that ending costs nothing.
- repetition_penalty r looks at all ids so far: input and output of a decoder, decoder_start_token_id and output of an
  encoder-decoder (not the encoder's input, not virtual tokens). A score below 0 is multiplied by r, others are divided.
  Greedy search applies this to logits; beam search to log-probabilities (all below 0), without normalising them again.
- Beam search with n beams: all continuations of the running hypotheses are ranked by their sums of log-probabilities (at the
  start there is one hypothesis, not n). Of the best (1 + number of end-of-text tokens) n, the best n that do not end keep
  running. One that ends is finished if it is among the best n of all, otherwise it is lost; at max_new_tokens all end.
- The score of a finished hypothesis is its sum / (new tokens, with the end) ** length_penalty, and never changes; the n best are kept.
- It stops when n are finished and early_stopping is true, or when n are finished and the best running sum /
  length ** length_penalty does not exceed the worst of them; length is the new tokens so far, or max_new_tokens for
  early_stopping "never" with length_penalty > 0; or at max_new_tokens. The answer is the best finished one.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass
class Search:
    max_new_tokens: int
    num_beams: int = 1
    length_penalty: float = 1.0
    early_stopping: bool | str = False
    repetition_penalty: float = 1.0
    # What else changes the scores of the token after `start + new`: (scores, start, new) -> None, in place.
    more: Callable | None = None


def penalised(scores, ids, penalty):
    if penalty == 1.0:
        return scores
    seen = torch.tensor(sorted(set(ids)))
    scores = scores.clone()
    scores[seen] = torch.where(scores[seen] < 0, scores[seen] * penalty, scores[seen] / penalty)
    return scores


def token_scores(step, start, new, search, forced_eos):
    """Processed scores of the next token; `step` gives the logits that follow some ids."""
    logits = step(start + new).double()
    if search.num_beams > 1:
        logits = logits.log_softmax(-1)
    scores = penalised(logits, start + new, search.repetition_penalty)
    if search.more:
        search.more(scores, start, new)
    if forced_eos is not None and len(new) == search.max_new_tokens - 1:
        scores = torch.full_like(scores, -math.inf)
        scores[forced_eos] = 0
    return scores


def greedy(step, start, search, eos, forced_eos):
    new, margin = [], math.inf
    while len(new) < search.max_new_tokens and (not new or new[-1] not in eos):
        scores = token_scores(step, start, new, search, forced_eos)
        first, second = scores.topk(2).values.tolist()
        margin = min(margin, first - second)
        new.append(scores.argmax().item())
    return new, margin


def gap(scores, rank):
    """Between the first `rank` and the next, where there is one."""
    return abs(scores[rank - 1] - scores[rank]) if len(scores) > rank else math.inf


def beams(step, start, search, eos, forced_eos):
    n, margin = search.num_beams, math.inf
    running, finished = [(0.0, [])], []
    kept = max(2, 1 + len(eos)) * n
    for length in range(1, search.max_new_tokens + 1):
        candidates = []
        for total, new in running:
            scores = token_scores(step, start, new, search, forced_eos)
            for value, token in zip(*scores.topk(min(kept + 1, len(scores)))):
                if value > -math.inf:
                    candidates.append((total + value.item(), new + [token.item()]))
        candidates.sort(key=lambda c: -c[0])
        last = length == search.max_new_tokens

        def ends(c):
            return last or c[1][-1] in eos

        totals = [c[0] for c in candidates]
        if len(candidates) > n and not last and ends(candidates[n - 1]) != ends(candidates[n]):
            margin = min(margin, gap(totals, n))
        fresh = [(t / length**search.length_penalty, new) for t, new in candidates[:n] if ends((t, new))]
        finished = sorted(finished + fresh, key=lambda c: -c[0])
        if fresh:
            margin = min(margin, gap([f[0] for f in finished], n))
        finished = finished[:n]
        if last:
            break
        open_ones = [c for c in candidates[:kept] if not ends(c)]
        margin = min(margin, gap([c[0] for c in candidates if not ends(c)], n))
        running = open_ones[:n]
        if len(finished) == n:
            if search.early_stopping is True:
                break
            never = search.early_stopping == "never" and search.length_penalty > 0
            hope = running[0][0] / (search.max_new_tokens if never else length) ** search.length_penalty
            margin = min(margin, abs(hope - finished[-1][0]))
            if hope <= finished[-1][0]:
                break
    return finished[0][1], min(margin, gap([f[0] for f in finished], 1))


def search(step, start, settings, eos, forced_eos=None):
    """`eos`: a list. The new ids, and the smallest distance between two scores that decided something."""
    with torch.no_grad():
        return (greedy if settings.num_beams == 1 else beams)(step, start, settings, eos, forced_eos)
