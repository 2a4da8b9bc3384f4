"""Makes what the end-to-end tests import and ask, from the public captions and vectors that may not be shipped.

    inputs.py SYSTEM DATA FOLDER      SYSTEM is smallcap, evcap, zerocap, blip or lexvla

All goes to FOLDER: rows, vectors, and `questions.json`, which the system's reference reads and the test asks. The same
data makes the same files.
"""

import json
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np

import exact
from smallcap import SplitMix64


def write_rows(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return str(path)


def write_vectors(path, vectors, kind=np.float16):
    np.save(path, np.ascontiguousarray(vectors, dtype=kind))
    return str(path)


def write_json(path, value):
    path.write_text(json.dumps(value), encoding="utf-8")


def shortest(number):
    """A 32-bit number as the shortest decimal that reads as it."""
    return float(str(np.float32(number)))


def captions(folder, name, data, rows, places, vectors, **extra):
    """A store of some rows of a set, in the set's order."""
    places = sorted(places)
    return {
        "rows": write_rows(folder / f"{name}.ndjson", [rows[place] | extra for place in places]),
        "vectors": write_vectors(folder / f"{name}.npy", vectors[places]),
    }


# SmallCap


def smallcap(data, folder):
    stores, asked = {}, {}
    random = np.random.default_rng(11)
    for name, others in (("coco50k", 4000), ("flickr8k", 2000)):
        rows = exact.rows(data / f"sets/{name}.jsonl.gz")
        vectors = np.load(data / f"sets/{name}.f16.npy")
        asked[name] = exact.rows(data / f"sets/{name}.queries.jsonl")
        wanted = {one for query in asked[name] for one in query["relevant"]}
        own = [place for place, row in enumerate(rows) if row["id"] in wanted]
        rest = random.permutation([place for place, row in enumerate(rows) if row["id"] not in wanted])
        short = "coco" if name == "coco50k" else "flickr"
        stores[short] = captions(folder, short, data, rows, own + list(rest[:others]), vectors, origin="human")
        if short == "coco":
            # Some of what is in the first, too: equal texts of two datastores.
            web = list(rest[others:others + 3000]) + own[:500]
            stores["web"] = captions(folder, "web", data, rows, web, vectors, origin="web")
    queries = [np.load(data / f"sets/{name}.queries.f16.npy") for name in ("coco50k", "flickr8k")]
    images = [str(one["image_id"]) for name in ("coco50k", "flickr8k") for one in asked[name]]
    write_json(
        folder / "questions.json",
        {
            "stores": stores,
            "queries": write_vectors(folder / "queries.npy", np.concatenate(queries)),
            "images": images,
            "domains": smallcap_domains(images, stores["coco"], queries[0]),
            "dumps": [
                {"domain": "own", "rows": list(range(500, 1000)), "options": {"k": 7}},
                {
                    "domain": "own", "rows": list(range(500)),
                    "options": {"k": 4, "dedupe": "text", "select": {"method": "top_and_sample", "from": 7,
                                                                     "order": "permute", "seed": 2**63}},
                },
                {
                    "domain": "mixed", "rows": list(range(0, 1000, 10)) + list(range(1000, 2000, 10)),
                    "options": {"k": 4, "exclude_own_image": False, "select": {"order": "reverse"}},
                },
            ],
        })


TEMPLATES = [
    "||",
    "",
    "no place for captions",
    "|| and again ||",
    "|||",
    "||||",
    "| |a|b|",
    "|",
    "\t||\r\n||\r\nThis image shows ",
    "Ähnliche Bilder zeigen\n\n||\n\nThis image shows\u00a0",
    "画像: ||。この画像は",
    "\u0301||\u0301 e||\u0301",
    "||\u200d\U0001f468||\U0001f3fd",
    "\U0001f1e9||\U0001f1ea",
    "quotes \" \\ / \u2028 \u0001 ||",
    "$& \\1 %s {0} \\|\\| ||",
]


def smallcap_domains(images, coco, queries):
    own = [
        {"row": row, "options": {"k": 7, "exclude": {"image_ids": [images[row]]}, "prompt": True}}
        for row in range(500)
    ]
    mixed = []
    for number, row in enumerate(list(range(300, 650)) + list(range(1300, 1650))):
        options = {"k": 10}
        if number % 2:
            options["exclude"] = {"image_ids": [images[row]]}
        if number % 3 == 1:
            options["dedupe"] = "text"
        mixed.append({"row": row, "options": options})
    varied = [
        {"row": row, "options": {"k": 5} | one}
        for row, one in zip(range(1000), OPTIONS * (1000 // len(OPTIONS) + 1))
    ][:len(OPTIONS) * 35]
    rows, vectors = exact.rows(coco["rows"]), exact.vectors(coco["vectors"])
    many = []
    for row in range(0, 1000, 20):
        # The images of the nearest captions, and thousands that do not matter.
        near = exact.best(exact.cosines(queries[row:row + 1].astype(np.float64), vectors)[0], 20 * (1 + row // 20))
        excluded = list(dict.fromkeys([str(rows[place]["image_id"]) for place in near]))
        excluded += [f"not-there-{number}" for number in range(row)]
        many.append({"row": row, "options": {"k": 7, "exclude": {"image_ids": excluded}}})
    templates = [
        {"row": row, "options": {"k": 1 + row % 5, "prompt": {"template": TEMPLATES[row % len(TEMPLATES)]}}}
        for row in range(len(TEMPLATES) * 4)
    ]
    both = [{"name": "coco"}, {"name": "web"}]
    limited = [
        {"name": "coco"}, {"name": "flickr", "limit": 3, "weight": 1.1}, {"name": "web", "limit": 2, "weight": 0.9},
    ]
    tight = [{"name": "coco", "limit": 1}, {"name": "web", "limit": 2}, {"name": "flickr", "limit": 1, "weight": 0.5}]
    short = [{"row": row, "options": {"k": 6}} for row in range(40)]
    return [
        {"name": "own", "bindings": [{"name": "coco"}], "questions": own},
        {"name": "mixed", "bindings": limited, "questions": mixed},
        {"name": "tight", "bindings": tight, "questions": short},
        {"name": "varied", "bindings": both, "questions": varied},
        {"name": "many", "bindings": both, "questions": many},
        {"name": "templates", "bindings": both, "questions": templates},
    ]


OPTIONS = [
    {"dedupe": "text"},
    {"dedupe": "image"},
    {"dedupe": {"similarity": 0.9}},
    {"dedupe": "text,image,similarity=0.8"},
    {"min_score": 0.7},
    {"mmr": {"lambda": 0.5}},
    {"mmr": {"lambda": 0.75, "fetch": 50}},
    {"mmr": {"lambda": 0}},
    {"mmr": {"lambda": 1, "fetch": 5}},
    {"mmr": {"lambda": 0.6}, "dedupe": "text"},
    {"select": {"method": "sample", "seed": 1}},
    {"select": {"method": "sample", "seed": 2**64 - 1, "from": 12, "order": "permute"}},
    {"select": {"method": "sample", "seed": 3, "from": 5}},
    {"select": {"method": "top_and_sample", "seed": 5, "from": 30, "order": "reverse"}},
    {"select": {"method": "top_and_sample", "seed": 6, "order": "permute"}, "dedupe": "text"},
    {"select": {"order": "reverse"}},
    {"select": {"order": "permute", "seed": 8}, "k": 9},
]


# EVCap

TRICKY = [
    "Dog_(animal)", "dog animal", "DOG  animal!", "dog\t(animal)", "dog\tanimal", "~dog~*animal#", "café_au_lait",
    "CAFÉ au (lait)", "rock'n'roll", "rock n roll", "a:b;c,d", "a b c d", "well-dressed", "well dressed", "T.V.", "t.v.",
    "#1_seed", "1 seed", "dog\u00a0 animal",
]


def evcap(data, folder):
    random = np.random.default_rng(23)
    images = exact.vectors(data / "clip/images.b32.f16.npy")
    lvis, names = exact.vectors(data / "clip/lvis1203.b32.f16.npy"), [
        row["name"] for row in exact.rows(data / "clip/lvis1203.b32.jsonl.gz")]
    texts, vectors = list(names), list(lvis)
    for place in random.choice(len(names), 120, replace=False):
        plain = names[place].replace("_", " ")
        forms = [names[place], f"{plain.title()} (thing)", f"  {plain.upper()}!", f"\"{plain}\"", f"the_{plain}"]
        for form in random.permutation(forms)[:3]:
            texts.append(form.strip())
            vectors.append(0.9 * lvis[place] + 0.1 * images[random.integers(len(images))])
    for name in TRICKY:
        texts.append(name)
        vectors.append(0.8 * lvis[names.index("dog")] + 0.2 * lvis[random.integers(len(names))])
    # Equal names with equal vectors: ties.
    for place in random.choice(len(names), 30, replace=False):
        texts.append(names[place].upper())
        vectors.append(lvis[place])
    stores = {
        "names": {
            "rows": write_rows(folder / "names.ndjson", [{"text": text} for text in texts]),
            "vectors": write_vectors(folder / "names.npy", np.array(vectors)),
        }
    }

    # A memory as EVCap makes it: 32 vectors of an image for each object, not of length 1, to be averaged.
    places = random.permutation(len(names))[:400]
    groups = images[random.integers(len(images), size=(len(places), 32))] * 0.5 + lvis[places][:, None]
    groups *= random.uniform(0.5, 8, size=groups.shape[:2] + (1,))
    stores["means"] = {
        "rows": write_rows(folder / "means.ndjson", [{"text": names[place]} for place in places]),
        "vectors": write_vectors(folder / "means.npy", groups, np.float32),
    }

    # Names that come later, each one twice, and each third with several vectors, which are averaged.
    later = random.permutation(len(images))[:24]
    added, means = [], []
    for number, place in enumerate(later):
        group = images[[place, *random.integers(len(images), size=3)]] * random.uniform(0.5, 8, size=(4, 1))
        group = group[:1 if number % 3 else 4].astype(np.float32)
        means.append(exact.rounded(group.astype(np.float64).mean(axis=0)))
        given = [[shortest(one) for one in vector] for vector in group]
        added.append(
            {"id": f"later-{number}", "text": f"Later_({number // 2})", "vector": given[0] if number % 3 else given})
    write_rows(folder / "added.ndjson", added)
    kept = np.array(vectors).astype(np.float16).astype(np.float32)
    stores["grown"] = {
        "rows": write_rows(folder / "grown.ndjson", [{"text": text} for text in texts] + added),
        "vectors": write_vectors(folder / "grown.npy", np.concatenate([kept, means]), np.float32),
    }

    questions = 500
    others = random.integers(len(images), size=(questions, 32))
    queries = images[others]
    share = random.uniform(0.3, 0.98, size=(questions, 32, 1))
    mixed = share * images[np.arange(questions) % len(images)][:, None] + (1 - share) * images[others]
    mixed *= random.uniform(0.5, 8, size=(questions, 32, 1))
    queries[::2] = mixed[::2]
    # Some ask with names themselves, and some with one vector again and again: ties between vectors.
    for row in range(0, questions, 25):
        queries[row, :16] = lvis[random.integers(len(lvis), size=16)]
        queries[row, 16:20] = queries[row, 0]
    for number, row in enumerate(range(3, questions, 40)):
        queries[row, :2] = images[later[2 * number % len(later):][:2]]
    evcap_options = {"k": 10, "merge": {"per_vector": 5, "limit": 32}}
    others = [
        {"k": 10, "merge": {}},
        {"k": 3, "merge": {"per_vector": 1, "limit": 4, "separator": ", "}},
        {"k": 40, "merge": {"per_vector": 20, "limit": 640, "separator": ""}},
    ]

    def domain(stores, rows, options):
        return {
            "stores": stores,
            "questions": [{"row": row, "options": options[number % len(options)]} for number, row in enumerate(rows)],
        }

    write_json(
        folder / "questions.json",
        {
            "stores": stores,
            "queries": write_vectors(folder / "queries.npy", queries.reshape(-1, queries.shape[2]), np.float32),
            "vectors": queries.shape[1],
            "domains": [
                domain(["names"], range(questions), [evcap_options]),
                domain(["names"], range(0, questions, 10), others),
                domain(["means"], range(0, questions, 4), [evcap_options]),
                domain(["names", "means"], range(1, questions, 5), [evcap_options]),
                domain(["grown"], range(3, questions, 8), [evcap_options]),
            ],
        })


# ZeroCap


def zerocap(data, folder):
    random = np.random.default_rng(37)
    rows = exact.rows(data / "clip/texts.b32.jsonl.gz")
    names = [
        {"id": f"name-{row['id']}", "text": row["name"]} for row in exact.rows(data / "clip/lvis1203.b32.jsonl.gz")]
    stores = {
        "captions": {
            "rows": write_rows(folder / "captions.ndjson", rows),
            "vectors": str(data / "clip/texts.b32.f16.npy"),
        },
        # Not of length 1: what weighs how much in a sum depends on normalise_terms.
        "names": {
            "rows": write_rows(folder / "names.ndjson", names),
            "vectors": str(data / "original/lvis_v1_clip_a+cname.npy"),
        },
    }
    images = np.load(data / "clip/images.b32.f16.npy")
    texts = {}
    for place in random.permutation(len(rows)):
        texts.setdefault(rows[place]["caption"], int(place))
    texts = dict(list(texts.items())[:150])

    def weight():
        return shortest(random.choice([1, -1, 0.5, -0.5, 2, 0.25, random.uniform(-3, 3), random.uniform(0, 1)]))

    def term(kinds, store=None):
        kind = random.choice(kinds)
        if kind == "row":
            return {"row": int(random.integers(len(images)))}
        if kind == "text":
            return {"text": str(random.choice(list(texts)))}
        name = store or str(random.choice(list(stores)))
        count = len(rows) if name == "captions" else len(names)
        place = int(random.integers(count))
        external = str((rows if name == "captions" else names)[place]["id"])
        entry = {"id": place + 1} if kind == "id" else {"external_id": external}
        return {"entry": entry if store else entry | {"datastore": name}}

    def questions(count, kinds, store=None):
        made = []
        for number in range(count):
            size = 40 if number % 50 == 7 else 1 + int(random.integers(5))
            terms = [term(kinds, store) | {"weight": weight()} for _ in range(size)]
            if number % 9 == 0:
                del terms[0]["weight"]
            made.append(
                {"terms": terms, "normalise_terms": bool(number % 2), "options": {"k": 1 + int(random.integers(10))}})
        return made

    def cancelling(store):
        one = {"row": 5}
        two = {"entry": {"id": 9} if store else {"datastore": "names", "id": 9}}
        return [
            {"terms": [one | {"weight": 1}, one | {"weight": -1}], "options": {"k": 3}},
            {"terms": [two | {"weight": 0.5}, two | {"weight": 0.5}, two | {"weight": -1}], "options": {"k": 3}},
            {"terms": [one | {"weight": 0}, two | {"weight": 0}], "options": {"k": 3}},
            {
                "terms": [one | {"weight": 2}, two, one | {"weight": -2}, two | {"weight": -1}],
                "normalise_terms": True, "options": {"k": 3},
            },
        ]

    scores = []
    for number in range(260):
        size = 512 if number % 26 == 3 else 1 + int(random.integers(48))
        candidates = random.integers(len(rows), size=size).tolist()
        if number % 3 == 0:
            candidates += candidates[:1]
            candidates = candidates[:512]
        form = ["vectors", "vectors_base64", "texts"][number % 3]
        if form == "texts":
            candidates = [texts[text] for text in random.choice(list(texts), min(size, 100))]
        query = term(["row"]) if number % 4 else term(["row", "id", "external_id", "text"], "captions")
        scores.append(
            {
                "query": query, "candidates": candidates, "form": form,
                "temperature": [0.01, 0.01, 0.1, 1, 1e-6, 1e6, 0.001][number % 7],
            })
    write_json(
        folder / "questions.json",
        {
            "stores": stores,
            "queries": write_vectors(folder / "queries.npy", images),
            "texts": texts,
            "text_vectors": stores["captions"]["vectors"],
            "candidates": stores["captions"]["vectors"],
            "domains": [
                {
                    "stores": ["captions"],
                    "questions": questions(300, ["row", "id", "external_id", "text"], "captions") + cancelling(True),
                },
                {"stores": ["names"], "questions": questions(150, ["row", "id", "external_id"], "names")},
                {
                    "stores": ["captions", "names"],
                    "questions": questions(150, ["row", "id", "external_id"]) + cancelling(False),
                },
            ],
            "scores": scores,
        })


# BLIP


def blip(data, folder):
    random = np.random.default_rng(41)
    texts, images = exact.rows(data / "clip/texts.b32.jsonl.gz"), exact.rows(data / "clip/images.b32.jsonl.gz")
    image_vectors = np.load(data / "clip/images.b32.f16.npy")
    image_of = {str(one): place for place, row in enumerate(images) for one in row.get("relevant") or []}
    shown = [image_of[str(row["id"])] for row in texts]
    sources = Counter(row["source"] for row in texts)
    travel = min(sources, key=sources.get)
    rows = []
    for place, row in enumerate(texts):
        origin = "human" if row["source"] == "flickr8k" else "synthetic" if row["source"] == travel else "web"
        made = {"id": row["id"], "image_id": row["image_id"], "text": row["caption"], "source": row["source"]}
        if place % 17:
            made["origin"] = origin
        if place % 11:
            made["payload"] = {"itm": shortest(random.beta(3, 2))}
        elif place % 2:
            made["payload"] = {"itm": "unknown"}
        rows.append(made)
    keys = {
        "text": str(data / "clip/texts.b32.f16.npy"),
        "image": write_vectors(folder / "image.npy", image_vectors[shown]),
    }
    paired = [place for place, row in enumerate(images) if row.get("relevant")]
    asks = {
        "images": write_vectors(folder / "images.npy", image_vectors[paired]),
        "texts": write_vectors(folder / "texts.npy", np.load(keys["text"])[::3]),
        "reranked": write_vectors(folder / "reranked.npy", image_vectors[paired[:500]]),
    }
    filters = [
        {"score": {"keys": ["text", "image"]}, "threshold": 0.3},
        {"score": {"keys": ["image", "text"]},
         "thresholds": {"human": 0.25, "web": 0.3, "synthetic": 0.28, "none": 0.32}},
        {"score": {"keys": ["text", "image"]}, "threshold": 0.31, "thresholds": {"synthetic": 0.27}},
        {"score": {"keys": ["text", "image"]}, "thresholds": {"web": 0.33}},
        {"score": {"payload": "itm"}, "threshold": 0.5, "unscored": "drop"},
        {"score": {"payload": "itm"}, "thresholds": {"web": 0.6, "synthetic": 0.4}, "unscored": "keep"},
    ]
    fetch = 64
    relevance = np.round(random.uniform(-4, 4, size=(500, fetch)), 1)
    write_json(
        folder / "questions.json",
        {
            "rows": write_rows(folder / "rows.ndjson", rows),
            "vectors": keys,
            "filters": filters,
            "searches": [
                {"queries": asks["images"], "using": "text", "k": 10},
                {"queries": asks["images"], "using": "image", "k": 10},
                {"queries": asks["texts"], "using": "image", "k": 10},
            ],
            "recall": {
                "rows": write_rows(
                    folder / "image-labels.jsonl", [{"relevant": row.get("relevant") or []} for row in images]),
                "queries": str(data / "clip/images.b32.f16.npy"),
                "texts": str(data / "clip/texts.b32.jsonl.gz"), "vectors": keys["text"],
                "labels": write_rows(folder / "text-labels.jsonl", [{"image_id": row["image_id"]} for row in texts]),
                "images": keys["image"],
            },
            "reranks": [
                {
                    "queries": asks["reranked"], "using": "text", "k": 10, "fetch": fetch,
                    "relevance": relevance.tolist(),
                },
            ],
        })


# LexVLA


def words(text):
    return re.findall(r"[a-z]+", text.lower())


def weights_of(text, rarity):
    """The tf-idf of a text's words, as a whole of length 1."""
    counts = Counter(words(text))
    weights = {word: (1 + np.log(count)) * rarity.get(word, 12.0) for word, count in counts.items()}
    length = np.sqrt(sum(weight * weight for weight in weights.values()))
    return {word: shortest(weight / length) for word, weight in weights.items()} if length > 0 else {}


def lexvla(data, folder):
    rows = exact.rows(data / "sets/coco50k.jsonl.gz")
    queries = exact.rows(data / "sets/coco50k.queries.jsonl")
    seen = Counter(word for row in rows for word in set(words(row["caption"])))
    vocabulary = sorted(seen)
    rarity = {word: np.log(len(rows) / count) + 0.05 for word, count in seen.items()}
    number = {word: place for place, word in enumerate(vocabulary)}
    (folder / "vocabulary.txt").write_text("".join(word + "\n" for word in vocabulary), encoding="utf-8")
    made = [
        {"id": row["id"], "image_id": row["image_id"], "text": row["caption"],
         "vectors": {"lexical": weights_of(row["caption"], rarity)}}
        for row in rows
    ]
    asked = [weights_of(query["caption"], rarity) for query in queries]
    # Words that the vocabulary has not, and weights below zero.
    for place, weights in enumerate(asked):
        if place % 10 == 3:
            weights["notaword"] = 0.5
        if place % 10 == 6:
            weights["man"] = -0.25

    random = SplitMix64(5)
    few = [made[random.below(len(made))] for _ in range(6000)]
    numbered = []
    for place, row in enumerate(few):
        pairs = [(number[word], weight) for word, weight in row["vectors"]["lexical"].items()]
        if place % 2:
            pairs.sort()
        numbered.append(
            {"text": row["text"], "vectors": {
                "lexical": {"indices": [one for one, _ in pairs], "values": [one for _, one in pairs]}}})
    few = [{"text": row["text"], "vectors": row["vectors"]} for row in few]

    base = {"vocabulary": str(folder / "vocabulary.txt")}
    threshold = {"threshold": float(np.float32(1 / np.sqrt(len(vocabulary))))}
    fusions = [
        {"method": "rrf"},
        {"method": "sum"},
        {"method": "rrf", "dense_weight": 0.4, "lexical_weight": 2, "constant": 10, "depth": 30},
        {"method": "sum", "dense_weight": 2, "lexical_weight": 0.3},
        {"method": "sum", "dense_weight": 0},
    ]
    questions = [
        {"lexical": weights, "options": {"k": 10, "ignore_unknown_terms": True}} for weights in asked if weights]
    fused = [
        {"row": row, "lexical": asked[row],
         "options": {"k": 10, "ignore_unknown_terms": True, "fusion": fusions[row % len(fusions)]}}
        for row in range(250)
    ]
    write_json(
        folder / "questions.json",
        base | {
            "rows": write_rows(folder / "rows.ndjson", made), "lexical": threshold,
            "vectors": str(data / "sets/coco50k.f16.npy"), "queries": str(data / "sets/coco50k.queries.f16.npy"),
            "domains": [{"questions": questions}, {"questions": fused}],
        })
    for name, rows_of, pruning in (
        ("top", few, {"threshold": 0, "top": 4}),
        ("all", numbered, {"threshold": 0}),
        ("both", numbered, {"threshold": 0.4, "top": 3}),
    ):
        path = write_rows(folder / f"{name}.ndjson", rows_of)
        plain = path if rows_of is few else write_rows(folder / f"{name}-words.ndjson", few)
        write_json(
            folder / f"{name}.json",
            base | {
                "rows": plain, "imported": path, "lexical": pruning,
                "domains": [{"questions": questions[::2]}],
            })


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ("smallcap", "evcap", "zerocap", "blip", "lexvla"):
        sys.exit(__doc__)
    globals()[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
