"""The models that `translate.py` trains, and the recipes to train them.

A recurrent encoder and decoder with attention, or a tiny Transformer, each as
its recipe or the options of `translate.py` have it: sizes, dropout, optimizer,
learning rate, loss.
"""

import pathlib

import keras

import keras_s2s as s2s

# The defaults of an architecture.
RECIPES = {
    "rnn": {
        "epochs": 10,
        "batch": {"batch_size": 64},
        "vocabulary_size": 8000,
        "model_type": "unigram",
        "embedding_dim": 256,
        "units": 256,
        "num_layers": 1,
        "shared": True,
        "dropout": 0.4,
        "learning_rate": 2e-3,
        "schedule": "decay",
        "average": 1,
        "score_every": 1,
        "r_drop": 0.0,
        "r_drop_after": 0,
        "alpha": 1.0,
    },
    # As Wu et al., 2021, https://aclanthology.org/2021.acl-long.480; alpha is
    # the best of 1.0, 1.05, 1.1, 1.15, 1.2, 1.5 and 2.0 on validation data.
    "transformer": {
        "epochs": 94,
        "batch": {"batch_tokens": 8192},
        "vocabulary_size": 10000,
        "model_type": "bpe",
        "embedding_dim": 128,
        "hidden_dim": 256,
        "num_layers": 4,
        "num_heads": 4,
        "shared": True,
        "dropout": 0.3,
        "learning_rate": 5e-3,
        "schedule": "noam",
        "average": 10,
        "score_every": 5,
        "r_drop": 3.0,
        "r_drop_after": 74,
        "alpha": 1.2,
    },
}


def multiplies_bfloat16(path="/proc/cpuinfo"):
    """Returns whether the processor has products in bfloat16, if Linux says."""
    path = pathlib.Path(path)
    flags = path.read_text().split() if path.exists() else []
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags)


def build_rate(options):
    """Returns a learning rate; `Progress` lowers it if it is to decay."""
    if options.schedule == "noam":
        return s2s.schedules.InverseSquareRoot(
            options.learning_rate, options.warmup_steps
        )
    return options.learning_rate


def build_rnn(source_size, target_size, options):
    layers = {"num_layers": options.num_layers, "dropout": options.dropout}
    sizes = (options.embedding_dim, options.units)
    encoder = s2s.layers.RNNEncoder(
        source_size,
        *sizes,
        cell=options.cell.removeprefix("conditional_"),
        **layers,
    )
    decoder = s2s.layers.RNNDecoder(
        target_size,
        *sizes,
        cell=options.cell,
        readout=options.readout,
        tie_embeddings=not options.untied,
        **layers,
    )
    model = s2s.models.Seq2Seq(
        encoder, decoder, share_embeddings=options.shared
    )
    return model, keras.optimizers.Adam(build_rate(options), clipnorm=1.0)


def build_transformer(source_size, target_size, options):
    sizes = (
        options.embedding_dim,
        options.hidden_dim,
        options.num_layers,
        options.num_heads,
    )
    layers = {"dropout": options.dropout, "normalize_first": False}
    model = s2s.models.Seq2Seq(
        s2s.layers.TransformerEncoder(source_size, *sizes, **layers),
        s2s.layers.TransformerDecoder(
            target_size, *sizes, tie_embeddings=not options.untied, **layers
        ),
        share_embeddings=options.shared,
    )
    return model, keras.optimizers.Adam(build_rate(options), beta_2=0.98)


def build_model(source_tokenizer, target_tokenizer, options):
    """Returns a model and its optimizer, which `compile_model` takes."""
    builders = {"rnn": build_rnn, "transformer": build_transformer}
    return builders[options.architecture](
        source_tokenizer.vocabulary_size,
        target_tokenizer.vocabulary_size,
        options,
    )


def compile_model(model, optimizer, num_updates, r_drop, options):
    """Compiles a model for some epochs of `num_updates` updates in all."""
    sampling = None
    if options.own_words:
        schedule = s2s.schedules.Linear(num_updates, maximum=options.own_words)
        sampling = s2s.models.ScheduledSampling(schedule)
    model.compile(
        optimizer=optimizer,
        loss=s2s.losses.SequenceLoss(label_smoothing=options.label_smoothing),
        weighted_metrics=[s2s.metrics.TokenAccuracy()],
        scheduled_sampling=sampling,
        r_drop=r_drop,
        guided_alignment=options.guided_alignment,
        jit_compile=options.jit or "auto",
    )


def list_stages(options):
    """Returns pairs: an epoch to train to, and the weight of R-Drop."""
    start, end = options.r_drop_after, options.epochs
    if start <= 0 or not options.r_drop:
        return [(end, options.r_drop)]
    if start >= end:
        return [(end, 0.0)]
    return [(start, 0.0), (end, options.r_drop)]
