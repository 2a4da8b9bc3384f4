"""LexVLA, from its definition (lexical representations of images and texts over a vocabulary, searched by inverted
index).

A vector has a weight for some words of a vocabulary of V; weights at or below 1/sqrt(V) are dropped, or all but the
largest n. The score is the dot product; what a shared word adds to it is its weight, and its share is that over the
score. Entries that share no word are not found.

Two rankings become one by reciprocal rank fusion (Cormack et al., SIGIR 2009) or by the weighted sum of the scores.

Questions: {"vocabulary": PATH, "rows": PATH, "lexical": {"threshold"?, "top"?}, "vectors"?: PATH, "queries"?: PATH,
"domains": [{"questions": [{"row"?, "lexical": {WORD: WEIGHT}, "options"}]}]}; rows have {"vectors": {"lexical":
{WORD: WEIGHT}}}. Answers: {"domains": [[{"results": [{"id", "score", "terms": [[word, weight, share]],
"scores"?}]}]]}.
"""

import numpy as np

import exact


class Sparse:
    """Rows of weights as one inverted index: for each word the rows that have it and what it weighs there."""

    def __init__(self, words, rows, pruning):
        self.number = {word: place for place, word in enumerate(words)}
        self.words = words
        self.count = len(rows)
        postings = {}
        self.weights = []
        for place, row in enumerate(rows):
            kept = pruned(row, self.number, pruning)
            self.weights.append(kept)
            for word, weight in kept.items():
                postings.setdefault(word, ([], []))[0].append(place)
                postings[word][1].append(weight)
        self.postings = {
            word: (np.array(places), np.array(weights)) for word, (places, weights) in postings.items()
        }

    def scores(self, question):
        """The dot product with each row, and whether it shares a word that weighs more than nothing."""
        total, shared = np.zeros(self.count), np.zeros(self.count, dtype=bool)
        # In the order of the vocabulary, as a float64 sum depends on its order in the last digits.
        for word in sorted(question, key=lambda word: self.number[word]):
            if word in self.postings:
                places, weights = self.postings[word]
                total[places] += question[word] * weights
                if question[word] > 0:
                    shared[places] = True
        return total, shared

    def terms(self, question, row, score):
        matches = [
            (-exact.rounded(question[word] * weight), self.number[word], word)
            for word, weight in self.weights[row].items()
            if word in question
        ]
        return [[word, float(-weight), float(-weight) / score] for weight, _, word in sorted(matches)]


def single(weight):
    """A weight as the 32-bit number that it is kept as."""
    return float(np.float32(weight))


def pruned(weights, number, pruning):
    least = max(0.0, single(pruning.get("threshold") or 0))
    kept = sorted((-single(weight), number[word], word) for word, weight in weights.items() if single(weight) > least)
    if pruning.get("top") is not None:
        kept = kept[:pruning["top"]]
    return {word: -weight for weight, _, word in kept}


def fused(sparse, dense, question, options):
    """Two rankings as one: (score, scores by key) for the rows that count."""
    fusion = options.get("fusion", {})
    weights = {"text": single(fusion.get("dense_weight", 1)), "lexical": single(fusion.get("lexical_weight", 1))}
    total, shared = sparse.scores(question)
    if fusion.get("method", "rrf") == "sum":
        return exact.rounded(weights["text"] * dense + weights["lexical"] * total), np.full(len(dense), True)
    constant, depth = fusion.get("constant", 60), fusion.get("depth", 100)
    lexical = np.where(shared, exact.rounded(total), -np.inf)
    sums, found = np.zeros(len(dense)), np.zeros(len(dense), dtype=bool)
    for scores, weight in ((exact.rounded(dense), weights["text"]), (lexical, weights["lexical"])):
        for rank, row in enumerate(exact.best(scores, depth), start=1):
            if scores[row] == -np.inf:
                break
            sums[row] += weight / (constant + rank)
            found[row] = True
    return exact.rounded(sums), found


def answer_one(sparse, dense, question):
    options, k = question["options"], question["options"]["k"]
    weights = {word: single(weight) for word, weight in question["lexical"].items() if word in sparse.number}
    total, shared = sparse.scores(weights)
    if dense is None:
        scores, counts = exact.rounded(total), shared
    else:
        scores, counts = fused(sparse, dense, weights, options)
    results = []
    for row in exact.best(np.where(counts, scores, -np.inf), k):
        if not counts[row]:
            break
        result = {"id": int(row) + 1, "score": float(scores[row])}
        if dense is None:
            result["terms"] = sparse.terms(weights, row, total[row])
        else:
            result["scores"] = {"text": single(dense[row]), "lexical": single(total[row])}
        results.append(result)
    return {"results": results}


def answer(asked):
    with open(asked["vocabulary"], encoding="utf-8") as file:
        words = file.read().split("\n")[:-1]
    rows = [row["vectors"]["lexical"] for row in exact.rows(asked["rows"])]
    sparse = Sparse(words, rows, asked["lexical"])
    dense = None
    if "vectors" in asked:
        unit = exact.normalised(exact.vectors(asked["vectors"]))
        queries = exact.normalised(exact.vectors(asked["queries"]))
    domains = []
    for domain in asked["domains"]:
        answers = []
        for question in domain["questions"]:
            dense = unit @ queries[question["row"]] if "row" in question else None
            answers.append(answer_one(sparse, dense, question))
        domains.append(answers)
    return {"domains": domains}


if __name__ == "__main__":
    exact.command(answer)
