import functools
import json

import ctranslate2
import keras
import numpy as np
import pytest
import sentencepiece

import keras_s2s as s2s
from keras_s2s.export import to_ctranslate2
from tests import laws
from tests import numerics
from tests import pairs
from tests.benchmarks import ctranslate2_agreement

SOURCE_SIZE, TARGET_SIZE = 13, 11
LONGEST = 12  # tokens of a target, with its end token
SIZES = {"embedding_dim": 16, "hidden_dim": 12, "num_layers": 2, "num_heads": 4}
# Options of both sides, of the encoder and of the decoder.
OPTIONS = {
    "default": ({}, {}, {}),
    "post-norm": ({"normalize_first": False}, {}, {}),
    "either norm": ({}, {}, {"normalize_first": False}),
    "unscaled": ({"scale_embeddings": False}, {}, {}),
    "gelu": ({"activation": "gelu"}, {}, {}),
    "swiglu": ({"activation": "swiglu"}, {}, {}),
    "rms": ({"normalization": "rms"}, {}, {}),
    "learned": ({"positions": "learned", "max_positions": 40}, {}, {}),
    "unplaced": ({"positions": None}, {}, {}),
    "rotary": ({"positions": "rotary"}, {}, {}),
    "grouped": ({"num_kv_heads": 2}, {}, {}),
    "one group": ({"num_kv_heads": 1}, {}, {}),
    "tied": ({}, {}, {"tie_embeddings": True}),
    "unlike": (
        {},
        {"embedding_dim": 24, "num_heads": 2, "num_layers": 1},
        {"embedding_dim": 15, "num_heads": 3, "positions": "learned"}
        | {"max_positions": 16},
    ),
    "llama": (
        {"activation": "swiglu", "normalization": "rms"}
        | {"positions": "rotary", "num_kv_heads": 2},
        {},
        {},
    ),
}
# With other weights, these give each source the same target.
SEEDS = {"either norm": 8, "grouped": 6, "one group": 1, "unlike": 4}


def make_model(name="default", dtype="float32"):
    both, encoder_options, decoder_options = OPTIONS[name]
    options = {**SIZES, **both, "dtype": dtype}
    encoder = s2s.layers.TransformerEncoder(
        SOURCE_SIZE, **{**options, **encoder_options}
    )
    decoder = s2s.layers.TransformerDecoder(
        TARGET_SIZE, **{**options, **decoder_options}
    )
    pairs.build(encoder, decoder, SEEDS.get(name, 0))
    bias = numerics.numpy(decoder.output_layer.bias.value)
    # With weights that are drawn, else all end at once. What a trained model
    # does is tested below.
    bias[:4] = -30.0
    decoder.output_layer.bias.assign(bias)
    return s2s.models.Seq2Seq(encoder, decoder)


model_of = functools.cache(make_model)


def random_sources(count=20, longest=7):
    random = np.random.default_rng(3)
    lengths = random.integers(1, longest + 1, count)
    return [random.integers(4, SOURCE_SIZE, n).tolist() for n in lengths]


def padded(sources):
    length = max(map(len, sources)) + 1
    ids = np.zeros((len(sources), length), "int32")
    for row, source in zip(ids, sources):
        row[: len(source) + 1] = [*source, pairs.EOS]
    return ids


def words(ids):
    return [str(id_) for id_ in ids]


def translate(translator, sources, beam_size=1, length_penalty=0.0, **options):
    """Returns what `InferenceModel` is to give: N token lists and scores."""
    options = {"max_decoding_length": LONGEST, **options}
    return translator.translate_batch(
        sources,
        beam_size=beam_size,
        length_penalty=length_penalty,
        min_decoding_length=0,
        max_input_length=0,
        return_scores=True,
        **options,
    )


def search_here(model, search, source_ids, names, **options):
    """The same of this package; `names` are the tokens of the ids."""
    result = laws.search_with(model, search, source_ids, LONGEST, **options)
    return [
        [[names[i] for i in ids if i not in (0, pairs.EOS)] for ids in row]
        for row in result["ids"]
    ], result


def assert_agree(found, expected, scores, share=1.0, tolerance=1e-3):
    """Compares hypotheses and, where they are equal, scores."""
    equal = [one.hypotheses == other for one, other in zip(found, expected)]
    assert np.mean(equal) >= share
    for is_equal, one, other in zip(equal, found, scores):
        if is_equal:
            np.testing.assert_allclose(
                one.scores, other, rtol=0, atol=tolerance
            )


TARGET_NAMES = ["<pad>", "<unk>", "<s>", "</s>", *words(range(4, TARGET_SIZE))]


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_keeps_hypotheses_and_scores(name, tmp_path):
    model, sources = model_of(name), random_sources()
    folder = to_ctranslate2(model, tmp_path / "model", max_positions=LONGEST)
    translator = ctranslate2.Translator(str(folder))
    tokens = [words(source) for source in sources]
    search = s2s.decoding.BeamSearch(3, num_hypotheses=3)
    expected, result = search_here(model, search, padded(sources), TARGET_NAMES)
    found = translate(translator, tokens, beam_size=3, num_hypotheses=3)
    assert_agree(found, expected, result["scores"], 0.95, 1e-4)
    assert len({tuple(row[0]) for row in expected}) > 1


@pytest.mark.parametrize("name", OPTIONS)
def test_teacher_forced_scores_are_those_of_call(name, tmp_path):
    model, sources = model_of(name), random_sources(5)
    folder = to_ctranslate2(model, tmp_path / "model")
    targets = [[5, 9, 4], [7], [10, 10, 6, 4, 5, 8], [4, 2, 1], [6, 6]]
    translator = ctranslate2.Translator(str(folder))
    found = translator.score_batch(
        [words(source) for source in sources],
        [[TARGET_NAMES[id_] for id_ in target] for target in targets],
    )
    for source, target, result in zip(sources, targets, found):
        inputs = {
            "source_ids": padded([source]),
            "target_ids": np.array([[pairs.BOS, *target]], "int32"),
        }
        scores = numerics.log_softmax(numerics.numpy(model(inputs)))[0]
        labels = [*target, pairs.EOS]
        expected = [scores[n, label] for n, label in enumerate(labels)]
        np.testing.assert_allclose(result.log_probs, expected, atol=1e-5)


def test_attention_is_the_alignment(tmp_path):
    model, sources = model_of("default"), random_sources(6)
    folder = to_ctranslate2(model, tmp_path / "model")
    translator = ctranslate2.Translator(str(folder))
    search = s2s.decoding.GreedySearch()
    result = laws.search_with(
        model, search, padded(sources), LONGEST, return_alignments=True
    )
    found = translate(
        translator, [words(s) for s in sources], return_attention=True
    )
    for source, one, alignments in zip(sources, found, result["alignments"]):
        weights = np.array(one.attention[0])
        # Without the end token that the engine has put behind the source.
        assert weights.shape == (len(one.hypotheses[0]), len(source))
        expected = alignments[0, : weights.shape[0], : weights.shape[1]]
        np.testing.assert_allclose(weights, expected, atol=1e-5)


def test_models_of_other_dtypes_are_exported_as_float32(tmp_path):
    model = make_model(dtype="bfloat16")
    folder = to_ctranslate2(model, tmp_path / "model")
    source = random_sources(1)
    (found,) = ctranslate2.Translator(str(folder)).score_batch(
        [words(source[0])], [["5", "9"]]
    )
    inputs = {
        "source_ids": padded(source),
        "target_ids": np.array([[pairs.BOS, 5, 9]], "int32"),
    }
    logits = keras.ops.cast(model(inputs), "float32")
    scores = numerics.log_softmax(numerics.numpy(logits))[0]
    np.testing.assert_allclose(found.log_probs[1], scores[1, 9], atol=0.3)


# A trained model


def reversals(count, seed):
    random = np.random.default_rng(seed)
    sources = [
        " ".join(random.choice(list("abcdefgh"), random.integers(1, 8)))
        for _ in range(count)
    ]
    return sources, [text[::-1] for text in sources]


@pytest.fixture(scope="module")
def text():
    """Reverses letters, trained so briefly that it is often unsure."""
    keras.utils.set_random_seed(0)
    sources, targets = reversals(3000, seed=0)
    tokenizer = s2s.tokenizers.SentencePieceTokenizer.train(
        sources, vocabulary_size=12, model_type="word"
    )
    size = tokenizer.vocabulary_size
    encoder = s2s.layers.TransformerEncoder(size + 1, 32, 64, 1, 4)
    decoder = s2s.layers.TransformerDecoder(size + 2, 32, 64, 1, 4)
    model = s2s.models.Seq2Seq(encoder, decoder)
    model.compile(keras.optimizers.Adam(5e-3), loss=s2s.losses.SequenceLoss())
    data = s2s.data.TextPairs(sources, targets, tokenizer, tokenizer)
    model.fit(data, epochs=4, verbose=0)
    inference = s2s.models.InferenceModel(model, max_length=LONGEST)
    return s2s.models.TextToText(inference, tokenizer, tokenizer)


@pytest.fixture(scope="module")
def exported(text, tmp_path_factory):
    folder = tmp_path_factory.mktemp("text") / "model"
    return to_ctranslate2(text, folder, max_positions=LONGEST)


@pytest.fixture(scope="module")
def pieces(exported):
    source = sentencepiece.SentencePieceProcessor(str(exported / "source.spm"))
    return source.encode(reversals(300, seed=1)[0], out_type=str)


def trained(text):
    inference = text.inference
    return s2s.models.Seq2Seq(inference.encoder, inference.decoder)


SEARCHES = {
    "greedy": (s2s.decoding.GreedySearch(), {"beam_size": 1}),
    "beam": (s2s.decoding.BeamSearch(4), {"beam_size": 4}),
    "penalty": (
        s2s.decoding.BeamSearch(4, "power", 0.7, early_stopping=True),
        {"beam_size": 4, "length_penalty": 0.7},
    ),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_a_trained_model_keeps_hypotheses_and_scores(
    name, text, exported, pieces
):
    search, options = SEARCHES[name]
    names = json.loads((exported / "target_vocabulary.json").read_text())
    texts = reversals(300, seed=1)[0]
    ids = text.source_tokenizer.encode(texts)
    expected, result = search_here(trained(text), search, padded(ids), names)
    found = translate(ctranslate2.Translator(str(exported)), pieces, **options)
    assert_agree(found, expected, result["scores"], 0.99)
    # Neither all right nor all the same, or it would prove little.
    assert 3 < len({len(row[0]) for row in expected})
    assert np.mean(result["scores"][:, 0]) < -0.3


def test_texts_come_back_as_generated(text, exported, pieces, eagerly):
    target = sentencepiece.SentencePieceProcessor(str(exported / "target.spm"))
    found = translate(ctranslate2.Translator(str(exported)), pieces[:50], 4)
    texts = [target.decode(one.hypotheses[0]) for one in found]
    assert texts == text.generate(reversals(300, seed=1)[0][:50])


@pytest.mark.parametrize(
    "quantization, share",
    [("float32", 1.0), ("float16", 0.95), ("bfloat16", 0.8), ("int16", 0.9)]
    + [("int8", 0.8), ("int8_float32", 0.8), ("int8_float16", 0.8)]
    + [("int8_bfloat16", 0.8)],
)
def test_quantized_models_translate_nearly_alike(
    quantization, share, text, exported, pieces, tmp_path
):
    options = {"quantization": quantization, "max_positions": LONGEST}
    folder = to_ctranslate2(text, tmp_path / "model", **options)
    sizes = [(f / "model.bin").stat().st_size for f in (exported, folder)]
    assert quantization == "float32" or sizes[1] < 0.6 * sizes[0]
    expected = translate(ctranslate2.Translator(str(exported)), pieces)
    # A processor without such arithmetic computes in float32.
    translator = ctranslate2.Translator(str(folder))
    found = translate(translator, pieces)
    equal = [a.hypotheses == b.hypotheses for a, b in zip(found, expected)]
    assert np.mean(equal) >= share


def test_the_benchmark_finds_agreement(text, tmp_path, capsys, eagerly):
    text.save(tmp_path / "text.keras")
    lines = [*reversals(40, seed=2)[0], "", "a b"]
    (tmp_path / "source.txt").write_text("\n".join(lines))
    shares = ctranslate2_agreement.main(
        [str(tmp_path / "text.keras"), str(tmp_path / "source.txt")]
        + ["--limit", "41", "--batch-size", "16", "--max-length", str(LONGEST)]
    )
    assert shares == [1.0, 1.0]
    assert "of 40, largest difference" in capsys.readouterr().out


# Vocabularies


def config_of(folder):
    return json.loads((folder / "config.json").read_text())


def tokens_of(folder, name):
    return json.loads((folder / f"{name}_vocabulary.json").read_text())


def test_the_end_token_is_put_behind_sources(exported):
    config = config_of(exported)
    assert config["add_source_eos"] is True
    assert config["add_source_bos"] is False
    assert config["decoder_start_token"] == "<s>"


def test_a_tokenizer_gives_its_pieces(text, exported):
    tokenizer = text.source_tokenizer
    processor = sentencepiece.SentencePieceProcessor(
        model_proto=tokenizer.model
    )
    size = tokenizer.vocabulary_size
    pieces = [processor.id_to_piece(id_) for id_ in range(size)]
    # The model has more ids than the tokenizer.
    rest = [f"<unused_{size}>", f"<unused_{size + 1}>"]
    assert tokens_of(exported, "source") == pieces + rest[:1]
    assert tokens_of(exported, "target") == pieces + rest
    for name in ("source", "target"):
        assert (exported / f"{name}.spm").read_bytes() == tokenizer.model


def test_tokens_and_special_ids_can_be_given(tmp_path):
    inference = s2s.models.InferenceModel(
        model_of("default"), s2s.decoding.GreedySearch(), LONGEST, 4, pairs.EOS
    )
    source = ["_", "?", "-", "END", *"abcdefghi"]
    target = ["_", "?", "-", "END", *"stuvwxy"]
    folder = to_ctranslate2(inference, tmp_path / "model", source, target)
    config = config_of(folder)
    assert config["unk_token"] == "?"
    assert config["eos_token"] == "END"
    assert config["bos_token"] == config["decoder_start_token"] == "s"
    assert tokens_of(folder, "source") == source
    sources = random_sources()
    expected, result = search_here(
        model_of("default"),
        s2s.decoding.GreedySearch(),
        padded(sources),
        target,
        bos_id=4,
    )
    found = translate(
        ctranslate2.Translator(str(folder)),
        [[source[id_] for id_ in ids] for ids in sources],
    )
    assert_agree(found, expected, result["scores"], 0.97)


def test_other_files_are_not_written(tmp_path):
    folder = to_ctranslate2(model_of("default"), tmp_path / "model")
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "model.bin",
        "source_vocabulary.json",
        "target_vocabulary.json",
    ]
    assert list(tmp_path.iterdir()) == [folder]


def test_more_tokens_than_positions_are_refused_by_the_engine(tmp_path):
    folder = to_ctranslate2(
        model_of("default"), str(tmp_path / "model"), max_positions=5
    )
    translator = ctranslate2.Translator(str(folder))
    translate(translator, [["5"] * 4], max_decoding_length=5)
    with pytest.raises(RuntimeError, match="No position encodings"):
        translate(translator, [["5"] * 5], max_decoding_length=5)


def test_a_failure_leaves_nothing_behind(text, tmp_path, monkeypatch):
    def fail(self, path):
        raise OSError("the disk is full")

    kind = s2s.tokenizers.SentencePieceTokenizer
    monkeypatch.setattr(kind, "save", fail)
    with pytest.raises(OSError, match="the disk is full"):
        to_ctranslate2(text, tmp_path / "model")
    assert not list(tmp_path.iterdir())
