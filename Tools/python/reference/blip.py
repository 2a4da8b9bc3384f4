"""BLIP, from its definition (Li et al., ICML 2022; salesforce/BLIP).

CapFilt keeps a caption whose image-text score is high enough: the cosine of the two vectors (ITC), or the probability
of a matching head (ITM), which comes with the rows. The threshold may differ by where captions come from.

Retrieval: recall at 1, 5 and 10 (train_retrieval.py, itm_eval): the share of images with a caption of their own among
the first ones. Equal scores make it depend on how they are ordered, so the counts are given for the order of ids, for
the one that NumPy's sort of 32-bit products happens to give, and for the worst and the best order there is.

Two stages (ALBEF, BLIP): the first by cosine, then its first ones in the order of another scorer.

Questions: {"rows", "vectors": {KEY: PATH}, "filters": [{"score", "threshold"?, "thresholds"?, "unscored"?}],
"searches": [{"queries": PATH, "using": KEY, "k"}], "recall": {"rows", "queries", "texts", "vectors", "labels",
"images"}, "reranks": [{"queries", "using", "k", "fetch", "relevance": [[number of each place]]}]}. Answers:
{"filters": [{"kept": [id], "dropped": [id], "scores": [number | null]}], "searches": [[[[id, score]]]], "recall":
{...}, "reranks": [[[[id, score, relevance]]]]}.
"""

import numpy as np

import exact

DEPTHS = (1, 5, 10)


def entry_scores(asked, rows, score):
    if "payload" in score:
        values = [row.get("payload", {}).get(score["payload"]) for row in rows]
        return [float(np.float32(one)) if isinstance(one, (int, float)) else None for one in values]
    first, second = (exact.normalised(exact.vectors(asked["vectors"][key])) for key in score["keys"])
    return [float(one) for one in exact.rounded((first * second).sum(axis=1))]


def filtered(asked, rows, wanted):
    scores = entry_scores(asked, rows, wanted["score"])
    kept, dropped = [], []
    for number, (row, score) in enumerate(zip(rows, scores)):
        least = wanted.get("thresholds", {}).get(row.get("origin") or "none", wanted.get("threshold"))
        if least is None:
            stays = True
        elif score is None:
            stays = wanted.get("unscored", "keep") == "keep"
        else:
            stays = score >= float(np.float32(least))
        (kept if stays else dropped).append(number + 1)
    return {"kept": kept, "dropped": dropped, "scores": scores}


def search(asked, queries, using, k):
    scores = exact.rounded(exact.cosines(exact.vectors(queries), exact.vectors(asked["vectors"][using])))
    return [[[int(row) + 1, float(one[row])] for row in exact.best(one, k)] for one in scores]


def reranked(asked, wanted):
    """The first stage's first ones by relevance; of equal relevance, in the first stage's order."""
    answers = []
    found = search(asked, wanted["queries"], wanted["using"], wanted["fetch"])
    for first, relevance in zip(found, wanted["relevance"]):
        order = exact.best(np.array(relevance[:len(first)], dtype=np.float32))
        answers.append([[*first[place], float(np.float32(relevance[place]))] for place in order[:wanted["k"]]])
    return answers


def counted(ranks):
    return [sum(int(rank < depth) for rank in ranks) for depth in DEPTHS]


def recall(wanted):
    """Images find their texts."""
    relevant = [{str(one) for one in row.get("relevant") or []} for row in exact.rows(wanted["rows"])]
    ids = [str(row["id"]) for row in exact.rows(wanted["texts"])]
    place = {one: number for number, one in enumerate(ids)}
    asks = [number for number, one in enumerate(relevant) if one]
    queries, texts = np.load(wanted["queries"]), np.load(wanted["vectors"])
    scores = exact.rounded(exact.cosines(queries[asks].astype(np.float64), texts.astype(np.float64)))
    chance = np.argsort(-(queries[asks].astype(np.float32) @ texts.astype(np.float32).T), axis=1)
    ranks = {name: [] for name in ("exact", "float32", "worst", "best")}
    for number, ask in enumerate(asks):
        own = np.array([place[one] for one in relevant[ask] if one in place])
        ranks["exact"].append(np.flatnonzero(np.isin(exact.best(scores[number]), own))[0])
        ranks["float32"].append(np.flatnonzero(np.isin(chance[number], own))[0])
        # The best of its own stands behind all that score more; of those that score the same, the own ones may all
        # stand first, or all the others.
        top = scores[number, own].max()
        higher = (scores[number] > top).sum()
        ranks["best"].append(higher)
        ranks["worst"].append(higher + (scores[number] == top).sum() - (scores[number, own] == top).sum())
    counts = {name: counted(one) for name, one in ranks.items()}
    median = float(np.median(np.array(ranks["exact"]) + 1))
    return {"queries": len(asks), "depths": DEPTHS, "counts": counts, "median": median, "reverse": reverse(wanted)}


def reverse(wanted):
    """Texts find their images, each of which counts once however many texts it has."""
    labels = [exact.image(row) for row in exact.rows(wanted["labels"])]
    images = [exact.image(row) for row in exact.rows(wanted["texts"])]
    first = [number for number, image in enumerate(images) if image not in images[:number]]
    scores = exact.rounded(exact.cosines(exact.vectors(wanted["vectors"]), exact.vectors(wanted["images"])[first]))
    shown = [images[number] for number in first]
    ranks = [[shown[row] for row in exact.best(one)].index(label) for one, label in zip(scores, labels)]
    return {"queries": len(labels), "counts": counted(ranks), "median": float(np.median(np.array(ranks) + 1))}


def answer(asked):
    rows = exact.rows(asked["rows"]) if "rows" in asked else []
    return {
        "filters": [filtered(asked, rows, one) for one in asked.get("filters", [])],
        "searches": [search(asked, one["queries"], one["using"], one["k"]) for one in asked.get("searches", [])],
        "recall": recall(asked["recall"]) if "recall" in asked else None,
        "reranks": [reranked(asked, one) for one in asked.get("reranks", [])],
    }


if __name__ == "__main__":
    exact.command(answer)
