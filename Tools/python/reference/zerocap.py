"""ZeroCap, from its definition (Tewel et al., CVPR 2022; YoadTew/zero-shot-image-to-text, model/ZeroCLIP.py).

Arithmetic: the weighted sum of image and text vectors, normalised once, at the end. Scoring: the cosine of the query
and each candidate, and the softmax of cosine / temperature over all of them.

Questions: {"stores": {NAME: {"rows", "vectors"}}, "queries": PATH, "texts": {TEXT: row of "text_vectors"},
"text_vectors": PATH, "domains": [{"stores": [NAME], "questions": [{"terms": [TERM], "normalise_terms", "options"}]}],
"candidates": PATH, "scores": [{"query": TERM, "candidates": [row], "temperature"}]}. A TERM is {"weight", "row" of
queries | "entry": {"datastore"?, "id" | "external_id"} | "text"}. Answers: {"domains": [[{"results": [{"datastore",
"id", "score"}]} | {"cancel": true}]], "scores": [{"cosines", "probabilities", "order"}]}.
"""

import numpy as np

import exact


class Space:
    """Where vectors come from: the questions', the entries', and those of texts."""

    def __init__(self, asked):
        self.queries = exact.vectors(asked["queries"])
        self.stores, self.places = {}, {}
        for name, files in asked["stores"].items():
            self.stores[name] = exact.vectors(files["vectors"])
            self.places[name] = {str(row["id"]): place for place, row in enumerate(exact.rows(files["rows"]))}
        self.unit = {name: exact.normalised(stored) for name, stored in self.stores.items()}
        self.texts = asked.get("texts", {})
        self.text_vectors = exact.vectors(asked["text_vectors"]) if self.texts else None

    def vector(self, term, only=None):
        if "row" in term:
            return self.queries[term["row"]]
        if "text" in term:
            return self.text_vectors[self.texts[term["text"]]]
        entry = term["entry"]
        name = entry.get("datastore", only)
        place = entry["id"] - 1 if "id" in entry else self.places[name][entry["external_id"]]
        return self.stores[name][place]


def combined(space, terms, normalise_terms, only=None):
    """The sum, normalised; none when the terms cancel but for what rounding leaves."""
    total, lengths = 0.0, 0.0
    for term in terms:
        vector = space.vector(term, only)
        if normalise_terms:
            vector = vector / np.linalg.norm(vector)
        weighted = float(np.float32(term.get("weight", 1))) * vector
        total = total + weighted
        lengths += np.linalg.norm(weighted)
    length = np.linalg.norm(total)
    return total / length if length > 1e-12 * lengths else None


def nearest(space, names, question, k):
    found = []
    for place, name in enumerate(names):
        scores = exact.rounded(space.unit[name] @ question)
        found += [(-scores[row], row, place) for row in exact.best(scores, k)]
    return [
        {"datastore": names[place], "id": int(row) + 1, "score": float(-score)}
        for score, row, place in sorted(found)[:k]
    ]


def probabilities(cosines, temperature):
    scaled = np.asarray(cosines, dtype=np.float64) / temperature
    powers = np.exp(scaled - scaled.max())
    return powers / powers.sum()


def scored(query, candidates, temperature):
    cosines = exact.cosines(query[None], candidates)[0]
    shown = exact.rounded(cosines)
    return {
        "cosines": shown.tolist(),
        "probabilities": exact.rounded(probabilities(cosines, float(np.float32(temperature)))).tolist(),
        "order": exact.best(shown).tolist(),
    }


def answer(asked):
    space = Space(asked)
    domains = []
    for domain in asked["domains"]:
        names = domain["stores"]
        only = names[0] if len(names) == 1 else None
        answers = []
        for question in domain["questions"]:
            sum_ = combined(space, question["terms"], question.get("normalise_terms", False), only)
            answers.append(
                {"cancel": True} if sum_ is None
                else {"results": nearest(space, names, sum_, question["options"]["k"])})
        domains.append(answers)
    candidates = exact.vectors(asked["candidates"]) if "candidates" in asked else None
    return {
        "domains": domains,
        "scores": [
            scored(space.vector(one["query"], "captions"), candidates[one["candidates"]], one["temperature"])
            for one in asked.get("scores", [])
        ],
    }


if __name__ == "__main__":
    exact.command(answer)
