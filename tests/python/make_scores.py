"""Writes tests/vectors/scores/: what the programs that define the metrics of `peft score` say.

    python tests/python/make_scores.py

`texts.json`: small invented texts and hard cases, with the scores of sacrebleu 2.6.0, rouge-score 0.1.2 (with its stemmer,
which is NLTK's 3.10.4), pycocoevalcap 1.2 (CIDEr and ROUGE-L on the tokens of Stanford's PTBTokenizer, which needs Java),
and of E2E's own `pymteval.py` (BLEU and NIST), of which the package gem-metrics-fork 0.1.dev0 has a copy.
`real.json`: the same on real texts, made by the rules of `e2e` and `xquad` below from the data in `shared`, which are not
copied here.
`classes.json`: classes, groups, numbers and confusion matrices, with the scores of scikit-learn 1.9.1, scipy 1.17.1, and of
MultiRC's formulas as its script has them.

    pip install sacrebleu rouge-score pycocoevalcap scikit-learn scipy
    pip install --no-deps gem-metrics-fork

What one would not expect: `pymteval.py` counts n-grams that a short prediction does not have as less than none, and an
empty text as one word; where NIST would divide by 0 or less, there is no score here. ROUGE-L of pycocoevalcap takes the best precision and
the best recall of different references. Its tokenizer makes words of brackets, since it lowers their names (-lrb-) before
it looks for them. The seed is fixed: the files are reproducible.
"""

import importlib.util
import json
import random
import warnings
from pathlib import Path

import numpy
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU, CHRF, TER
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    matthews_corrcoef,
    mean_squared_error,
    precision_recall_fscore_support,
)

HERE = Path(__file__).resolve().parent
OUT = HERE.parent / "vectors" / "scores"
DATA = HERE.parents[2] / "shared" / "data"
rng = random.Random(20261129)
warnings.simplefilter("ignore")  # undefined scores are the point of some cases


def pymteval():
    """The module alone: its package needs much that scores do not."""
    package = importlib.util.find_spec("gem_metrics_fork").submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location("pymteval", Path(package) / "impl" / "pymteval.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PYMTEVAL = pymteval()


def of_pymteval(score, predictions, references):
    for prediction, texts in zip(predictions, references):
        score.append(prediction, texts)
    totals = [total if isinstance(total, int) else sum(total) for total in score.cand_lens]
    # NIST's divides by them, or gives 0, where the original fails.
    return float(score.score()) if score.max_ngram == 4 or min(totals) > 0 else None


def of_sacrebleu(metric, predictions, references):
    most = max(map(len, references))
    streams = [[texts[i] if i < len(texts) else None for texts in references] for i in range(most)]
    return metric.corpus_score(predictions, streams).score / 100


def of_rouge(predictions, references):
    kinds = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL", "rouge_lsum": "rougeLsum"}
    scorer = RougeScorer(list(kinds.values()), use_stemmer=True)
    scores = [scorer.score_multi(texts, text) for text, texts in zip(predictions, references)]
    return {name: float(numpy.mean([s[kind].fmeasure for s in scores])) for name, kind in kinds.items()}


def caption_tokens(groups):
    """The tokens of lists of texts, as pycocoevalcap makes them."""
    made = PTBTokenizer().tokenize({i: [{"caption": text} for text in texts] for i, texts in enumerate(groups)})
    return [made[i] for i in range(len(groups))]


def of_coco(predictions, references):
    found = dict(enumerate(caption_tokens([[text] for text in predictions])))
    wanted = dict(enumerate(caption_tokens(references)))
    return {
        "cider": float(Cider().compute_score(wanted, found)[0]),
        "rouge_l_coco": float(Rouge().compute_score(wanted, found)[0]),
    }


def text_scores(predictions, references):
    exact = [any(text.strip() == other.strip() for other in texts) for text, texts in zip(predictions, references)]
    return {
        "exact_match": sum(exact) / len(exact),
        "bleu": of_pymteval(PYMTEVAL.BLEUScore(), predictions, references),
        "sacrebleu": of_sacrebleu(BLEU(), predictions, references),
        "nist": of_pymteval(PYMTEVAL.NISTScore(), predictions, references),
        **of_rouge(predictions, references),
        **of_coco(predictions, references),
        "chrf": of_sacrebleu(CHRF(), predictions, references),
        "chrf++": of_sacrebleu(CHRF(word_order=2), predictions, references),
        "ter": of_sacrebleu(TER(), predictions, references),
    }


# Texts

WORDS = """the a old red house stands by of river and its owner was born in 1,204 or 3.5 km away U.S. isn't café
naïve straße STRASSE İstanbul ΣΟΦΟΣ 漢字 (yes) "no" – it's £20-25 running runs connection connected happily flies
50% & so-called end. end, end! and/or Über""".split()


def sentence(longest, shortest=0):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(shortest, longest)))


def changed(text):
    """A text with words dropped, doubled, moved or replaced."""
    words = text.split()
    for _ in range(rng.randint(0, 4)):
        if not words:
            break
        at = rng.randrange(len(words))
        kind = rng.randrange(4)
        if kind == 0:
            del words[at]
        elif kind == 1:
            words.insert(rng.randrange(len(words)), words[at])
        elif kind == 2:
            words.insert(rng.randrange(len(words)), words.pop(at))
        else:
            words[at] = rng.choice(WORDS)
    return " ".join(words)


HARD = {
    "copies": (["A small red house.", "It stands by the river, near 3.5 trees."],) * 2,
    "one word": (["yes", "no", "maybe"], ["yes", "yes", "maybe"]),
    "empty": (["", "the red house stands by the river", ""], ["a red house", "the red house stands by a river", ""]),
    "all empty": (["", ""], ["a red house", "by the river"]),
    "short and long": (["red", "the old red house stands by the river", "a house"],
                       ["red house", "the old red house stands by a river", "the house"]),
    "nothing in common": (["x y z w v", "u t s r q"], ["the old red house", "stands by the river"]),
    "case": (["THE OLD RED HOUSE STANDS BY THE RIVER", "it is Old"], ["the old red house stands by the river", "It is old"]),
    "punctuation": (["\"It's\" (so-called) 3.5%, &quot;isn't&quot; it?! -- no...", ", . ; :"],
                    ["\"It's\" (so called) 3.5 %, \"isn't\" it? - no.", ", . ;"]),
    "numbers": (["1,204.5 of 3-4 at 9:30 for $5", "2020s 1/2 .5"], ["1,204.5 of 3 - 4 at 9:30 for $ 5", "2020s 1 / 2 0.5"]),
    "unicode": (["漢字 かな ΣΟΦΟΣ Straße İstanbul", "a\u00a0b\u3000c d"], ["漢字 仮名 σοφος STRASSE istanbul", "a b c d"]),
    "lines": (["The house is old.\nIt stands by the river.\nRed is its colour.", "One line only.\n\n"],
              ["Red is its colour.\nThe old house stands.\nBy the river it is.", "One line.\nOnly."]),
    "moved": (["by the river stands the old red house", "c d e f a b g h i j k l"],
              ["the old red house stands by the river", "a b c d e f g h j i k l"]),
    "ties": (["a b c d e"], [["a b c d", "a b c d e f", "f e d c b a", "a b c d"]]),
    "long": ([" ".join(WORDS * 3)], [" ".join((WORDS[7:] + WORDS[:7]) * 3)]),
}


def texts():
    cases = []
    for name, (predictions, references) in HARD.items():
        references = [texts if isinstance(texts, list) else [texts] for texts in references]
        cases.append((name, predictions, references))
    for number in range(12):
        references = [[sentence(12, 1) for _ in range(rng.randint(1, 4))] for _ in range(rng.randint(2, 6))]
        predictions = [changed(rng.choice(texts)) for texts in references]
        cases.append((f"random {number}", predictions, references))
    return [
        {"name": name, "predictions": p, "references": r, "scores": text_scores(p, r)} for name, p, r in cases
    ]


# Real texts


def e2e(part):
    """Of each meaning with several texts, the last as prediction and the others as references; every fifth prediction is
    that of the meaning before it."""
    groups = {}
    with open(DATA / "e2e-nlg" / f"{part}.jsonl", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            groups.setdefault(row["source"], []).append(row["target"])
    groups = [texts for texts in groups.values() if len(texts) > 1]
    last = [texts[-1] for texts in groups]
    predictions = [last[i - 1] if i % 5 == 4 else last[i] for i in range(len(groups))]
    return predictions, [texts[:-1] for texts in groups]


def xquad():
    """Of every sixth paragraph its sentences, a line each, as reference; as prediction those at odd places first, and of
    each sentence without every seventh word."""
    predictions, references = [], []
    with open(DATA / "xquad-en" / "xquad.en.json", encoding="utf-8") as file:
        articles = json.load(file)["data"]
    for paragraph in [p for article in articles for p in article["paragraphs"]][::6]:
        sentences = paragraph["context"].replace("\n", " ").split(". ")
        moved = sentences[1::2] + sentences[::2]
        thinned = [" ".join(w for i, w in enumerate(s.split(" ")) if i % 7 != 6) for s in moved]
        predictions.append("\n".join(thinned))
        references.append(["\n".join(sentences)])
    return predictions, references


def real():
    found = {f"e2e_{part}": text_scores(*e2e(part)) for part in ("dev", "test")}
    predictions, references = xquad()
    scores = text_scores(predictions, references)
    # The Java tokenizer splits rare forms of these texts otherwise.
    found["xquad"] = {name: value for name, value in scores.items() if name not in ("cider", "rouge_l_coco")}
    return found


# Classes


def multirc(predictions, references, groups):
    """MultiRC's own formulas: means of precision and recall over the questions, 1 where there is nothing to divide by."""
    precisions, recalls, exact = [], [], []
    for group in sorted(set(groups)):
        rows = [(p, r) for p, r, g in zip(predictions, references, groups) if g == group]
        both = sum(p and r for p, r in rows)
        found, wanted = sum(p for p, _ in rows), sum(r for _, r in rows)
        precisions.append(both / found if found else 1.0)
        recalls.append(both / wanted if wanted else 1.0)
        exact.append(all(p == r for p, r in rows))
    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"precision": precision, "recall": recall, "f1": f1, "exact_match": sum(exact) / len(exact)}


def classes():
    cases = []
    for number in range(40):
        names = rng.sample(["yes", "no", "maybe", "Ünknown", "a b"], rng.randint(2, 5))
        references = [rng.choice(names) for _ in range(rng.randint(1, 30))]
        predictions = [r if rng.random() < 0.6 else rng.choice(names) for r in references]
        groups = [rng.randrange(1 + len(references) // 3) for _ in references]
        labels = sorted(names)
        positive = labels[0]
        binary = precision_recall_fscore_support(
            [r == positive for r in references], [p == positive for p in predictions], average="binary", zero_division=0)
        each = precision_recall_fscore_support(references, predictions, labels=labels, zero_division=0)
        bits = [[x == positive for x in xs] for xs in (predictions, references)]
        cases.append({
            "predictions": predictions, "references": references, "groups": groups, "labels": labels, "positive": positive,
            "scores": {
                "accuracy": accuracy_score(references, predictions),
                "f1_macro": f1_score(references, predictions, average="macro"),
                "f1_micro": f1_score(references, predictions, average="micro"),
                "matthews": matthews_corrcoef(references, predictions),
                "precision": binary[0], "recall": binary[1], "f1": binary[2],
            },
            "by_group": multirc(*bits, groups),
            "classes": [[float(column[i]) for column in each] for i in range(len(labels))],
            "confusion": confusion_matrix(references, predictions, labels=labels).tolist(),
        })
    return cases


def numbers():
    cases = []
    for _ in range(20):
        references = [rng.choice([rng.gauss(0, 3), rng.randint(-2, 2)]) for _ in range(rng.randint(3, 25))]
        predictions = [r + rng.choice([0, rng.gauss(0, 2)]) for r in references]
        cases.append({
            "predictions": predictions, "references": references,
            "scores": {
                "pearson": float(pearsonr(predictions, references)[0]),
                "spearman": float(spearmanr(predictions, references)[0]),
                "mse": float(mean_squared_error(references, predictions)),
            },
        })
    return cases


def write(name, value):
    OUT.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, ensure_ascii=False, indent=None, default=float)
    # A case a line.
    (OUT / name).write_text(text.replace('}, {"name"', '},\n{"name"').replace('}, {"pred', '},\n{"pred') + "\n", encoding="utf-8")


if __name__ == "__main__":
    write("texts.json", texts())
    write("real.json", real())
    write("classes.json", {"classes": classes(), "numbers": numbers()})
