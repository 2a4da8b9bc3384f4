"""What the references share: files in, exact scores, and the order that Capstan promises.

A score is computed in float64 on the vectors as they are stored and rounded once, to float32. Higher comes first, equal
scores come in the order of ids. An entry's id is the number of its row, from 1.
"""

import gzip
import json
import sys

import numpy as np


def rows(path):
    """The objects of a file of one JSON object per line, plain or gzip."""
    with open(path, "rb") as file:
        data = file.read()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    return [json.loads(line) for line in data.decode("utf-8").split("\n") if line]


def text(row):
    return (row["text"] if "text" in row else row["caption"]).strip()


def image(row):
    """An image's id as Capstan keeps it: whole numbers as their digits."""
    found = row.get("image_id")
    return None if found is None else str(found)


def vectors(path):
    return np.load(path).astype(np.float64)


def normalised(matrix):
    return matrix / np.linalg.norm(matrix, axis=-1, keepdims=True)


def cosines(questions, stored):
    """The exact cosines of each question with each stored vector, not rounded."""
    return normalised(questions) @ normalised(stored).T


def rounded(scores):
    """What a score is once it is a 32-bit number, and as such compared."""
    return np.asarray(scores, dtype=np.float64).astype(np.float32)


def best(scores, depth=None):
    """The rows with the highest scores, best first, ties by row; all, or the first `depth`."""
    scores = np.asarray(scores)
    if depth is None or depth >= len(scores):
        return np.argsort(-scores, kind="stable")
    if depth <= 0:
        return np.array([], dtype=np.int64)
    least = np.partition(scores, len(scores) - depth)[len(scores) - depth]
    among = np.flatnonzero(scores >= least)
    return among[np.argsort(-scores[among], kind="stable")][:depth]


def command(answer):
    """Runs a reference as a command: `reference.py QUESTIONS.json ANSWERS.json`."""
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} QUESTIONS.json ANSWERS.json")
    with open(sys.argv[1], encoding="utf-8") as file:
        asked = json.load(file)
    answered = answer(asked)
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(answered, file)
