"""Text survives a tokenizer, and a tokenizer survives a `.keras` file."""

import copy
import gzip
import pickle
import random
import re
import runpy
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_s2s.tokenizers import SentencePieceTokenizer
from keras_s2s.tokenizers import read_lines

FOLDER = Path(__file__).parents[1] / "tokenizers"
TEXTS = [
    "two dogs run over the green grass .",
    "a man in a red shirt rides a bicycle .",
    "the woman reads a book on the beach .",
    "children play football in the park .",
]


@pytest.fixture(scope="module")
def tokenizer():
    return SentencePieceTokenizer.train(TEXTS, vocabulary_size=40)


@pytest.fixture(scope="module")
def bytes_tokenizer():
    return SentencePieceTokenizer(FOLDER / "bytes.model")


def random_text(generator, excluded="\u2581"):
    """Draws characters from all of Unicode, spaces and odd ones often."""
    characters = []
    for _ in range(generator.randrange(20)):
        kinds = [
            generator.choice(" \n\r\t\0\u2028\u3000\ufeff\u00a0"),
            chr(generator.randrange(1, 0xD800)),
            chr(generator.randrange(0xE000, 0x110000)),
        ]
        characters.append(generator.choice(kinds))
    return "".join(characters).replace(excluded, "")


# Encoding and decoding.


def test_texts_come_back(tokenizer):
    assert tokenizer.decode(tokenizer.encode(TEXTS)) == TEXTS


def test_ids_are_plain_lists_of_int(tokenizer):
    ids = tokenizer.encode(TEXTS)
    assert type(ids) is list and type(ids[0]) is list
    assert type(ids[0][0]) is int


def test_special_ids_are_0_to_3(tokenizer):
    special = (
        tokenizer.pad_id,
        tokenizer.unk_id,
        tokenizer.bos_id,
        tokenizer.eos_id,
    )
    assert special == (0, 1, 2, 3)
    assert tokenizer.vocabulary_size == 40


def test_bos_goes_in_front_and_eos_behind(tokenizer):
    (ids,) = tokenizer.encode(TEXTS[:1])
    assert tokenizer.encode(TEXTS[:1], add_bos=True) == [[2, *ids]]
    assert tokenizer.encode(TEXTS[:1], add_eos=True) == [[*ids, 3]]


def test_the_empty_text_has_no_ids_of_its_own(tokenizer):
    assert tokenizer.encode([""]) == [[]]
    assert tokenizer.encode([""], add_bos=True, add_eos=True) == [[2, 3]]
    assert tokenizer.decode([[], [0, 0], [2, 3, 0]]) == ["", "", ""]


def test_no_texts_make_no_ids(tokenizer):
    assert tokenizer.encode([]) == []
    assert tokenizer.decode([]) == []
    assert tokenizer.decode(np.zeros((0, 3), "int32")) == []


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_special_ids_are_left_out_of_arrays(tokenizer, dtype):
    first, second = tokenizer.encode(["a dog", "a book on the beach"])
    ids = np.zeros((2, len(second) + 3), dtype)
    ids[0, : len(first) + 2] = [2, *first, 3]
    ids[1, : len(second) + 2] = [2, *second, 3]
    assert tokenizer.decode(ids) == ["a dog", "a book on the beach"]
    tensor = keras.ops.convert_to_tensor(ids)
    assert tokenizer.decode(tensor) == ["a dog", "a book on the beach"]


def test_markup_in_a_text_is_no_special_token(bytes_tokenizer):
    (ids,) = bytes_tokenizer.encode(["</s><pad>"])
    assert not {0, 1, 2, 3} & set(ids)


def test_byte_fallback_loses_no_character():
    tokenizer = SentencePieceTokenizer.train(
        TEXTS, 290, byte_fallback=True, normalization="identity"
    )
    texts = [
        "two dogs \U0001f415\U0001f415 run",
        "Straße 東京",
        "\U0001f468‍\U0001f469",
    ]
    ids = tokenizer.encode(texts)
    assert not any(tokenizer.unk_id in row for row in ids)
    assert tokenizer.decode(ids) == texts


def test_user_defined_symbols_are_never_split():
    tokenizer = SentencePieceTokenizer.train(
        TEXTS, 40, user_defined_symbols=["<year>"]
    )
    assert tokenizer.encode(["<year>"])[0].count(4) == 1
    assert len(tokenizer.encode(["the<year>the<year>"])[0]) < 12


@pytest.mark.parametrize("normalization", ["identity", "nmt_nfkc_cf"])
def test_normalization_is_sentencepieces(normalization):
    tokenizer = SentencePieceTokenizer.train(
        [*TEXTS, "A"], 40, normalization=normalization
    )
    expected = {"identity": "A", "nmt_nfkc_cf": "a"}[normalization]
    assert tokenizer.decode(tokenizer.encode(["A"])) == [expected]


# The byte-level model.


def test_bytes_hold_any_text(bytes_tokenizer):
    generator = random.Random(0)
    texts = [random_text(generator) for _ in range(500)]
    texts += ["  two  spaces ", "\n", "", "\U0001f415", "a\0b", "<s>"]
    ids = bytes_tokenizer.encode(texts)
    assert bytes_tokenizer.decode(ids) == texts


def test_bytes_lose_only_the_character_that_stands_for_space(bytes_tokenizer):
    assert bytes_tokenizer.decode(bytes_tokenizer.encode(["a\u2581b"])) == [
        "a b"
    ]


def test_byte_b_has_id_4_plus_b(bytes_tokenizer):
    assert bytes_tokenizer.vocabulary_size == 261
    assert bytes_tokenizer.encode(["Aé b"]) == [[69, 199, 173, 260, 102]]


def test_bytes_that_spell_nothing_decode_to_a_replacement(bytes_tokenizer):
    assert bytes_tokenizer.decode([[4 + 0xC3]]) == ["\ufffd"]


def test_the_script_makes_the_byte_model_again(tmp_path, bytes_tokenizer):
    script = runpy.run_path(str(FOLDER / "train.py"))
    script["main"](["--bytes", "--output", str(tmp_path / "b.model")])
    again = SentencePieceTokenizer(tmp_path / "b.model")
    texts = ["Aé b", "  東京\n"]
    assert again.vocabulary_size == 261
    assert again.encode(texts) == bytes_tokenizer.encode(texts)


def test_the_script_trains_on_files(tmp_path, capsys):
    (tmp_path / "text").write_text("\n".join(TEXTS), encoding="utf-8")
    script = runpy.run_path(str(FOLDER / "train.py"))
    output = str(tmp_path / "x.model")
    command = ["--input", str(tmp_path / "text"), "--vocabulary-size", "35"]
    script["main"]([*command, "--output", output])
    assert SentencePieceTokenizer(output).vocabulary_size == 35
    assert "35 ids" in capsys.readouterr().out


# Training.


def test_training_is_deterministic(tokenizer):
    again = SentencePieceTokenizer.train(TEXTS, vocabulary_size=40)
    assert again.model == tokenizer.model


def test_training_on_a_sample_is_deterministic():
    generator = random.Random(0)
    texts = ["".join(generator.choices("abcd ", k=30)) for _ in range(300)]
    first, second = (
        SentencePieceTokenizer.train(texts, 60, input_sentence_size=150)
        for _ in range(2)
    )
    assert first.model == second.model


@pytest.mark.parametrize("model_type", ["unigram", "bpe", "char", "word"])
def test_every_model_type_trains(model_type):
    size = {"unigram": 40, "bpe": 40, "char": 20, "word": 20}[model_type]
    tokenizer = SentencePieceTokenizer.train(TEXTS, size, model_type)
    assert tokenizer.vocabulary_size == size


def test_training_says_nothing(capfd):
    SentencePieceTokenizer.train(TEXTS, vocabulary_size=40)
    assert capfd.readouterr() == ("", "")


def write_files(folder):
    (folder / "plain.txt").write_text("\n".join(TEXTS[:2]), encoding="utf-8")
    packed = gzip.compress("\n".join(TEXTS[2:]).encode())
    (folder / "packed.gz").write_bytes(packed)
    return [folder / "plain.txt", folder / "packed.gz"]


@pytest.mark.parametrize("kind", [Path, str])
def test_files_train_as_their_lines_do(tmp_path, tokenizer, kind):
    paths = [kind(path) for path in write_files(tmp_path)]
    trained = SentencePieceTokenizer.train(paths, vocabulary_size=40)
    assert trained.model == tokenizer.model


@pytest.mark.parametrize("kind", [Path, str])
def test_one_path_is_a_file(tmp_path, kind):
    path = kind(write_files(tmp_path)[0])
    trained = SentencePieceTokenizer.train(path, vocabulary_size=28)
    expected = SentencePieceTokenizer.train(TEXTS[:2], vocabulary_size=28)
    assert trained.model == expected.model


def test_texts_come_from_any_iterable(tokenizer):
    trained = SentencePieceTokenizer.train(iter(TEXTS), vocabulary_size=40)
    assert trained.model == tokenizer.model


# Loading.


def test_path_and_bytes_load_the_same(tmp_path, tokenizer):
    tokenizer.save(tmp_path / "x.model")
    for model in (tmp_path / "x.model", str(tmp_path / "x.model")):
        assert SentencePieceTokenizer(model).model == tokenizer.model
    assert SentencePieceTokenizer(tokenizer.model).model == tokenizer.model


# Travelling.


@keras.saving.register_keras_serializable(package="test_tokenizers")
class Speller(keras.Model):
    """A model that holds two tokenizers and a weight."""

    def __init__(self, source_tokenizer, target_tokenizer, **kwargs):
        super().__init__(**kwargs)
        self.source_tokenizer = source_tokenizer
        self.target_tokenizer = target_tokenizer
        self.dense = keras.layers.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            "source_tokenizer": serialize(self.source_tokenizer),
            "target_tokenizer": serialize(self.target_tokenizer),
        }

    @classmethod
    def from_config(cls, config):
        deserialize = keras.saving.deserialize_keras_object
        return cls(**{name: deserialize(config[name]) for name in config})


# Keras itself reads TensorFlow's variables in a way that NumPy 2 deprecates.
@pytest.mark.filterwarnings("ignore:__array__ implementation")
@pytest.mark.parametrize("shared", [False, True])
def test_tokenizers_travel_in_a_keras_file(
    tmp_path, tokenizer, bytes_tokenizer, shared
):
    target = tokenizer if shared else bytes_tokenizer
    model = Speller(tokenizer, target)
    outputs = model(np.ones((1, 3), "float32"))
    model.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    assert loaded.source_tokenizer.model == tokenizer.model
    assert loaded.target_tokenizer.model == target.model
    assert loaded.source_tokenizer.encode(TEXTS) == tokenizer.encode(TEXTS)
    again = loaded(np.ones((1, 3), "float32"))
    np.testing.assert_array_equal(again, outputs)


def test_the_config_is_small_and_makes_an_empty_tokenizer(tokenizer):
    config = tokenizer.get_config()
    assert len(str(config)) < 500
    empty = SentencePieceTokenizer.from_config(config)
    assert empty.name == tokenizer.name
    with pytest.raises(ValueError, match="loaded before use"):
        empty.vocabulary_size  # noqa: B018


def test_a_file_without_the_assets_says_so():
    with pytest.raises(ValueError, match="`dir_path` must be a folder of the"):
        SentencePieceTokenizer().load_assets(None)


@pytest.mark.parametrize(
    "travel", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_copies_and_pickles_are_the_same(tokenizer, travel):
    assert travel(tokenizer).model == tokenizer.model


@pytest.mark.parametrize("thing", [read_lines, SentencePieceTokenizer])
def test_examples_run(thing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", thing.__doc__, re.DOTALL)
    names = {
        "Path": Path,
        "read_lines": read_lines,
        "SentencePieceTokenizer": SentencePieceTokenizer,
    }
    exec("if True:\n" + code, names)
