"""Models of this package in the formats of other engines."""

import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import TypeAlias

import keras
import numpy as np
import sentencepiece
from keras import ops

from keras_s2s import checks
from keras_s2s.layers import TransformerDecoder
from keras_s2s.layers import TransformerEncoder
from keras_s2s.layers.language_decoder import LanguageDecoder
from keras_s2s.layers.normalization import EPSILON
from keras_s2s.layers.positions import sinusoids
from keras_s2s.models import InferenceModel
from keras_s2s.models import TextToText
from keras_s2s.models.parts import find_parts
from keras_s2s.tokenizers import SentencePieceTokenizer

Vocabulary: TypeAlias = SentencePieceTokenizer | Sequence[str]

# Names of CTranslate2's activations; the last stands before a gate.
ACTIVATIONS = {"relu": "RELU", "gelu": "GELU", "swiglu": "SWISH"}
SPECIAL_TOKENS = ["<pad>", "<unk>", "<s>", "</s>"]
# Where a model says nothing else.
BOS_ID, EOS_ID, UNK_ID = 2, 3, 1


def to_ctranslate2(
    model: keras.Model,
    folder: str | os.PathLike,
    source_vocabulary: Vocabulary | None = None,
    target_vocabulary: Vocabulary | None = None,
    quantization: str | None = None,
    max_positions: int = 1024,
) -> Path:
    r"""Writes a trained Transformer as a CTranslate2 model.

    The folder holds weights, configuration and vocabularies, and where there
    are tokenizers, these as `source.spm` and `target.spm`. The model puts the
    end token behind a source itself, as it was trained with
    `data.TextPairs`: pass the pieces alone.

    These settings of `translate_batch` give what this package gives, in
    float32 to rounding:

    - `GreedySearch()`: `beam_size=1`.
    - `BeamSearch(K)`: `beam_size=K`.
    - `BeamSearch(K, "power", alpha, early_stopping=True)`: `beam_size=K,
      length_penalty=alpha`.

    That is for one hypothesis. Of more, CTranslate2 may have others behind
    the best. For the first two set `length_penalty=0`, as the default, 1,
    divides each score by the length; and for all three
    `min_decoding_length=0`, as the default, 1, forbids an empty target,
    `max_decoding_length=max_length`, and `max_input_length=0`, as longer
    sources are cut otherwise.
    CTranslate2 knows neither the penalty `"gnmt"` nor an exact stop with
    `"power"`. At `max_decoding_length` it lets what is unfinished win over
    what has finished.

    Args:
        model: `TextToText`, whose tokenizers give the vocabularies, or
            `InferenceModel`, `Seq2Seq`, or a functional model that holds one
            `TransformerEncoder` and one `TransformerDecoder`. Attention
            weights that CTranslate2 returns are those of `alignments`.
        folder: str or path. Must not exist; what it lies in must.
        source_vocabulary, target_vocabulary: `SentencePieceTokenizer`, or
            list of V str, the token of each id; with 1 as the unknown token.
            Default: those of `model`, or else "<pad>", "<unk>", "<s>",
            "</s>", "4", "5" and so on.
        quantization: str or None. How weights are stored: "float32",
            "float16", "bfloat16", "int16", "int8", "int8_float32",
            "int8_float16" or "int8_bfloat16". Default: None, float32.
        max_positions: int > 0. The longest source and the longest target, in
            tokens, that the model will take, unless positions are learned or
            rotary. Default: 1024.

    Returns:
        The path of `folder`.

    Raises:
        ImportError: ctranslate2 is not installed.
        FileExistsError: there is something at `folder`.
        FileNotFoundError: there is no folder for `folder` to lie in.
        TypeError: an argument is of another type.
        ValueError: CTranslate2 cannot express the model, such as a recurrent
            layer, a language model or a layer of the user's own; a vocabulary
            has not one token for each id, or a token twice. In all these
            cases nothing is written.

    Example:
        ```python
        s2s.export.to_ctranslate2(text, "translator", quantization="int8")
        translator = ctranslate2.Translator("translator")
        source = sentencepiece.SentencePieceProcessor("translator/source.spm")
        target = sentencepiece.SentencePieceProcessor("translator/target.spm")
        (result,) = translator.translate_batch(
            [source.encode("A dog runs.", out_type=str)],
            beam_size=4,
            length_penalty=0,
        )
        target.decode(result.hypotheses[0])
        ```

    Source: https://opennmt.net/CTranslate2
    """
    checks.check_positive("max_positions", max_positions)
    folder = _check_folder(folder)
    specs = _import_specs(quantization)
    tokenizers = [None, None]
    if isinstance(model, TextToText):
        tokenizers = [model.source_tokenizer, model.target_tokenizer]
        model = model.inference
    bos_id, eos_id = BOS_ID, EOS_ID
    if isinstance(model, InferenceModel):
        bos_id, eos_id = model.bos_id, model.eos_id
        encoder, decoder = model.encoder, model.decoder
    else:
        encoder, decoder = find_parts(model)
    if isinstance(decoder, LanguageDecoder):
        rule = "one from sources to targets, and no language model"
        checks.fail("model", f"{rule}, to be exported", model.name)
    _check_layer("encoder", encoder, TransformerEncoder)
    _check_layer("decoder", decoder, TransformerDecoder)
    chosen = [
        one if given is None else given
        for given, one in zip(
            (source_vocabulary, target_vocabulary), tokenizers
        )
    ]
    tokens, specials = _vocabularies(
        chosen,
        [encoder.vocabulary_size, decoder.vocabulary_size],
        bos_id,
        eos_id,
    )
    spec = specs.TransformerSpec(
        _encoder_spec(specs, encoder, max_positions),
        _decoder_spec(specs, decoder, max_positions),
    )
    spec.config.layer_norm_epsilon = EPSILON
    spec.config.add_source_bos = False
    spec.config.add_source_eos = True
    for key, token in specials.items():
        setattr(spec.config, key, token)
    spec.config.decoder_start_token = specials["bos_token"]
    spec.register_source_vocabulary(tokens[0])
    spec.register_target_vocabulary(tokens[1])
    spec.validate()
    spec.optimize(quantization)
    _write(spec, folder, chosen)
    return folder


def _check_folder(folder: str | os.PathLike) -> Path:
    checks.check_instance("folder", folder, str | os.PathLike, "a path")
    folder = Path(folder)
    if os.path.lexists(folder):
        rule = "a folder that does not exist yet"
        checks.fail("folder", rule, str(folder), error=FileExistsError)
    if not folder.parent.is_dir():
        rule = "in a folder that exists"
        checks.fail("folder", rule, str(folder), error=FileNotFoundError)
    return folder


def _import_specs(quantization: str | None) -> Any:
    """Returns `ctranslate2.specs`; checks what it has to know."""
    try:
        from ctranslate2 import specs
        from ctranslate2.specs.model_spec import ACCEPTED_MODEL_TYPES
    except ImportError as error:
        raise ImportError(
            "to_ctranslate2 needs ctranslate2. Install it with "
            '`pip install "keras_s2s[ctranslate2]"`.'
        ) from error
    types = [None, *ACCEPTED_MODEL_TYPES]
    checks.check_option("quantization", quantization, types)
    return specs


def _check_layer(name: str, layer: Any, kind: type) -> None:
    """Refuses what is no `kind`, or no longer has its float weights."""
    if type(layer) is not kind:
        rule = f"a {kind.__name__}, and no subclass, to be exported"
        checks.fail(name, rule, type(layer).__name__)
    for part in layer._flatten_layers():
        mode = getattr(part, "quantization_mode", None)
        if mode is not None:
            rule = "a layer with float weights to be exported"
            cure = f"Export it unquantized, with quantization={mode!r}."
            checks.fail(name, rule, f"{part.name}, quantized", cure)


def _vocabularies(
    chosen: list[Vocabulary | None], sizes: list[int], bos_id: int, eos_id: int
) -> tuple[list[list[str]], dict[str, str]]:
    """Returns the tokens of both sides, and the special ones by their keys."""
    tokens, specials = [], []
    sides = ("source_vocabulary", "target_vocabulary")
    for name, vocabulary, size in zip(sides, chosen, sizes):
        ids = {"unk_token": UNK_ID, "bos_token": bos_id, "eos_token": eos_id}
        if isinstance(vocabulary, SentencePieceTokenizer):
            ids["unk_token"] = vocabulary.unk_id
            if name == "source_vocabulary":
                ids["eos_token"] = vocabulary.eos_id
            vocabulary = _pieces(vocabulary, size)
        elif vocabulary is None:
            numbered = [str(id_) for id_ in range(len(SPECIAL_TOKENS), size)]
            vocabulary = [*SPECIAL_TOKENS[:size], *numbered]
        _check_tokens(name, vocabulary, size, max(ids.values()))
        tokens.append(list(vocabulary))
        specials.append({key: vocabulary[id_] for key, id_ in ids.items()})
    source, target = specials
    for key in ("unk_token", "eos_token"):
        if source[key] != target[key]:
            rule = f"one whose {key} is that of the source, {source[key]!r}"
            checks.fail("target_vocabulary", rule, target[key])
    return tokens, target


def _pieces(tokenizer: SentencePieceTokenizer, size: int) -> list[str]:
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(tokenizer.model)
    known = tokenizer.vocabulary_size
    pieces = [processor.id_to_piece(id_) for id_ in range(known)]
    # A model may have more ids than its tokenizer.
    return [*pieces, *(f"<unused_{id_}>" for id_ in range(known, size))]


def _check_tokens(name: str, tokens: Any, size: int, largest_id: int) -> None:
    rule = f"a tokenizer, or a list of {size} str, one for each id"
    if isinstance(tokens, str) or not isinstance(tokens, Sequence):
        checks.fail(name, rule, tokens, error=TypeError)
    for index, token in enumerate(tokens):
        checks.check_instance(f"{name}[{index}]", token, str, "a str")
    if len(tokens) != size:
        checks.fail(name, rule, f"{len(tokens)} tokens")
    if largest_id >= size:
        rule = f"of more than {largest_id} tokens, for the special ones"
        checks.fail(name, rule, f"{size} tokens")
    seen = set()
    for token in tokens:
        if token in seen:
            checks.fail(name, "without a token twice", token)
        seen.add(token)


def _encoder_spec(specs: Any, encoder: Any, max_positions: int) -> Any:
    stack = encoder.stack
    spec = specs.TransformerEncoderSpec(
        stack.num_layers, stack.num_heads, **_options(specs, stack)
    )
    _set_ends(spec, spec.embeddings[0], encoder, max_positions)
    for part, layer in zip(spec.layer, stack.layers):
        _set_self_attention(part.self_attention, layer)
        _set_feed_forward(part.ffn, layer)
    return spec


def _decoder_spec(specs: Any, decoder: Any, max_positions: int) -> Any:
    stack = decoder.stack
    spec = specs.TransformerDecoderSpec(
        stack.num_layers,
        stack.num_heads,
        # The mean over all heads of the last layer.
        alignment_layer=-1,
        alignment_heads=0,
        **_options(specs, stack),
    )
    _set_ends(spec, spec.embeddings, decoder, max_positions)
    for part, layer in zip(spec.layer, stack.layers):
        _set_self_attention(part.self_attention, layer)
        _set_memory_attention(part.attention, layer)
        _set_feed_forward(part.ffn, layer)
    if decoder.tie_embeddings:
        spec.projection.weight = _value(decoder.embedding.embeddings)
    else:
        spec.projection.weight = _value(decoder.output_layer.kernel).T
    spec.projection.bias = _value(decoder.output_layer.bias)
    return spec


def _options(specs: Any, stack: Any) -> dict[str, Any]:
    """The arguments that the specs of encoder and decoder share."""
    activation = specs.Activation[ACTIVATIONS[stack.activation]]
    rotary = {}
    if stack.positions == "rotary":
        # 0 turns all columns of a head.
        rotary = {"rotary_dim": 0, "rotary_interleave": False}
    return {
        "pre_norm": stack.normalize_first,
        "activation": activation,
        "ffn_glu": stack.activation == "swiglu",
        "rms_norm": stack.normalization == "rms",
        "num_heads_kv": stack.num_kv_heads,
        **rotary,
    }


def _set_ends(
    spec: Any, embeddings: Any, layer: Any, max_positions: int
) -> None:
    """Sets what stands before and behind the layers of a stack."""
    embeddings.weight = _value(layer.embedding.embeddings)
    spec.scale_embeddings = layer.embedding.scale
    table = _position_table(layer, max_positions)
    if table is not None:
        spec.position_encodings.encodings = table
    if layer.stack.last_norm is not None:
        _set_norm(spec.layer_norm, layer.stack.last_norm)


def _position_table(layer: Any, max_positions: int) -> np.ndarray | None:
    """Float `(P, D)`: what is added to the embedding at each position."""
    kind, size = layer.positions_layer.kind, layer.embedding_dim
    if kind == "rotary":
        return None
    if kind == "learned":
        return _value(layer.positions_layer.table)
    if kind is None:
        # Without a table the engine would add its own.
        return np.zeros((max_positions, size), "float32")
    positions = ops.arange(max_positions, dtype="int32")
    return ops.convert_to_numpy(sinusoids(positions, size, "float32"))


def _set_self_attention(spec: Any, layer: Any) -> None:
    _set_norm(spec.layer_norm, layer.self_norm)
    _set_linear(spec.linear[0], layer.self_attention.input_dense)
    _set_linear(spec.linear[1], layer.self_attention.output_dense)


def _set_memory_attention(spec: Any, layer: Any) -> None:
    _set_norm(spec.layer_norm, layer.memory_norm)
    _set_linear(spec.linear[0], layer.memory_attention.query_dense)
    _set_linear(spec.linear[1], layer.memory_attention.memory_dense)
    _set_linear(spec.linear[2], layer.memory_attention.output_dense)


def _set_feed_forward(spec: Any, layer: Any) -> None:
    feed_forward = layer.feed_forward
    _set_norm(spec.layer_norm, layer.feed_forward_norm)
    _set_linear(spec.linear_1, feed_forward.outer)
    if not feed_forward.is_gated:
        _set_linear(spec.linear_0, feed_forward.inner)
        return
    _set_linear(spec.linear_0, feed_forward.inner, 0, 2)
    _set_linear(spec.linear_0_noact, feed_forward.inner, 1, 2)


def _set_linear(
    spec: Any, dense: keras.layers.Dense, part: int = 0, parts: int = 1
) -> None:
    """Sets a matrix, or one of several that `dense` has side by side."""
    weight, bias = _value(dense.kernel).T, _value(dense.bias)
    spec.weight = np.ascontiguousarray(np.split(weight, parts)[part])
    spec.bias = np.split(bias, parts)[part]


def _set_norm(spec: Any, norm: keras.layers.Layer) -> None:
    if isinstance(norm, keras.layers.RMSNormalization):
        spec.gamma = _value(norm.scale)
        return
    spec.gamma, spec.beta = _value(norm.gamma), _value(norm.beta)


def _value(variable: Any) -> np.ndarray:
    return ops.convert_to_numpy(ops.cast(variable, "float32"))


def _write(spec: Any, folder: Path, chosen: list[Vocabulary | None]) -> None:
    """Writes all or nothing: beside `folder`, which it then becomes."""
    unfinished = folder.parent / f".{folder.name}-{uuid.uuid4().hex}"
    try:
        unfinished.mkdir()
        spec.save(str(unfinished))
        for name, vocabulary in zip(("source", "target"), chosen):
            if isinstance(vocabulary, SentencePieceTokenizer):
                vocabulary.save(unfinished / f"{name}.spm")
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
