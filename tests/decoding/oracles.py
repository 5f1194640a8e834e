"""Slow NumPy searches and fake models, written from the definitions alone.

A fake model is a batch of B unrelated random models. `step` is what a search
calls; `log_probabilities` is the same model, run again over a whole prefix.
"""

import itertools
import math

import numpy as np
from keras import ops

from tests.decoding.scores import reachable
from tests.decoding.scores import score_of

BOS, EOS, PAD = 1, 2, 0
NAMES = ("ids", "lengths", "scores", "token_scores")


class HistoryModel:
    """Its logits depend on every token so far, by three tensors of state.

    A float memory of all tokens, an integer list of all tokens, and the
    alignment, which the memory sets: a state tensor that is not permuted
    with its hypothesis changes scores. Of the three positions of a source
    the last are padding, in some sentences, if it is `padded`.
    """

    def __init__(
        self,
        num_sentences,
        seed=0,
        vocabulary_size=5,
        max_length=5,
        scale=2.5,
        eos_bias=0.0,
        banned=0.0,
        padded=False,
    ):
        random = np.random.default_rng(seed)
        batch, size, units = num_sentences, vocabulary_size, 6
        self.max_length = max_length
        self.num_sentences = batch
        self.vocabulary_size = size
        self.weights = {
            "inputs": random.normal(size=(batch, size, units)),
            "inner": random.normal(size=(batch, units, units)),
            "outputs": random.normal(size=(batch, units, size)) * scale / 2,
            "older": random.normal(size=(batch, max_length, size, size)),
            "source": random.normal(size=(batch, units, 3)),
        }
        bias = random.normal(size=(batch, max_length, size)) * scale / 2
        bias[:, :, EOS] += eos_bias
        bias[random.random(bias.shape) < banned] = -math.inf
        self.weights["bias"] = bias
        real = np.arange(3) < 1 + np.arange(batch)[:, None] % 3
        self.weights["real"] = real if padded else np.ones_like(real)
        self.weights = {
            name: value.astype("float32")
            for name, value in self.weights.items()
        }

    @property
    def mask(self):
        return self.weights["real"] > 0

    def pad_sources(self, count):
        """Returns the model with so many more positions of padding."""
        part = self.rows(slice(None))
        for name in ("source", "real"):
            value = part.weights[name]
            widths = [(0, 0)] * (value.ndim - 1) + [(0, count)]
            part.weights[name] = np.pad(value, widths)
        return part

    def rows(self, rows):
        """Returns the model of these sentences alone."""
        part = object.__new__(HistoryModel)
        part.__dict__.update(self.__dict__)
        part.weights = {name: v[rows] for name, v in self.weights.items()}
        part.num_sentences = len(part.weights["bias"])
        return part

    def state(self, beam_size):
        shape = (self.num_sentences, beam_size)
        return {
            "memory": (np.zeros((*shape, 6), "float32"),),
            "history": [np.zeros((*shape, self.max_length), "int32")],
            "alignment": np.zeros((*shape, self.mask.shape[1]), "float32"),
        }

    @property
    def context(self):
        return self.weights

    def step(self, token_ids, state, context, position):
        size = self.vocabulary_size
        token = ops.one_hot(token_ids, size)
        memory = ops.tanh(
            ops.matmul(token, context["inputs"])
            + ops.matmul(state["memory"][0], context["inner"])
        )
        here = ops.equal(ops.arange(self.max_length), position)
        history = ops.where(
            here, ops.expand_dims(token_ids, -1), state["history"][0]
        )
        logits = ops.matmul(memory, context["outputs"])
        older = ops.one_hot(history, size)
        older = ops.cast(older, "float32") * ops.reshape(
            ops.cast(ops.arange(self.max_length) <= position, "float32"),
            (1, 1, -1, 1),
        )
        logits = logits + ops.einsum("bktv,btvw->bkw", older, context["older"])
        bias = ops.take(context["bias"], position, axis=1)
        logits = logits + ops.expand_dims(bias, 1)
        return logits, {
            "memory": (memory,),
            "history": [history],
            "alignment": ops.softmax(
                ops.where(
                    ops.expand_dims(context["real"] > 0, 1),
                    ops.matmul(memory, context["source"]),
                    -math.inf,
                )
            ),
        }

    def memory_of(self, sentence, prefix):
        weights = {
            name: value[sentence] for name, value in self.weights.items()
        }
        memory = np.zeros(6)
        for token in (BOS, *prefix):
            memory = np.tanh(
                weights["inputs"][token].astype("float64")
                + memory @ weights["inner"]
            )
        return memory, weights

    def log_probabilities(self, sentence, prefix):
        """Returns float64 `(V,)`, what may follow `prefix`."""
        memory, weights = self.memory_of(sentence, prefix)
        logits = memory @ weights["outputs"]
        for position, token in enumerate((BOS, *prefix)):
            logits = logits + weights["older"][position, token]
        logits = logits + weights["bias"][len(prefix)]
        if np.all(logits == -math.inf):
            return logits
        highest = logits.max()
        return logits - highest - math.log(np.exp(logits - highest).sum())

    def alignment(self, sentence, prefix):
        """Returns the alignment of the step that follows `prefix`."""
        memory, weights = self.memory_of(sentence, prefix)
        weighted = np.exp(memory @ weights["source"]) * weights["real"]
        return weighted / weighted.sum()


def run(search, model, **options):
    """Searches and returns a dict of NumPy arrays."""
    options = {
        "batch_size": model.num_sentences,
        "max_length": model.max_length,
        "bos_id": BOS,
        "eos_id": EOS,
        "pad_id": PAD,
        "memory_mask": model.mask,
    } | options
    state = options.pop("state", None)
    if state is None:
        state = model.state(search.beam_size)
    result = search.search(model.step, state, model.context, **options)
    return {name: ops.convert_to_numpy(part) for name, part in result.items()}


def fixed_step(logits):
    """A step whose logits `(B, T, V)` depend on the position alone."""

    def step(token_ids, state, context, position):
        here = ops.take(ops.convert_to_tensor(logits), position, axis=1)
        shape = (len(logits), token_ids.shape[1], logits.shape[-1])
        return ops.broadcast_to(ops.expand_dims(here, 1), shape), state

    return step


def search_fixed(search, logits, **options):
    logits = np.asarray(logits, "float32")
    options = {"bos_id": BOS, "eos_id": EOS, "pad_id": PAD} | options
    result = search.search(
        fixed_step(logits),
        {},
        batch_size=len(logits),
        max_length=logits.shape[1],
        **options,
    )
    return {name: ops.convert_to_numpy(part) for name, part in result.items()}


def anything(log_probs, prefix):
    """Restricts nothing: what ranks is the log-probability."""
    return log_probs


def brute_force(model, sentence, setting, restrict=anything):
    """Scores every sequence there is; returns (ids, score, token scores).

    `restrict(log_probs, prefix)` returns what ranks instead, `(V,)`.
    """
    finished, unfinished = [], []
    words = [v for v in range(model.vocabulary_size) if v != EOS]
    known = {}
    for length in range(1, model.max_length + 1):
        for prefix in itertools.product(words, repeat=length - 1):
            scores = model.log_probabilities(sentence, prefix)
            known[prefix] = scores, restrict(scores, prefix)
    for length in range(1, model.max_length + 1):
        for prefix in itertools.product(words, repeat=length - 1):
            lasts = words if length == model.max_length else []
            for last in [EOS, *lasts]:
                ids = (*prefix, last)
                parts, ranks = (
                    [known[ids[:i]][kind][token] for i, token in enumerate(ids)]
                    for kind in range(2)
                )
                if sum(ranks) > -math.inf:
                    score = score_of(
                        model, sentence, ids, sum(ranks), last == EOS, setting
                    )
                    entry = (ids, score, parts)
                    (finished if last == EOS else unfinished).append(entry)
    best = sorted(finished, key=lambda entry: -entry[1])
    return best + sorted(unfinished, key=lambda entry: -entry[1])


def continue_all(model, sentence, still_open, restrict, costs=()):
    """Every continuation of hypotheses, the best first."""
    candidates = []
    for ids, total, parts in still_open:
        scores = model.log_probabilities(sentence, ids)
        ranks = restrict(scores, ids)
        for token, rank in enumerate(ranks):
            if rank > -math.inf:
                rank = rank - (costs[token] if len(costs) else 0.0)
                parts_after = [*parts, scores[token]]
                candidates.append(((*ids, token), total + rank, parts_after))
    return sorted(candidates, key=lambda entry: -entry[1])


def sort_out(candidates, beam_size, model, sentence, setting):
    """Returns the K that stay open, and those that end, scored."""
    still_open, ended = [], []
    for rank, (ids, total, parts) in enumerate(candidates[: 2 * beam_size]):
        if ids[-1] != EOS:
            still_open.append((ids, total, parts))
        elif rank < beam_size:
            score = score_of(model, sentence, ids, total, True, setting)
            ended.append((ids, score, parts))
    still_open = still_open[:beam_size]
    return sorted(still_open, key=lambda entry: -entry[1]), ended


def rank_open(still_open, model, sentence, setting):
    """Scores what is open at the end, the best first."""
    entries = [
        (ids, score_of(model, sentence, ids, total, False, setting), parts)
        for ids, total, parts in still_open
    ]
    return sorted(entries, key=lambda entry: -entry[1])


def plain_beam(
    model,
    sentence,
    beam_size,
    setting,
    early_stopping=False,
    restrict=anything,
    arrange=list,
):
    """Beam search as it is defined, that goes on to the end regardless.

    `arrange(candidates)` puts them into the order in which they are taken.

    Returns:
        The hypotheses, as `brute_force` does, and the number of steps after
        which nothing could change them any more.
    """
    max_length = model.max_length
    still_open, pool = [((), 0.0, [])], []
    needed = None
    for length in range(1, max_length + 1):
        candidates = continue_all(model, sentence, still_open, restrict)
        still_open, ended = sort_out(
            arrange(candidates), beam_size, model, sentence, setting
        )
        pool += ended
        pool = sorted(pool, key=lambda entry: -entry[1])[:beam_size]
        full = len(pool) == beam_size
        if early_stopping and full:
            still_open = []
        ahead = range(length + 1, max_length + 1)
        if needed is None and (
            not still_open
            or full
            and reachable(still_open[0][1], ahead, setting) <= pool[-1][1]
        ):
            needed = length
    rest = rank_open(still_open, model, sentence, setting)
    return (pool + rest)[:beam_size], needed or max_length


def diverse_beam(
    model,
    sentence,
    sizes,
    diversity,
    setting,
    restrict=anything,
    arrange=list,
):
    """Beam searches side by side, by definition: `sizes` beams in each.

    A group that is done, for nothing open can enter its pool, goes no further.
    """
    max_length = model.max_length
    groups = [{"open": [((), 0.0, [])], "pool": []} for _ in sizes]
    for length in range(1, max_length + 1):
        costs = np.zeros(model.vocabulary_size)
        for size, group in zip(sizes, groups):
            candidates = continue_all(
                model, sentence, group["open"], restrict, costs
            )
            still_open, ended = sort_out(
                arrange(candidates), size, model, sentence, setting
            )
            pool = sorted(group["pool"] + ended, key=lambda entry: -entry[1])
            group["pool"] = pool = pool[:size]
            # At the last step, as if what is open could still end there.
            ahead = range(min(length + 1, max_length), max_length + 1)
            if (
                still_open
                and len(pool) == size
                and reachable(still_open[0][1], ahead, setting) <= pool[-1][1]
            ):
                still_open = []
            group["open"] = still_open
            for ids, _, _ in still_open:
                costs[ids[-1]] += diversity
    finished, unfinished = [], []
    for size, group in zip(sizes, groups):
        rest = rank_open(group["open"], model, sentence, setting)
        finished += group["pool"]
        unfinished += rest[: size - len(group["pool"])]
    return [
        entry
        for entries in (finished, unfinished)
        for entry in sorted(entries, key=lambda entry: -entry[1])
    ]


def check_hypotheses(result, sentence, expected, num_ids=None):
    """Holds what a search returned for a sentence to a list of entries."""
    num_hypotheses, max_length = result["ids"].shape[1:]
    for place in range(num_hypotheses):
        row = {name: result[name][sentence, place] for name in NAMES}
        if place >= len(expected):
            assert row["scores"] == -math.inf
            assert row["lengths"] == 0
            assert not row["token_scores"].any()
            assert (row["ids"] == PAD).all()
            continue
        ids, score, parts = expected[place]
        np.testing.assert_allclose(row["scores"], score, rtol=2e-5, atol=1e-5)
        if num_ids is not None and place >= num_ids:
            continue
        padding = max_length - len(ids)
        assert row["lengths"] == len(ids)
        assert row["ids"].tolist() == [*ids] + [PAD] * padding
        np.testing.assert_allclose(
            row["token_scores"], [*parts] + [0] * padding, atol=2e-5
        )
