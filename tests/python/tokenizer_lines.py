"""500 lines in ten scripts, made from words: the texts of make_tokenizers.py.

Not a program.
"""

import random
import unicodedata

WORDS = {
    "Latin": "the quick brown fox The QUICK don't we've naïve café façade über Straße straße coöperate résumé "
    "garçon Ångström ÉCOLE déjà çedilla İstanbul ıspanak Łódź Dvořák œuvre ﬁnance state-of-the-art e.g. U.S.A. 3.14 "
    "1,000 2026 x=y+1 http://a.b/c?d=e #tag @name",
    "Cyrillic": "Привет мир быстрая бурая лиса ёлка Йод подъезд съёмка Київ їжак ґанок МОСКВА объявление 42-й",
    "Greek": "Καλημέρα κόσμε γρήγορη αλεπού ΑΘΗΝΑ ὁ λόγος ἀρχή άνθρωπος σοφός",
    "Arabic": "السلام عليكم مرحبا بالعالم كتابٌ مُحَمَّد ١٢٣ لغة العربيّة",
    "Hebrew": "שלום עולם בְּרֵאשִׁית ספר ירושלים אָדָם",
    "Devanagari": "नमस्ते दुनिया हिन्दी किताब क़लम १२३ विद्या",
    "Thai": "สวัสดี โลก ภาษาไทย น้ำ กำลัง ๑๒๓",
    "Han": "你好世界 中文 漢字 學習 模型 人工智能 2026年 ，。「引用」",
    "Kana": "こんにちは世界 カタカナ ひらがな ﾊﾝｶｸ がぎぐ パピプ 東京 ー",
    "Hangul": "안녕하세요 세계 한국어 모델 학습 가각 값 Seoul",
}
OTHERS = [
    "🙂",
    "👩‍👩‍👧",
    "🇫🇷",
    "…",
    "—",
    "“quoted”",
    "\u00a0",
    "\u200b",
    "\u200d",
    "\u0301",
    "ＦＵＬＬ",
    "①",
    "½",
    "\u0000",
    "\u0007",
    "\ufffd",
    "𝔸",
    "𐍈",
    "a\u0308",
    "\u2028",
]
TOKENS = [
    "<s>",
    "</s>",
    "<unk>",
    "<mask>",
    "[MASK]",
    "[CLS]",
    "[UNK]",
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|user|>",
    "<image>",
    "<extra_id_0>",
    "<extra_id_12>",
    "Newtoken",
    "newtoken",
    "ÉTOKEN",
    "<|eot|>",
    "<0x41>",
    "##s",
]
SPACES = [" "] * 12 + ["  ", "   ", "\t", "\n", " \n", "\r\n", ""]


def lines():
    """The lines, always the same ones."""
    rng = random.Random(20261128)
    made = ["", " ", "a", " a", "a ", "Hello world", "\n", "\t x", "don't we've I'm it's n't . , ? ! ' '"]
    scripts = list(WORDS)
    while len(made) < 500:
        script = scripts[len(made) % len(scripts)]
        words = WORDS[script].split()
        other = WORDS[rng.choice(scripts)].split()
        text = rng.choice(["", "", "", " ", "  "])
        for _ in range(rng.randint(1, 7)):
            kind = rng.random()
            if kind < 0.7:
                word = rng.choice(words)
            elif kind < 0.8:
                word = rng.choice(other)
            elif kind < 0.9:
                word = rng.choice(TOKENS)
            else:
                word = rng.choice(OTHERS)
            style = rng.random()
            if style < 0.05:
                word = unicodedata.normalize("NFD", word)
            elif style < 0.1:
                word = word.upper()
            elif style < 0.2:
                word += rng.choice([",", ".", "!", "?", ":", ")", "'s", "n't"])
            text += word + rng.choice(SPACES)
        if text not in made:
            made.append(text)
    return made
