"""Minimum risk training: a model that pays with few coins, learnt from waste.

The source is a sum in cents, the target the coins that pay it:

    87  ->  50 20 10 5 2

The shop assistants who are copied get every sum right, but waste coins: 87
may be 20 50 10 2 2 2 1. Trained by likelihood, a model learns to waste as they
do, for no label says what is better. A cost does, one that a program
computes of any answer: here 1 for a wrong sum, else the share of coins that
are too many. Minimum risk training (Shen et al., 2016) lowers the expected
cost: the model draws N answers to a source, S, each is given its cost, and

    risk = sum over y in S of Q(y) cost(y),   Q(y) = p(y)^alpha / sum of these

has a gradient that makes cheap answers likelier, at the price of others.

`MinimumRisk` is all there is to it: a `Seq2Seq` with a `compute_loss` of its
own, for any encoder, decoder and cost: of a translator, 1 - chrF of a sentence
and its reference. This example trains by likelihood, then the same layers by
risk, and counts how sums that it had not seen are paid, in about a minute:

    python examples/minimum_risk.py

Source: Shen et al., 2016, equations 5 to 8, https://aclanthology.org/P16-1159
"""

import argparse

import keras
import numpy as np
from keras import ops

import keras_s2s as s2s

COINS = [50, 20, 10, 5, 2, 1]
PAD, BOS, EOS = 0, 2, 3
FIRST_ID = 4  # below are the special ids
VOCABULARY_SIZE = FIRST_ID + 10  # digits of a source, coins of a target
LARGEST_SUM = 199
NUM_HELD_OUT = 50
MAX_LENGTH = 24  # of an answer, its end included
WASTE = 0.6  # how often a smaller coin is taken than fits


class MinimumRisk(s2s.models.Seq2Seq):
    """A model that is trained by the costs of its own answers.

    The inputs of a training step have each source N times, `(B * N, S)`; its
    labels are a dict: `ids`, int32 `(B, N, T)`, `costs`, float32 `(B, N)`, and
    `is_new`, bool `(B, N)`, False where an answer came before: S is a set.
    `alpha`, float > 0, is how sharp Q is.
    """

    def __init__(self, encoder, decoder, alpha=0.25, **kwargs):
        super().__init__(encoder, decoder, **kwargs)
        self.alpha = alpha

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        ids = ops.reshape(y["ids"], ops.shape(y_pred)[:2])
        losses = s2s.losses.sequence_loss_by_example(
            y_pred, ids, ids != PAD, average_across_timesteps=False
        )
        log_probs = -ops.reshape(losses, ops.shape(y["costs"]))
        log_probs = ops.where(y["is_new"], self.alpha * log_probs, -1e9)
        q = ops.softmax(log_probs, axis=-1)
        return ops.mean(ops.sum(q * y["costs"], axis=-1))


def pay(amount, random=None):
    """Returns the fewest coins; or, drawn at random, some more."""
    coins = []
    while amount:
        fitting = [coin for coin in COINS if coin <= amount]
        wastes = random is not None and random.random() < WASTE
        coins.append(fitting[:2][-1 if wastes else 0])
        amount -= coins[-1]
    return coins


def spell(amount):
    return [FIRST_ID + int(digit) for digit in str(amount)] + [EOS]


def read(ids):
    """Returns the coins of an answer, or None if it is none."""
    ids = list(ids)
    if EOS not in ids:
        return None
    coins = dict(enumerate(COINS, FIRST_ID))
    answer = [coins.get(one) for one in ids[: ids.index(EOS)]]
    return None if None in answer else answer


def find_cost(amount, coins):
    """Returns 1 for a wrong sum, else the share of coins too many, < 1."""
    if coins is None or sum(coins) != amount:
        return 1.0
    return 1.0 - len(pay(amount)) / len(coins)


def build_batch(sampler, amounts):
    """Draws answers. Returns the inputs and the labels of a training step."""
    sources = s2s.data.pad_rows(list(map(spell, amounts)))
    ids = sampler.predict_on_batch(sources)["ids"]
    ids = ids[..., : np.max(np.sum(ids != PAD, axis=-1))]
    costs = [
        [find_cost(amount, read(answer)) for answer in answers]
        for amount, answers in zip(amounts, ids)
    ]
    is_same = np.all(ids[:, :, None] == ids[:, None, :], axis=-1)
    labels = {
        "ids": ids,
        "costs": np.array(costs, "float32"),
        "is_new": ~np.any(np.tril(is_same, -1), axis=-1),
    }
    targets = np.full((ids.shape[0] * ids.shape[1], ids.shape[2]), BOS)
    targets[:, 1:] = ids[..., :-1].reshape(len(targets), -1)
    sources = np.repeat(sources, ids.shape[1], axis=0)
    return {"source_ids": sources, "target_ids": targets}, labels


def report(name, inference, amounts):
    """Prints how sums are paid."""
    found = inference.predict(list(map(spell, amounts)), verbose=0)
    answers = map(read, found["ids"][:, 0])
    costs = np.array(list(map(find_cost, amounts, answers)))
    print(
        f"{name}: {np.mean(costs < 1):.1%} of sums right, "
        f"{np.mean(costs == 0):.1%} with the fewest coins, "
        f"mean cost {np.mean(costs):.3f}",
        flush=True,
    )


def train_by_likelihood(encoder, decoder, amounts, random, options):
    """Trains to pay as shop assistants do."""
    model = s2s.models.Seq2Seq(encoder, decoder)
    model.compile(
        keras.optimizers.Adam(1e-2, clipnorm=1.0), s2s.losses.SequenceLoss()
    )
    paid = random.choice(amounts, options.pairs)
    targets = [
        [FIRST_ID + COINS.index(coin) for coin in pay(amount, random)]
        for amount in paid
    ]
    sources = list(map(spell, paid))
    data = s2s.data.SequencePairs(sources, targets, batch_size=256)
    model.fit(data, epochs=options.epochs, shuffle=False, verbose=2)


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--pairs", type=int, default=8000, help="payments to copy")
    add("--epochs", type=int, default=15, help="by likelihood")
    add("--updates", type=int, default=200, help="by risk")
    add("--batch-size", type=int, default=24, help="sums in an update")
    add("--samples", type=int, default=12, help="answers to each")
    add("--alpha", type=float, default=0.25, help="how sharp Q is")
    add("--units", type=int, default=64, help="size of the states")
    add("--seed", type=int, default=0)
    return parser.parse_args()


def main():
    options = parse_options()
    keras.utils.set_random_seed(options.seed)
    random = np.random.default_rng(options.seed)
    amounts = 1 + random.permutation(LARGEST_SUM)
    held_out, amounts = amounts[:NUM_HELD_OUT], amounts[NUM_HELD_OUT:]

    sizes = {"embedding_dim": 32, "units": options.units, "cell": "gru"}
    encoder = s2s.layers.RNNEncoder(VOCABULARY_SIZE, **sizes)
    decoder = s2s.layers.RNNDecoder(VOCABULARY_SIZE, **sizes)
    train_by_likelihood(encoder, decoder, amounts, random, options)

    model = MinimumRisk(encoder, decoder, options.alpha)
    model.compile(keras.optimizers.Adam(2e-3, clipnorm=1.0))
    samples = s2s.decoding.RandomSampling(num_samples=options.samples)
    sampler = s2s.models.InferenceModel(model, samples, MAX_LENGTH)
    greedy = s2s.decoding.GreedySearch()
    best = s2s.models.InferenceModel(model, greedy, MAX_LENGTH)
    report("likelihood", best, held_out)
    for update in range(1, options.updates + 1):
        chosen = random.choice(amounts, options.batch_size, replace=False)
        model.train_on_batch(*build_batch(sampler, chosen))
        if update % 50 == 0 or update == options.updates:
            report(f"risk, {update} updates", best, held_out)


if __name__ == "__main__":
    main()
