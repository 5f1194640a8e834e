"""Minimum risk training: a model that pays with few coins, learnt from waste.

The source is a sum in cents, the target the coins that pay it:

    87  ->  50 20 10 5 2

The shop assistants who are copied get every sum right, but waste coins: 87
may be 20 20 20 10 10 5 1 1. Trained by likelihood, a model learns to waste as
they do, as no label says what is better. A cost does, one that a program
computes of any answer: here 1 for a wrong sum, else the share of coins that
are too many. Minimum risk training (Shen et al., 2016) lowers the expected
cost: the model draws N answers to a source, S, each is given its cost, and

    risk = sum over y in S of Q(y) cost(y),   Q(y) = p(y)^alpha / sum of these

has a gradient that makes cheap answers likelier, at the price of others.

`MinimumRisk` is all there is to it: a `Seq2Seq` with a `compute_loss` of its
own. It takes any encoder and decoder, and any cost: of a translator, 1 - chrF
of a sentence and its reference. This example trains by likelihood first, then
with the same layers by risk, and prints what sums it had not seen are paid
with. About a minute and a half on two processor cores:

    python examples/minimum_risk.py

Source: Shen et al., 2016, equations 5 to 8, https://aclanthology.org/P16-1159
"""

import argparse
import time

import keras
import numpy as np
from keras import ops

import keras_s2s as s2s

COINS = [50, 20, 10, 5, 2, 1]
PAD, EOS = 0, 3
FIRST_ID = 4  # below are the special ids
VOCABULARY_SIZE = FIRST_ID + 10  # digits of a source, coins of a target
LARGEST_SUM = 199
MAX_COINS = 24


class MinimumRisk(s2s.models.Seq2Seq):
    """A model that is trained by the costs of its own answers.

    Args:
        encoder, decoder: as for `Seq2Seq`.
        alpha: float > 0. How sharp Q is.

    Call arguments:
        inputs: dict of `source_ids`, int32 `(B * N, S)`, each source N times,
            and `target_ids`, int32 `(B * N, T)`.

    The labels of training are a dict: `ids`, int32 `(B, N, T)`, `costs`,
    float32 `(B, N)`, and `is_new`, bool `(B, N)`, False where an answer came
    before: S is a set.
    """

    def __init__(self, encoder, decoder, alpha=0.25, **kwargs):
        super().__init__(encoder, decoder, **kwargs)
        self.alpha = alpha

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        ids = ops.reshape(y["ids"], (-1, y["ids"].shape[-1]))
        losses = s2s.losses.sequence_loss_by_example(
            y_pred, ids, ids != PAD, average_across_timesteps=False
        )
        log_probs = -ops.reshape(losses, ops.shape(y["costs"]))
        log_probs = ops.where(y["is_new"], self.alpha * log_probs, -1e9)
        q = ops.softmax(log_probs, axis=-1)
        return ops.mean(ops.sum(q * y["costs"], axis=-1))


def pay(amount, random=None):
    """Returns coins, the largest first: the fewest, or some at random."""
    coins = []
    while amount:
        fit = [c for c in COINS if c <= min([amount, *coins[-1:]])]
        coins.append(fit[0] if random is None else int(random.choice(fit[:3])))
        amount -= coins[-1]
    return coins


def spell(amount):
    return [FIRST_ID + int(digit) for digit in str(amount)] + [EOS]


def read(ids):
    """Returns the coins of an answer, or None of one without an end."""
    ids = list(ids)
    if EOS not in ids:
        return None
    places = [one - FIRST_ID for one in ids[: ids.index(EOS)]]
    is_money = all(0 <= place < len(COINS) for place in places)
    return [COINS[place] for place in places] if is_money else None


def find_cost(amount, coins):
    """Returns 1 for a wrong sum, else the share of coins too many, < 1."""
    if coins is None or sum(coins) != amount:
        return 1.0
    return 1.0 - len(pay(amount)) / len(coins)


def build_batch(sampler, amounts):
    """Draws answers. Returns the inputs and the labels of a training step."""
    sources = s2s.data.pad_rows([spell(amount) for amount in amounts])
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
    targets = ids.reshape(-1, ids.shape[-1])
    inputs = {
        "source_ids": np.repeat(sources, ids.shape[1], axis=0),
        "target_ids": np.pad(
            targets[:, :-1], [(0, 0), (1, 0)], constant_values=2
        ),
    }
    return inputs, labels


def report(name, inference, amounts):
    """Prints how held-out sums are paid. Returns the mean cost."""
    sources = [spell(amount) for amount in amounts]
    ids = inference.predict(sources, batch_size=256, verbose=0)["ids"][:, 0]
    answers = [read(answer) for answer in ids]
    costs = np.array(list(map(find_cost, amounts, answers)))
    print(
        f"{name}: {np.mean(costs < 1):.1%} of sums right, "
        f"{np.mean(costs == 0):.1%} with the fewest coins, "
        f"mean cost {np.mean(costs):.3f}",
        flush=True,
    )
    return np.mean(costs)


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--pairs", type=int, default=8000, help="payments to copy")
    add("--epochs", type=int, default=5, help="by likelihood")
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
    amounts = random.permutation(np.arange(1, LARGEST_SUM + 1))
    held_out, amounts = amounts[:50], amounts[50:]

    sizes = {"embedding_dim": 32, "units": options.units, "cell": "gru"}
    encoder = s2s.layers.RNNEncoder(VOCABULARY_SIZE, **sizes)
    decoder = s2s.layers.RNNDecoder(VOCABULARY_SIZE, **sizes)
    copying = s2s.models.Seq2Seq(encoder, decoder)
    copying.compile(
        keras.optimizers.Adam(1e-2, clipnorm=1.0), s2s.losses.SequenceLoss()
    )
    paid = random.choice(amounts, options.pairs)
    targets = [
        [FIRST_ID + COINS.index(coin) for coin in pay(amount, random)]
        for amount in paid
    ]
    data = s2s.data.SequencePairs(
        [spell(amount) for amount in paid],
        targets,
        batch_size=256,
        seed=options.seed,
    )
    start = time.perf_counter()
    copying.fit(data, epochs=options.epochs, shuffle=False, verbose=2)
    print(f"{time.perf_counter() - start:.0f} s by likelihood")

    model = MinimumRisk(encoder, decoder, options.alpha)
    model.compile(keras.optimizers.Adam(2e-3, clipnorm=1.0))
    greedy = s2s.models.InferenceModel(
        model, s2s.decoding.GreedySearch(), MAX_COINS
    )
    search = s2s.decoding.RandomSampling(
        num_samples=options.samples, seed=options.seed
    )
    sampler = s2s.models.InferenceModel(model, search, MAX_COINS)
    report("likelihood", greedy, held_out)
    start = time.perf_counter()
    for update in range(1, options.updates + 1):
        chosen = random.choice(amounts, options.batch_size, replace=False)
        model.train_on_batch(*build_batch(sampler, chosen))
        if update % 50 == 0:
            report(f"risk, {update} updates", greedy, held_out)
    print(f"{time.perf_counter() - start:.0f} s by risk")


if __name__ == "__main__":
    main()
