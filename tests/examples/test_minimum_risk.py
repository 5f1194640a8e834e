import sys

import keras
import numpy as np
import pytest

from examples import minimum_risk
from keras_s2s.data import pad_rows
from keras_s2s.layers import RNNDecoder
from keras_s2s.layers import RNNEncoder
from keras_s2s.models import Seq2Seq

EOS = minimum_risk.EOS
IDS = {coin: 4 + place for place, coin in enumerate(minimum_risk.COINS)}


class Sampler:
    """Three answers to each of two sums: the last is the first again."""

    ids = np.array(
        [
            [[IDS[5], EOS, 0, 0, 0], [IDS[2], IDS[2], IDS[1], EOS, 0]],
            [[IDS[10], EOS, 0, 0, 0], [IDS[5], IDS[2], IDS[2], EOS, 0]],
        ]
    )

    def predict_on_batch(self, sources):
        assert sources.tolist() == [[9, 3, 0], [5, 4, 3]]  # 5 and 10
        return {"ids": self.ids[:, [0, 1, 0]]}


def test_a_batch_has_the_cost_of_each_answer_by_hand():
    inputs, labels = minimum_risk.build_batch(Sampler(), [5, 10])
    # One coin for 5, or three; one coin for 10, or 9 in its place.
    expected = [[0, 2 / 3, 0], [0, 1, 0]]
    np.testing.assert_allclose(labels["costs"], expected, rtol=1e-6)
    assert labels["is_new"].tolist() == [[True, True, False]] * 2
    assert labels["ids"].shape == (2, 3, 4)
    assert inputs["source_ids"].tolist() == [[9, 3, 0]] * 3 + [[5, 4, 3]] * 3
    assert inputs["target_ids"][1].tolist() == [2, IDS[2], IDS[2], IDS[1]]


def find_risk(logits, labels, alpha):
    """The risk, from its definition, in float64."""
    risks = []
    for row in range(2):
        powers, costs = [], []
        for answer in range(2):  # the third is the first
            log_prob = 0.0
            for scores, one in zip(
                logits[row, answer], labels["ids"][row, answer]
            ):
                if one:
                    log_prob += scores[one] - np.log(np.exp(scores).sum())
            powers.append(np.exp(log_prob) ** alpha)
            costs.append(labels["costs"][row, answer])
        q = np.array(powers) / sum(powers)
        risks.append(sum(q * costs))
    return np.mean(risks)


def test_the_gradient_is_that_of_the_expected_cost():
    """By differences, in the output's bias, which moves all logits alike."""
    keras.utils.set_random_seed(0)
    size = minimum_risk.VOCABULARY_SIZE
    model = minimum_risk.MinimumRisk(
        RNNEncoder(size, embedding_dim=4, units=4),
        RNNDecoder(size, embedding_dim=4, units=4),
        alpha=0.7,
    )
    model.compile(keras.optimizers.SGD(1.0), run_eagerly=True)
    inputs, labels = minimum_risk.build_batch(Sampler(), [5, 10])
    logits = keras.ops.convert_to_numpy(model(inputs)).astype("float64")
    logits = logits.reshape(2, 3, 4, size)
    step = 1e-5 * np.eye(size)
    expected = [
        find_risk(logits + one, labels, 0.7)
        - find_risk(logits - one, labels, 0.7)
        for one in step
    ]
    (bias,) = [
        weight
        for weight in model.decoder.trainable_variables
        if weight.shape == (size,)
    ]
    before = keras.ops.convert_to_numpy(bias)
    loss = model.train_on_batch(inputs, labels)
    after = keras.ops.convert_to_numpy(bias)
    assert loss == pytest.approx(find_risk(logits, labels, 0.7), rel=1e-5)
    expected = np.array(expected) / 2e-5
    assert np.max(np.abs(expected)) > 0.01
    np.testing.assert_allclose(before - after, expected, atol=1e-6)


@pytest.mark.parametrize(
    "amount, coins", [(87, [50, 20, 10, 5, 2]), (4, [2] * 2)]
)
def test_a_sum_is_paid(amount, coins):
    assert minimum_risk.pay(amount) == coins
    paid = minimum_risk.pay(amount, np.random.default_rng(0))
    assert sum(paid) == amount and len(paid) > len(coins)
    ids = [IDS[coin] for coin in paid]
    assert minimum_risk.read([*ids, EOS, 0]) == paid
    for wrong in (ids, [2, EOS], [minimum_risk.VOCABULARY_SIZE - 1, EOS]):
        assert minimum_risk.read(wrong) is None


def test_payments_are_counted_by_hand(capsys):
    class Answers:
        def predict(self, sources, verbose):
            assert sources == [[9, EOS], [5, 4, EOS], [8, EOS]]
            answers = [[5], [5, 2, 2], [2, 1, 1]]
            ids = [[*map(IDS.get, coins), EOS] for coins in answers]
            return {"ids": pad_rows(ids)[:, None]}

    minimum_risk.report("name", Answers(), [5, 10, 4])
    # The last is right, with a coin too many of three: (0 + 1 + 1/3) / 3.
    expected = "66.7% of sums right, 33.3% with the fewest coins, "
    expected = f"name: {expected}mean cost 0.444\n"
    assert capsys.readouterr().out == expected


def test_the_example_runs(monkeypatch):
    compile_model, reports = Seq2Seq.compile, []

    def compile_eagerly(*args, **kwargs):
        compile_model(*args, run_eagerly=True, **kwargs)

    def fit(model, data, **kwargs):
        """In the place of training: looks at what it would learn."""
        inputs, labels, _ = data[0]
        assert len(labels) == 9
        for source, answer in zip(inputs["source_ids"], labels):
            digits = [str(one - 4) for one in source if one > EOS]
            assert sum(minimum_risk.read(answer)) == int("".join(digits))

    monkeypatch.setattr(Seq2Seq, "compile", compile_eagerly)
    monkeypatch.setattr(Seq2Seq, "fit", fit)
    monkeypatch.setattr(minimum_risk, "MAX_LENGTH", 4)
    monkeypatch.setattr(
        minimum_risk, "report", lambda *args: reports.append(args)
    )
    options = "--pairs=9 --epochs=1 --updates=1 --units=8 --samples=2"
    monkeypatch.setattr(sys, "argv", ["minimum_risk.py", *options.split()])
    minimum_risk.main()
    names, (best, again), (held_out, _) = zip(*reports)
    assert names == ("likelihood", "risk, 1 updates")
    assert best is again and len(held_out) == 50
