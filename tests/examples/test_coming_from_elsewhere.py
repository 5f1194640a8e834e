"""Each line that stands for something old runs, and nothing old is missing."""

import ast
import re
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_s2s as s2s
from keras_s2s.decoding.search import Search
from tests.numerics import numpy

README = Path(__file__).parents[2] / "examples" / "README.md"
TEXT = README.read_text(encoding="utf-8").split("## Coming from elsewhere")[1]

OLD_NAMES = {
    "tf.contrib.legacy_seq2seq": """
        rnn_decoder basic_rnn_seq2seq tied_rnn_seq2seq embedding_rnn_decoder
        embedding_rnn_seq2seq embedding_tied_rnn_seq2seq attention_decoder
        num_heads initial_state_attention embedding_attention_decoder
        embedding_attention_seq2seq one2many_rnn_seq2seq model_with_buckets
        sequence_loss average_across_timesteps average_across_batch
        sequence_loss_by_example per_example_loss softmax_loss_function
        output_projection feed_previous update_embedding_for_previous
        loop_function
    """,
    "tfa.seq2seq": """
        AttentionWrapper AttentionWrapperState AttentionMechanism
        BahdanauAttention LuongAttention BahdanauMonotonicAttention
        LuongMonotonicAttention monotonic_attention safe_cumprod hardmax
        BasicDecoder BasicDecoderOutput TrainingSampler GreedyEmbeddingSampler
        SampleEmbeddingSampler ScheduledEmbeddingTrainingSampler
        ScheduledOutputTrainingSampler InferenceSampler Sampler CustomSampler
        BaseDecoder Decoder dynamic_decode BeamSearchDecoder
        BeamSearchDecoderOutput BeamSearchDecoderState
        FinalBeamSearchDecoderOutput tile_batch gather_tree
        gather_tree_from_array SequenceLoss sequence_loss
        average_across_timesteps average_across_batch sum_over_timesteps
        sum_over_batch
    """,
    "google/seq2seq": """
        BasicSeq2Seq AttentionSeq2Seq Image2Seq InceptionV3Encoder
        UnidirectionalRNNEncoder BidirectionalRNNEncoder
        StackBidirectionalRNNEncoder PoolingEncoder ConvEncoder
        AttentionLayerDot AttentionLayerBahdanau ZeroBridge PassThroughBridge
        InitialStateBridge ConcatInputBridge BeamSearchConfig DecodeText
        DumpAttention DumpBeams UnkReplace
    """,
    "OpenNMT-tf": """
        LuongAttention NMTSmallV1 NMTMediumV1 NMTBigV1 GNMTEncoder
        RNMTPlusEncoder RNMTPlusDecoder first_layer_attention
        ListenAttendSpell PyramidalRNNEncoder ParallelEncoder MeanEncoder
        CopyBridge DenseBridge LstmCnnCrfTagger SequenceClassifier
    """,
}
# What nothing stands for, and what the row says then.
MISSING = {
    "update_embedding_for_previous": "not here",
    "first_layer_attention": "not here",
}


def read_rows():
    """Yields the library, the old names and what stands there instead."""
    for section in TEXT.split("\n### ")[1:]:
        library, _, rest = section.partition("\n")
        for line in rest.splitlines():
            if line.startswith("| `"):
                _, there, here, _, _ = line.split("|")
                names = re.findall(r"`(\w+)`", there)
                yield library, names, here.strip()


ROWS = list(read_rows())


def code_blocks():
    return re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def names():
    """What the code blocks of the section define."""
    scope = {}
    for block in code_blocks():
        exec(compile(block, str(README), "exec"), scope)
    return scope


@pytest.mark.parametrize("library", OLD_NAMES)
def test_every_old_name_has_a_row(library):
    found = [name for place, row, _ in ROWS if place == library for name in row]
    assert sorted(found) == sorted(OLD_NAMES[library].split())


@pytest.mark.parametrize("library, old, here", ROWS, ids=lambda x: str(x)[:40])
def test_a_row_runs(library, old, here, names):
    if old[0] in MISSING:
        assert here == MISSING[old[0]]
        return
    lines = re.findall(r"`([^`]+)`", here)
    assert lines, old
    for part in ("OneToMany", "ParallelEncoder"):
        if part in here and not hasattr(s2s.models, part):
            if not hasattr(s2s.layers, part):
                pytest.skip(f"{part} is not here yet")
    exercise(run("\n".join(lines), names), names)


def run(code, names):
    """Runs code and returns the value of its last line, an expression."""
    *before, last = ast.parse(code).body
    scope = dict(names)
    exec(compile(ast.Module(before, []), str(README), "exec"), scope)
    if not isinstance(last, ast.Expr):
        return exec(compile(ast.Module([last], []), str(README), "exec"), scope)
    return eval(compile(ast.Expression(last.value), str(README), "eval"), scope)


def exercise(thing, names):
    """Runs what a line has made, if it only made it."""
    memory, rows = names["memory"], len(names["source_ids"])
    if isinstance(thing, s2s.layers.Encoder):
        thing = thing(names["source_ids"])["outputs"]
    elif isinstance(thing, s2s.layers.Decoder):
        thing = thing(names["target_ids"], memory)
        assert thing.shape == (rows, 3, names["V"])
    elif isinstance(thing, s2s.layers.Attention):
        query = np.ones((rows, 4, names["U"]), "float32")
        thing, _ = thing(query, memory["outputs"], memory["mask"])
    elif isinstance(thing, Search):
        state = names["decoder"].initial_state(memory, thing.beam_size, 3)
        thing = thing.search(
            names["decoder"].step,
            state,
            names["decoder"].prepare(memory),
            batch_size=rows,
            max_length=3,
            **names["ends"],
        )
    elif isinstance(thing, keras.Model):
        thing = thing(keras.tree.map_structure(draw, thing.input))
    elif isinstance(thing, keras.losses.Loss):
        thing = thing(names["labels"], names["logits"], names["weights"])
    elif isinstance(thing, s2s.data.SequencePairs):
        thing = thing[0]
    if isinstance(thing, type) or not hasattr(thing, "__len__"):
        return
    for array in keras.tree.flatten(thing):
        assert np.all(np.isfinite(numpy(array)))


def draw(symbol):
    """An array for an input: 2 rows, 3 steps, ids or numbers below 20."""
    shape = (2, *[3 if size is None else size for size in symbol.shape[1:]])
    values = np.random.default_rng(0).integers(4, 20, shape)
    return values.astype(symbol.dtype)
