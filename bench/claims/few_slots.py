"""Rows for several tasks at once where one has few (docs/RESULTS.md): slots of one intent of SNIPS beside those of the six others.

    python bench/claims/few_slots.py data rows

Writes, for each of four intents, 200 rows to learn, 400 to score, the rows of all other intents, and a file for `peft train --tasks`.
"""

import sys
from pathlib import Path

from domains import of_intent, write

INTENTS = ("BookRestaurant", "GetWeather", "RateBook", "AddToPlaylist", "PlayMusic", "SearchCreativeWork", "SearchScreeningEvent")
# Of these all tags of the rows to score are in 200 rows.
FEW = ("BookRestaurant", "GetWeather", "AddToPlaylist", "PlayMusic")

TASKS = """\
[[tasks]]
name = "few"
task = "token-cls"
train = "{few}"
valid = "{score}"

[[tasks]]
name = "others"
task = "token-cls"
train = "{others}"
"""


def main():
    data, out = map(Path, sys.argv[1:])
    out.mkdir(exist_ok=True)
    rows = {intent: of_intent(data, intent) for intent in INTENTS}
    for intent in FEW:
        others = [row for other in INTENTS if other != intent for row in rows[other]]
        parts = {"few": rows[intent][500:700], "score": rows[intent][:400], "others": others}
        paths = {part: out / f"{intent}-{part}.jsonl" for part in parts}
        for part, of_part in parts.items():
            write(paths[part], of_part)
        (out / f"{intent}.toml").write_text(TASKS.format(**paths), encoding="utf-8")


if __name__ == "__main__":
    main()
