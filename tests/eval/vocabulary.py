#!/usr/bin/env python3
"""What VOCABULARY does to recordings with names, and to all others.

    tests/eval/vocabulary.py STENOGRAM MODEL FOLDER NAME,NAME,… [N]

FOLDER has a MANIFEST.tsv (path, language, text). All recordings are recognised twice, without and
with the names as VOCABULARY. Printed are, for both, how many of the names in the texts were spelt
right, and the word errors of the recordings with a name and of the others. With N, only every
N-th of the others is recognised. MODEL_DIR names the folder with Silero's model.
"""

import json
import os
import re
import subprocess
import sys


def words(text):
    return re.findall(r"\w+", text.lower().replace("ё", "е"))


def errors(said, heard):
    """The least number of words to change, add or take out."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1]


def count(names, text):
    """How often each name is in a text."""
    joined = f" {' '.join(words(text))} "
    return {name: joined.count(f" {' '.join(words(name))} ") for name in names}


def recognise(program, model, paths, vocabulary):
    environment = {**os.environ, "VOCABULARY": vocabulary, "LOG_LEVEL": "error", "LANGUAGES": ""}
    command = [program, "transcribe", "--model", model, "--format", "json", *paths]
    output = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout
    return [json.loads(line)["text"] for line in output.splitlines()]


def main(program, model, folder, vocabulary, every="1"):
    names = [name.strip() for name in vocabulary.split(",")]
    with open(os.path.join(folder, "MANIFEST.tsv"), encoding="utf-8") as manifest:
        rows = [line.rstrip("\n").split("\t")[:3] for line in manifest if not line.startswith("#")]
    rows = [row for row in rows if not row[2].startswith("(")]
    has_name = [any(count(names, text).values()) for _, _, text in rows]
    others = [row for row, has in zip(rows, has_name) if not has]
    rows = [row for row, has in zip(rows, has_name) if has] + others[:: int(every)]
    paths = [os.path.join(folder, path) for path, _, _ in rows]
    texts = [recognise(program, model, paths, given) for given in ("", vocabulary)]
    for title, heard in zip(("without", "with"), texts):
        found, said = 0, 0
        of = {True: [0, 0], False: [0, 0]}
        for (_, _, text), text_heard in zip(rows, heard):
            wanted, got = count(names, text), count(names, text_heard)
            said += sum(wanted.values())
            found += sum(min(got[name], wanted[name]) for name in names)
            total = of[any(wanted.values())]
            total[0] += errors(words(text), words(text_heard))
            total[1] += len(words(text))
        print(f"{title:8} names {found}/{said}; word errors: with names {of[True][0]}/{of[True][1]}, "
              f"others {of[False][0]}/{of[False][1]}")
    for (path, _, text), before, after in zip(rows, *texts):
        if words(before) != words(after):
            print(f"\n{path} ({errors(words(text), words(before))} -> {errors(words(text), words(after))})"
                  f"\n  said    {text}\n  without {before}\n  with    {after}")


if __name__ == "__main__":
    main(*sys.argv[1:])
