"""SmallCap and RobustCap, from their definitions.

SmallCap (Ramos et al., CVPR 2023; RitaRamo/smallcap, src/retrieve_caps.py and src/utils.py): cosine over normalised
vectors, more neighbours than needed are fetched, those of the question's own image are dropped, the first k stay in
order; the prompt is the template with `||` replaced by the captions, joined by a blank line, and a full stop.

RobustCap (Li et al., ACL 2024): captions are drawn from a longer list instead of taken from its top, the first kept
or not, and put in another order. The draws are those of SplitMix64, so that a seed says all.

Mixed datastores are ordered by weight x cosine; each gives at most its limit.

Questions: {"stores": {NAME: {"rows", "vectors"}}, "queries": PATH, "domains": [{"name", "bindings": [{"name",
"limit"?, "weight"?}], "questions": [{"row", "options"}]}], "images": [the image of each query], "dumps": [{"domain",
"rows", "options"}]}, where options are those of the API. Answers: {"domains": [[{"results": [{"datastore", "id",
"score", "rank_score"}], "texts", "prompt"}]], "dumps": [{IMAGE: [caption]}]}.
"""

import re
import unicodedata

import numpy as np

import exact

TEMPLATE = "Similar images show\n\n||\n\nThis image shows "


class SplitMix64:
    """Steele, Lea and Flood, OOPSLA 2014."""

    MASK = (1 << 64) - 1

    def __init__(self, seed):
        self.state = seed & self.MASK

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & self.MASK
        value = self.state
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & self.MASK
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & self.MASK
        return value ^ (value >> 31)

    def below(self, bound):
        """A number from 0 to bound - 1: the high half of a 128-bit product."""
        return (self.next() * bound) >> 64


def chosen(count, k, select):
    """The places, in a ranking of `count`, of what a selection takes, in its order."""
    random = SplitMix64(select.get("seed", 0))
    method = select.get("method", "top")
    drawn_from = min(select.get("from") or 4 * k, count)
    if method == "top":
        places = list(range(min(k, count)))
    else:
        kept = [0] if method == "top_and_sample" and drawn_from > 0 else []
        among = list(range(len(kept), drawn_from))
        wanted = min(k - len(kept), len(among))
        for i in range(wanted):
            j = i + random.below(len(among) - i)
            among[i], among[j] = among[j], among[i]
        places = sorted(kept + among[:wanted])
    order = select.get("order", "score")
    if order == "reverse":
        places.reverse()
    elif order == "permute":
        for i in range(len(places) - 1, 0, -1):
            j = random.below(i + 1)
            places[i], places[j] = places[j], places[i]
    return places


def diverse(scores, similarities, k, weight):
    """Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): the places taken, in their order."""
    taken, left = [], list(range(len(scores)))
    while left and len(taken) < k:
        def value(place):
            nearest = max((similarities[place, other] for other in taken), default=0.0)
            return weight * float(scores[place]) - (1 - weight) * nearest
        best = max(left, key=lambda place: (value(place), -place))
        taken.append(best)
        left.remove(best)
    return taken


def prompt(template, captions):
    return template.replace("||", "\n\n".join(captions) + ".") if captions else None


def folded(text):
    """A text for comparison: lower case, punctuation as spaces, an apostrophe between letters left out."""
    text = re.sub(r"(?<=[^\W\d_])['\u2019](?=[^\W\d_])", "", text.lower())
    kept = "".join(" " if unicodedata.category(one).startswith("P") else one for one in text)
    return " ".join(kept.split()) or text


def dedupe(option):
    if option is None or option == "none":
        return {}
    if isinstance(option, str):
        parts = [part.partition("=") for part in option.split(",")]
        return {name: float(value) if value else True for name, _, value in parts}
    return option


class Store:
    def __init__(self, name, files):
        found = exact.rows(files["rows"])
        self.name = name
        self.texts = [exact.text(row) for row in found]
        self.words = [folded(text) for text in self.texts]
        self.images = [exact.image(row) for row in found]
        self.rows_of = {}
        for place, image in enumerate(self.images):
            self.rows_of.setdefault(image, []).append(place)
        self.unit = exact.normalised(exact.vectors(files["vectors"]))


class Candidate:
    def __init__(self, store, row, score, rank):
        self.store, self.row, self.score, self.rank = store, row, score, rank
        self.unit = store.unit[row]


def ranking(bindings, stores, scores_of, excluded, least, depth):
    """All candidates of all bindings, best first: by weighted score, then id, then binding."""
    found = []
    for place, binding in enumerate(bindings):
        store = stores[binding["name"]]
        scores = scores_of[place]
        ranks = np.float64(np.float32(binding.get("weight", 1))) * scores
        allowed = np.full(len(scores), True)
        for image in excluded:
            allowed[store.rows_of.get(image, [])] = False
        if least is not None:
            allowed &= scores >= np.float32(least)
        usable = np.where(allowed, ranks, -np.inf)
        for row in exact.best(usable, depth):
            if not allowed[row]:
                break
            found.append((-ranks[row], row + 1, place, Candidate(store, row, scores[row], ranks[row])))
    return [one[-1] for one in sorted(found, key=lambda one: one[:3])]


def walk(candidates, bindings, rule, wanted):
    """The first of the candidates that no limit and no duplicate keeps out."""
    limits = {binding["name"]: binding.get("limit") for binding in bindings}
    taken, counts, texts, images = [], {}, set(), set()
    for one in candidates:
        if len(taken) == wanted:
            break
        name = one.store.name
        if limits[name] is not None and counts.get(name, 0) == limits[name]:
            continue
        words, image = one.store.words[one.row], one.store.images[one.row]
        if rule.get("text") and words in texts:
            continue
        if rule.get("image") and image is not None and image in images:
            continue
        likeness = rule.get("similarity")
        if likeness is not None and any(
            exact.rounded(one.unit @ other.unit) >= np.float32(likeness) for other in taken
        ):
            continue
        taken.append(one)
        counts[name] = counts.get(name, 0) + 1
        texts.add(words)
        images.add(image)
    return taken


def answer_one(bindings, stores, scores, options):
    k = options["k"]
    mmr, select = options.get("mmr"), options.get("select")
    wanted = k
    if mmr:
        wanted = mmr.get("fetch") or 4 * k
    if select and select.get("method", "top") != "top":
        wanted = select.get("from") or 4 * k
    excluded = set(options.get("exclude", {}).get("image_ids", []))
    rule = dedupe(options.get("dedupe"))
    for depth in (20 * wanted, None):
        candidates = ranking(bindings, stores, scores, excluded, options.get("min_score"), depth)
        pool = walk(candidates, bindings, rule, wanted)
        if len(pool) == wanted:
            break
    if mmr:
        units = np.array([one.unit for one in pool]).reshape(len(pool), -1)
        likeness = exact.rounded(units @ units.T).astype(np.float64)
        pool = [
            pool[place]
            for place in diverse([one.score for one in pool], likeness, k, float(np.float32(mmr["lambda"])))
        ]
    if select:
        pool = [pool[place] for place in chosen(len(pool), k, select)]
    pool = pool[:k]
    texts = [one.store.texts[one.row] for one in pool]
    wish = options.get("prompt", False)
    template = wish["template"] if isinstance(wish, dict) else TEMPLATE
    return {
        "results": [
            {
                "datastore": one.store.name, "id": int(one.row) + 1, "score": float(one.score),
                "rank_score": float(one.rank),
            }
            for one in pool
        ],
        "texts": texts,
        "prompt": prompt(template, texts) if wish else None,
    }


def all_scores(bindings, stores, questions):
    """The exact scores of each question with each entry of each binding."""
    whole = [exact.rounded(questions @ stores[binding["name"]].unit.T) for binding in bindings]
    return [[one[number] for one in whole] for number in range(len(questions))]


def dumped(bindings, stores, queries, images, wanted):
    """The captions of a whole split: the answers to its images one by one, the nth with the seed + n."""
    captions = {}
    scores = all_scores(bindings, stores, queries[wanted["rows"]])
    for number, row in enumerate(wanted["rows"]):
        options = dict(wanted["options"])
        if options.pop("exclude_own_image", True):
            options["exclude"] = {"image_ids": [images[row]]}
        if "select" in options:
            seed = options["select"].get("seed", 0) + number
            options["select"] = options["select"] | {"seed": seed % (1 << 64)}
        captions[images[row]] = answer_one(bindings, stores, scores[number], options)["texts"]
    return captions


def answer(asked):
    stores = {name: Store(name, files) for name, files in asked["stores"].items()}
    queries = exact.normalised(exact.vectors(asked["queries"]))
    bindings = {domain["name"]: domain["bindings"] for domain in asked["domains"]}
    return {
        "dumps": [
            dumped(bindings[wanted["domain"]], stores, queries, asked["images"], wanted)
            for wanted in asked.get("dumps", [])
        ],
        "domains": [
            [
                answer_one(domain["bindings"], stores, scores, question["options"])
                for question, scores in zip(
                    domain["questions"],
                    all_scores(
                        domain["bindings"], stores, queries[[question["row"] for question in domain["questions"]]]))
            ]
            for domain in asked["domains"]
        ],
    }


if __name__ == "__main__":
    exact.command(answer)
