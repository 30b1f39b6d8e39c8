#!/usr/bin/env python3
"""What the names of a chat's people do to recordings, as NAMES=on gives them to Whisper.

    tests/eval/names.py STENOGRAM MODEL FOLDER SAID,SAID,… OTHERS [N]

FOLDER has a MANIFEST.tsv (path, language, text). Every recording is recognised twice, without and
with names as VOCABULARY: those of SAID that are said in it, as if they were of the chat, and behind
them OTHERS, who are of the chat and never mentioned. Printed is what vocabulary.py prints. With N,
only every N-th of the recordings without a name is recognised. MODEL_DIR names the folder with
Silero's model.
"""

import os
import sys

from vocabulary import count, errors, recognise, words


def main(program, model, folder, said, others, every="1"):
    names = [name.strip() for name in said.split(",")]
    with open(os.path.join(folder, "MANIFEST.tsv"), encoding="utf-8") as manifest:
        rows = [line.rstrip("\n").split("\t")[:3] for line in manifest if not line.startswith("#")]
    rows = [row for row in rows if not row[2].startswith("(")]
    groups = {}
    for row in rows:
        there = tuple(name for name, times in count(names, row[2]).items() if times)
        groups.setdefault(there, []).append(row)
    groups[()] = groups[()][:: int(every)]
    totals = {title: {"names": [0, 0], True: [0, 0], False: [0, 0]} for title in ("without", "with")}
    changed = []
    for there, group in sorted(groups.items()):
        paths = [os.path.join(folder, path) for path, _, _ in group]
        people = ", ".join([*there, others])
        heard = [recognise(program, model, paths, given) for given in ("", people)]
        for total, texts in zip(totals.values(), heard):
            for (_, _, text), got in zip(group, texts):
                wanted, found = count(there, text), count(there, got)
                total["names"][0] += sum(min(found[name], wanted[name]) for name in there)
                total["names"][1] += sum(wanted.values())
                total[bool(there)][0] += errors(words(text), words(got))
                total[bool(there)][1] += len(words(text))
        for (path, _, text), before, after in zip(group, *heard):
            if words(before) != words(after):
                changed.append((path, text, before, after))
    for title, total in totals.items():
        found, wrong, wrong_others = ("{}/{}".format(*total[key]) for key in ("names", True, False))
        print(f"{title:8} names {found}; word errors: with names {wrong}, others {wrong_others}")
    for path, text, before, after in changed:
        print(f"\n{path} ({errors(words(text), words(before))} -> {errors(words(text), words(after))})"
              f"\n  said    {text}\n  without {before}\n  with    {after}")


if __name__ == "__main__":
    main(*sys.argv[1:])
