"""EVCap, from its definition (Li et al., CVPR 2024; Jiaxuan-Li/EVCap, models/evcap.py).

The memory has a normalised vector and a name for each object; a vector is the mean of an image's 32 query vectors.
Each of the question's 32 vectors finds its nearest 5; all hits are sorted by score and the first 32 are kept; names
are normalised and the first of equal ones stays, at most 10; they are joined with ` [SEP] `.

The repository leaves the order of equal scores to chance; here it is the order of ids, then of the vectors that
asked.

Questions: {"stores": {NAME: {"rows", "vectors"}}, "queries": PATH, "vectors": how many of them a question has,
"domains": [{"stores": [NAME], "questions": [{"row", "options"}]}]}; vectors of three axes are averaged. Answers:
{"domains": [[{"names", "joined", "results": [{"id", "score", "name", "vector", "datastore"}]}]]}.
"""

import re

import numpy as np

import exact


def normalised_name(name):
    name = re.sub(r"([_!,'\"()*#:;~])", " ", name.lower())
    name = re.sub(r"\s{2,}", " ", name)
    return name.rstrip("\n").strip(" ")


def memory(files):
    """The names and the normalised vectors of a store; several vectors of one object are averaged first."""
    stored = exact.vectors(files["vectors"])
    if stored.ndim == 3:
        stored = exact.rounded(stored.mean(axis=1)).astype(np.float64)
    return [exact.text(row) for row in exact.rows(files["rows"])], exact.normalised(stored)


def merged(vectors, memories, options):
    """The answer over one or several memories, each given as (datastore, names, normalised vectors)."""
    merge = options["merge"]
    per_vector, limit = merge.get("per_vector", 5), merge.get("limit", 32)
    unit = exact.normalised(vectors)
    scores = [exact.rounded(unit @ stored.T) for _, _, stored in memories]
    hits = []
    for number in range(len(unit)):
        found = [
            (-scores[place][number, row], row, place, number)
            for place in range(len(memories))
            for row in exact.best(scores[place][number], per_vector)
        ]
        hits += sorted(found)[:per_vector]
    results, seen = [], set()
    for score, row, place, number in sorted(hits)[:limit]:
        datastore, texts, _ = memories[place]
        name = normalised_name(texts[row])
        if name in seen or len(results) == options["k"]:
            continue
        seen.add(name)
        results.append(
            {"id": int(row) + 1, "score": float(-score), "name": name, "vector": number, "datastore": datastore})
    names = [result["name"] for result in results]
    return {"names": names, "joined": merge.get("separator", " [SEP] ").join(names), "results": results}


def answer(asked):
    stores = {name: memory(files) for name, files in asked["stores"].items()}
    queries = exact.vectors(asked["queries"])
    queries = queries.reshape(-1, asked["vectors"], queries.shape[1])
    return {
        "domains": [
            [
                merged(
                    queries[question["row"]], [(name, *stores[name]) for name in domain["stores"]],
                    question["options"])
                for question in domain["questions"]
            ]
            for domain in asked["domains"]
        ]
    }


if __name__ == "__main__":
    exact.command(answer)
