import functools
import sys
import types

import numpy as np
import pytest

from examples import translate
from examples.translate import translators
from tests.examples.translating import parse

TOKENIZER = types.SimpleNamespace(vocabulary_size=20)


def build(options, num_updates=9):
    model, optimizer = translators.build_model(TOKENIZER, TOKENIZER, options)
    translators.compile_model(
        model, optimizer, num_updates, options.r_drop, options
    )
    return model


def test_training_may_read_own_words_and_compare_two_passes(monkeypatch):
    options = parse(monkeypatch, "--own-words=0.3", "--r-drop=2")
    model = build(options, num_updates=600)
    assert model.objectives.r_drop == 2.0
    schedule = model.objectives.scheduled_sampling.probability
    assert float(schedule(300)) == np.float32(0.15)
    assert float(schedule(600)) == np.float32(0.3)


def test_attention_may_be_guided(monkeypatch):
    model = build(parse(monkeypatch, "--guided-alignment=0.5"))
    assert model.objectives.guided_alignment == 0.5


def test_output_weights_and_the_schedule_may_differ(monkeypatch):
    model = build(parse(monkeypatch, "--untied", "--schedule=noam"))
    assert not model.decoder.tie_embeddings
    # The first of 2,000 updates to the highest rate.
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-6)


def test_a_recurrent_model_shares_its_vocabulary_unless_told(monkeypatch):
    read = []

    def build_tokenizer(name, texts, options):
        read.append((name, texts))
        return TOKENIZER

    monkeypatch.setattr(translate, "build_tokenizer", build_tokenizer)
    for arguments, names in [
        ([], [("shared", ["a", "b"])]),
        (["--no-shared"], [("source", ["a"]), ("target", ["b"])]),
    ]:
        options = parse(monkeypatch, *arguments)
        tokenizers = translate.build_tokenizers(["a"], ["b"], options)
        assert read == names and tokenizers == [TOKENIZER] * 2
        read.clear()
        shares = build(options).get_config()["share_embeddings"]
        assert shares == (not arguments)


def test_a_recurrent_model_may_be_a_conditional_one(monkeypatch):
    arguments = ["--cell=conditional_gru", "--readout=deep"]
    model = build(parse(monkeypatch, *arguments))
    cells = model.encoder.cell, model.decoder.cell
    assert cells == ("gru", "conditional_gru")
    assert model.decoder.readout == "deep"


@pytest.mark.parametrize(
    "flags, expected",
    [
        ("fpu avx512_bf16 avx512f", True),
        ("fpu amx_bf16", True),
        ("fpu avx512f", False),
        (None, False),
    ],
)
def test_products_are_in_bfloat16_where_the_processor_has_them(
    flags, expected, tmp_path
):
    path = tmp_path / "cpuinfo"
    if flags is not None:
        path.write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t:\n")
    assert translators.multiplies_bfloat16(path) is expected


@pytest.mark.parametrize("found", [True, False])
def test_a_run_is_in_mixed_precision_by_default_or_as_asked(found, monkeypatch):
    has_them = functools.partial(bool, found)
    monkeypatch.setattr(translators, "multiplies_bfloat16", has_them)
    for arguments, expected in [
        ([], found),
        (["--mixed-precision"], True),
        (["--no-mixed-precision"], False),
    ]:
        monkeypatch.setattr(sys, "argv", ["translate.py", *arguments])
        assert translate.parse_options().mixed_precision is expected


def test_two_passes_are_compared_after_some_epochs(monkeypatch):
    for arguments, stages in [
        ([], [(10, 0.0)]),
        (["--r-drop=2"], [(10, 2.0)]),
        (["--r-drop=2", "--r-drop-after=5"], [(5, 0.0), (10, 2.0)]),
        (["--r-drop=2", "--r-drop-after=10"], [(10, 0.0)]),
        (["--r-drop=2", "--r-drop-after=-1"], [(10, 2.0)]),
        (["--r-drop=0", "--r-drop-after=5"], [(10, 0.0)]),
        (["--architecture=transformer"], [(74, 0.0), (94, 3.0)]),
        (["--architecture=transformer", "--epochs=9"], [(9, 0.0)]),
    ]:
        options = parse(monkeypatch, *arguments)
        assert translators.list_stages(options) == stages
