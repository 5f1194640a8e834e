"""Given targets are scored as the search would score them."""

import keras
import numpy as np
import pytest

from keras_s2s import decoding
from keras_s2s import layers
from keras_s2s.models import InferenceModel
from keras_s2s.models import Seq2Seq
from keras_s2s.models.scoring import make_scorer
from tests import laws
from tests import numerics
from tests import pairs
from tests.layers import test_parallel_encoder as several

SEARCHES = {
    "greedy": decoding.GreedySearch(),
    "gnmt": decoding.BeamSearch(
        3, "gnmt", 0.9, num_hypotheses=3, word_reward=0.4, offset=2.0
    ),
    "coverage": decoding.BeamSearch(
        3,
        "power",
        1.0,
        False,
        num_hypotheses=3,
        word_reward=-0.2,
        coverage_penalty=0.7,
    ),
    "samples": decoding.RandomSampling(num_samples=3, seed=0),
    "stochastic": decoding.StochasticBeamSearch(3, 0.7, seed=0),
    # Some of length 1, and some that never end.
    "never twice": decoding.BeamSearch(
        3, num_hypotheses=3, constraints=[decoding.NoRepeatNgrams(1)]
    ),
}


@pytest.mark.parametrize(
    "name, search",
    [
        *[
            ("default", search)
            for search in SEARCHES
            if search not in ("gnmt", "stochastic")
        ],
        ("llama", "gnmt"),
        ("llama", "coverage"),
        ("chunkwise", "coverage"),
        ("llama", "stochastic"),
    ],
)
def test_a_score_is_that_of_the_search(name, search, eagerly):
    source_ids = pairs.sentences()[0]
    inference = InferenceModel(
        pairs.model_of(name), SEARCHES[search], max_length=6
    )
    expected = numerics.numpy(inference(source_ids))
    for n in range(expected["ids"].shape[1]):
        found = inference.score(source_ids, expected["ids"][:, n], verbose=0)
        assert set(found) == {"scores", "lengths", "token_scores"}
        np.testing.assert_array_equal(
            found["lengths"], expected["lengths"][:, n]
        )
        length = found["token_scores"].shape[1]
        assert length == expected["lengths"][:, n].max()
        token_scores = expected["token_scores"][:, n, :length]
        numerics.assert_close(found["token_scores"], token_scores, 1e-5)
        numerics.assert_close(found["scores"], expected["scores"][:, n], 1e-5)


def test_a_score_depends_on_its_pair_alone_and_comes_in_its_place(capsys):
    random = np.random.default_rng(0)
    sources, targets = (
        [random.integers(4, 11, n).tolist() for n in lengths]
        for lengths in ((2, 7, 1, 5, 3), (4, 1, 2, 6, 2))
    )
    inference = InferenceModel(
        pairs.model_of("transformer"), SEARCHES["coverage"]
    )
    found = inference.score(sources, targets, batch_size=2)
    assert "5/5" in capsys.readouterr().out
    assert found["lengths"].tolist() == [4, 1, 2, 6, 2]
    for row, (source, target) in enumerate(zip(sources, targets)):
        alone = inference.score([source], [target], verbose=0)
        length = len(target)
        numerics.assert_close(
            found["token_scores"][row, :length], alone["token_scores"][0], 1e-5
        )
        assert not np.any(found["token_scores"][row, length:])
        assert found["scores"][row] == pytest.approx(
            alone["scores"][0], rel=1e-5
        )


def test_scores_follow_the_weights_and_survive_saving(tmp_path):
    encoder, decoder = pairs.make_layers("default")
    inference = InferenceModel(Seq2Seq(encoder, decoder))
    pair = [[5, 6, 3]], [[7, 3]]
    before = inference.score(*pair, verbose=0)["scores"]
    inference.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    numerics.assert_close(loaded.score(*pair, verbose=0)["scores"], before, 0)
    for weight in decoder.weights:
        weight.assign(weight + 0.1)
    assert inference.score(*pair, verbose=0)["scores"] != before


def test_captions_of_vectors_are_scored(eagerly):
    encoder = layers.RNNVectorEncoder(3, 4, 4)
    decoder = layers.RNNDecoder(11, 4, 5)
    model = Seq2Seq(*pairs.build(encoder, decoder))
    vectors = np.random.default_rng(0).normal(size=(3, 4, 3)).astype("float32")
    found = InferenceModel(model).score(vectors, [[5, 3], [6], [3]], verbose=0)
    logits = model(
        {
            "source_vectors": vectors,
            "target_ids": np.array([[2, 5], [2, 0], [2, 0]], "int32"),
        }
    )
    log_probs = laws.log_softmax(numerics.numpy(logits))
    expected = [
        log_probs[0, 0, 5] + log_probs[0, 1, 3],
        log_probs[1, 0, 6],
        log_probs[2, 0, 3],
    ]
    numerics.assert_close(found["scores"], np.array(expected), 1e-5)


def test_targets_of_several_sources_are_scored(eagerly):
    model, sources = several.model_of_two(), several.SOURCES
    inference = InferenceModel(model, SEARCHES["greedy"], max_length=6)
    expected = numerics.numpy(inference(sources))
    found = inference.score(sources, expected["ids"][:, 0], 2, verbose=0)
    numerics.assert_close(found["scores"], expected["scores"][:, 0], 1e-5)


@pytest.mark.parametrize(
    "sources, targets, message",
    [
        ([[5], [6]], [[5]], "`target_ids` must be one for each of 2 sources"),
        ([[5]], [[0, 0]], r"`target_ids\[0\]` must be a target with at least"),
        ([[5], [6]], [[5], [99]], r"`target_ids\[1\]` must hold ids in \[0, 1"),
        ([[99]], [[5]], "`source_ids` must hold ids in"),
    ],
)
def test_bad_pairs_are_refused(sources, targets, message):
    inference = InferenceModel(pairs.model_of("default"))
    with pytest.raises(ValueError, match=message):
        inference.score(sources, targets, verbose=0)


def test_targets_longer_than_learned_positions_are_refused():
    decoder = layers.TransformerDecoder(
        9, 8, 8, 1, 2, positions="learned", max_positions=4
    )
    encoder = layers.TransformerEncoder(9, 8, 8, 1, 2)
    inference = InferenceModel(Seq2Seq(encoder, decoder), max_length=4)
    with pytest.raises(ValueError, match="`target_ids` must be at most 4"):
        inference.score([[5, 3]], [[5] * 5], verbose=0)


def test_coverage_needs_a_decoder_that_says_where_it_looked():
    encoder = layers.RNNEncoder(11, 4, 5)
    decoder = layers.RNNDecoder(11, 4, 5, attention=None)
    with pytest.raises(ValueError, match="`decoder` must be one with `attend"):
        make_scorer(encoder, decoder, reads_alignments=True)
