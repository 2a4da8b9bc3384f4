"""The references of the end-to-end tests, on cases small enough to check by hand."""

import sys
import unittest
from pathlib import Path

import numpy

sys.path.insert(0, str(Path(__file__).parent.parent / "reference"))

import blip  # noqa: E402
import evcap  # noqa: E402
import exact  # noqa: E402
import lexvla  # noqa: E402
import smallcap  # noqa: E402
import zerocap  # noqa: E402


class ExactTests(unittest.TestCase):
    def test_best_is_in_the_order_of_scores_then_of_rows(self):
        scores = numpy.array([1, 3, 2, 3, 2, 0], dtype=numpy.float32)
        for depth in range(8):
            self.assertEqual(exact.best(scores, depth).tolist(), [1, 3, 2, 4, 0, 5][:depth])
        self.assertEqual(exact.best(scores).tolist(), [1, 3, 2, 4, 0, 5])


class SmallCapTests(unittest.TestCase):
    def test_the_generator_is_splitmix64(self):
        # The first numbers of the published implementation for the seed 1234567.
        random = smallcap.SplitMix64(1234567)
        self.assertEqual(
            [random.next() for _ in range(3)], [6457827717110365317, 3203168211198807973, 9817491932198370423])

    def test_selections_have_the_places_they_should(self):
        for seed in range(20):
            for count, k in ((40, 4), (3, 4), (0, 4), (16, 16)):
                drawn = smallcap.chosen(count, k, {"method": "sample", "seed": seed})
                self.assertEqual(drawn, sorted(set(drawn)))
                self.assertEqual(len(drawn), min(k, count))
                self.assertTrue(all(place < min(4 * k, count) for place in drawn))
                kept = smallcap.chosen(count, k, {"method": "top_and_sample", "seed": seed, "order": "reverse"})
                self.assertEqual(len(set(kept)), min(k, count))
                self.assertTrue(count == 0 or kept[-1] == 0)
        self.assertEqual(smallcap.chosen(9, 3, {"order": "reverse"}), [2, 1, 0])
        self.assertEqual(sorted(smallcap.chosen(9, 5, {"order": "permute", "seed": 1})), list(range(5)))

    def test_variety_takes_what_is_far_from_what_was_taken(self):
        likeness = numpy.array([[1, 1, 0], [1, 1, 0], [0, 0, 1.0]])
        scores = [0.9, 0.8, 0.5]
        self.assertEqual(smallcap.diverse(scores, likeness, 2, 1.0), [0, 1])
        self.assertEqual(smallcap.diverse(scores, likeness, 2, 0.5), [0, 2])

    def test_folded_texts_differ_by_letters_alone(self):
        self.assertEqual(smallcap.folded("A man's DOG, (running) ."), "a mans dog running")
        self.assertEqual(smallcap.folded("well-dressed"), "well dressed")
        self.assertEqual(smallcap.folded("..."), "...")


class EVCapTests(unittest.TestCase):
    def test_names_are_normalised_as_in_the_repository(self):
        for name, normal in (
            ("Dog_(animal)", "dog animal"), ("DOG  animal!", "dog animal"), ("a\tb", "a\tb"), ("a_\tb", "a b"),
            ("~!", ""), ("T.V.", "t.v."),
        ):
            self.assertEqual(evcap.normalised_name(name), normal)

    def test_the_first_of_equal_names_stays(self):
        memories = [("m", ["Dog", "cat", "dog!"], numpy.eye(3))]
        vectors = numpy.array([[1, 0.2, 0.9], [0, 1, 0.1]])
        answer = evcap.merged(vectors, memories, {"k": 10, "merge": {"per_vector": 2, "limit": 4}})
        self.assertEqual(answer["joined"], "cat [SEP] dog")
        self.assertEqual([(one["id"], one["vector"]) for one in answer["results"]], [(2, 1), (1, 0)])
        answer = evcap.merged(vectors, memories, {"k": 1, "merge": {}})
        self.assertEqual(answer["names"], ["cat"])


class ZeroCapTests(unittest.TestCase):
    def test_softmax_is_stable(self):
        for temperature in (1e-6, 0.01, 1e6):
            shares = zerocap.probabilities([0.3, 0.2, 0.3], temperature)
            self.assertAlmostEqual(shares.sum(), 1)
            self.assertAlmostEqual(shares[0], shares[2])
        self.assertAlmostEqual(zerocap.probabilities([0.3, 0.2], 0.1)[0], 1 / (1 + numpy.exp(-1)))


class BLIPTests(unittest.TestCase):
    def test_a_threshold_of_an_origin_goes_before_the_other(self):
        rows = [
            {"origin": origin, "payload": {"itm": score} if score is not None else {}}
            for origin, score in (("web", 0.5), ("human", 0.5), (None, 0.5), ("human", None))
        ]
        wanted = {"score": {"payload": "itm"}, "threshold": 0.4, "thresholds": {"web": 0.6}, "unscored": "drop"}
        self.assertEqual(blip.filtered({}, rows, wanted)["dropped"], [1, 4])


class LexVLATests(unittest.TestCase):
    def test_small_weights_are_pruned(self):
        number = {"a": 0, "b": 1, "c": 2}
        weights = {"c": 0.5, "b": 0.5, "a": 0.1}
        self.assertEqual(lexvla.pruned(weights, number, {"threshold": 0.1000001}), {"b": 0.5, "c": 0.5})
        self.assertEqual(lexvla.pruned(weights, number, {"top": 1}), {"b": 0.5})

    def test_a_score_is_the_sum_of_what_shared_words_add(self):
        sparse = lexvla.Sparse(["a", "b", "c"], [{"a": 1}, {"a": 0.5, "b": 1}, {"c": 1}], {"threshold": 0})
        answer = lexvla.answer_one(
            sparse, None, {"lexical": {"a": 2, "b": 1, "c": -1, "d": 1}, "options": {"k": 5}})
        self.assertEqual([(one["id"], one["score"]) for one in answer["results"]], [(1, 2.0), (2, 2.0)])
        self.assertEqual(answer["results"][1]["terms"], [["a", 1.0, 0.5], ["b", 1.0, 0.5]])

    def test_ranks_are_fused(self):
        sparse = lexvla.Sparse(["a"], [{}, {"a": 1}, {"a": 0.5}], {"threshold": 0})
        dense = numpy.array([0.9, 0.1, 0.5])
        question = {"lexical": {"a": 1}, "options": {"k": 3, "fusion": {"method": "rrf"}}}
        results = lexvla.answer_one(sparse, dense, question)["results"]
        self.assertEqual([one["id"] for one in results], [2, 3, 1])
        self.assertAlmostEqual(results[0]["score"], 1 / 61 + 1 / 63, places=6)


if __name__ == "__main__":
    unittest.main()
