"""This package as one more peer of a comparison with other libraries.

Prints one JSON line for each workload, in the form of the comparison's own
peer scripts, and uses their shared module for data and timing:

    compare.py --also 'keras_s2s=python tests/benchmarks/peer.py \
        --bench BENCH --work {work} --workloads {workload} --steps {steps} \
        --time-cap {time_cap}'

where BENCH is the folder that holds `common.py` and `compare.py`. With `env
TF_NUM_INTRAOP_THREADS=1` in front of `python` it decodes faster on two cores:
what runs on both of them is two searches, and not each operation.
"""

import functools
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "--bench" in sys.argv:
    position = sys.argv.index("--bench")
    sys.path.insert(0, sys.argv[position + 1])
    del sys.argv[position : position + 2]

import common  # noqa: E402

MAX_LENGTH = common.GEN_STEPS


def make_model(input_feeding):
    import keras_s2s as s2s

    encoder = s2s.layers.RNNEncoder(
        common.VOCAB, common.EMB, common.ENC_UNITS, cell="lstm"
    )
    decoder = s2s.layers.RNNDecoder(
        common.VOCAB,
        common.EMB,
        common.DEC_UNITS,
        cell="lstm",
        attention="additive",
        attention_units=common.ATT_UNITS,
        input_feeding=input_feeding,
        bridge="pass",
    )
    return s2s.models.Seq2Seq(encoder, decoder)


def make_transformer():
    import keras_s2s as s2s

    sizes = (common.VOCAB, common.D_MODEL, common.FF, common.LAYERS)
    dropout = {
        name: common.DROPOUT
        for name in ("dropout", "attention_dropout", "hidden_dropout")
    }
    encoder = s2s.layers.TransformerEncoder(*sizes, common.HEADS, **dropout)
    decoder = s2s.layers.TransformerDecoder(
        *sizes, common.HEADS, tie_embeddings=True, **dropout
    )
    return s2s.models.Seq2Seq(encoder, decoder, share_embeddings=True)


def train(make):
    def run(args, data):
        import keras
        import numpy as np

        import keras_s2s as s2s

        model = make()
        model.compile(
            keras.optimizers.Adam(common.LEARNING_RATE),
            loss=s2s.losses.SequenceLoss(),
        )

        def prepare(source_ids, target_ids):
            labels = target_ids[:, 1:]
            inputs = {
                "source_ids": source_ids,
                "target_ids": np.ascontiguousarray(target_ids[:, :-1]),
            }
            weights = (labels != common.PAD).astype("float32")
            return inputs, np.ascontiguousarray(labels), weights

        def step(batch):
            return np.asarray(model.train_on_batch(*batch)).item()

        fields = common.time_training(step, args, data, prepare)
        return {**fields, "params": model.count_params()}

    return run


def decode(make, search, single=False):
    def run(args, data):
        import numpy as np

        import keras_s2s as s2s

        model = make()
        # An end token that is never likely, as the other peers forbid it.
        bias = np.zeros(common.VOCAB, "float32")
        bias[[common.PAD, common.EOS]] = -1e9
        model.decoder.output_layer.bias.assign(bias)
        inference = s2s.models.InferenceModel(
            model, search(s2s.decoding), MAX_LENGTH
        )
        if single:
            # What a user does who translates a sentence at a time.
            inference.compile(jit_compile=True)

        def call(source_ids):
            found = inference.predict(source_ids, len(source_ids), verbose=0)
            return found["ids"][:, 0]

        fields = common.time_decoding(call, args, data, single=single)
        return {**fields, "params": model.count_params()}

    return run


def version():
    import keras
    import tensorflow

    import keras_s2s

    return (
        f"keras_s2s {keras_s2s.__version__}, keras {keras.__version__}, "
        f"tensorflow {tensorflow.__version__}"
    )


def greedy(decoding):
    return decoding.GreedySearch()


def beam(decoding):
    return decoding.BeamSearch(4)


if __name__ == "__main__":
    fed, unfed = (
        functools.partial(make_model, feeds) for feeds in (True, False)
    )
    common.main(
        "keras_s2s",
        version,
        {
            "rnn_train": train(fed),
            "rnn_train_nofeed": train(unfed),
            "transformer_train": train(make_transformer),
            "rnn_greedy": decode(fed, greedy),
            "rnn_beam4": decode(fed, beam),
            "transformer_greedy": decode(make_transformer, greedy),
            "transformer_beam4": decode(make_transformer, beam),
            "transformer_beam4_b1": decode(make_transformer, beam, single=True),
        },
        {},
        __doc__,
    )
