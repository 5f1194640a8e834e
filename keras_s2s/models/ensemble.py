"""Several models of one vocabulary as one."""

import os
from collections.abc import Sequence
from typing import Any

import keras

from keras_s2s import checks
from keras_s2s.layers.decoder import Decoder
from keras_s2s.layers.encoder import Encoder
from keras_s2s.layers.ensemble import AVERAGES
from keras_s2s.layers.ensemble import EnsembleDecoder
from keras_s2s.layers.ensemble import EnsembleEncoder
from keras_s2s.models.parts import describe_pair
from keras_s2s.models.parts import find_parts
from keras_s2s.models.parts import make_pair
from keras_s2s.models.training import name_source

# What the layers of all members have alike.
ALIKE = {
    "encoder": ("vocabulary_size", "vector_dim", "pad_id", "unk_id"),
    "decoder": ("vocabulary_size", "max_copied", "unk_id"),
}
# The entries of a config that `describe_parts` may write.
PARTS = (
    "encoder",
    "decoder",
    "share_embeddings",
    "share_cells",
    "quantized",
    "members",
    "weights",
    "average",
)
# Sources so long show whether memories have the same positions.
LENGTHS = range(1, 33)


@keras.saving.register_keras_serializable(package="keras_s2s")
class Ensemble(keras.Model):
    """Several models, trained apart, that write one target together.

    At each step the distribution over the next token is an average of those
    of its members, which read the same source and share their vocabularies,
    and may differ in all else. `InferenceModel` searches with it as with any
    model, and saves it in one file. Weights are shared with `models`.

    The average of log-probabilities, normalized again, asks all members to
    agree; that of probabilities follows whichever is sure.

    Args:
        models: list of `Seq2Seq`, functional models that hold one `Encoder`
            and one `Decoder`, inference or text models; or paths of `.keras`
            files of these. A model that comes twice counts twice.
        weights: list of float > 0, one for each, in proportion to each
            other. Default: None, all alike.
        average: "log_probabilities" or "probabilities".
            Default: "log_probabilities".

    Call arguments:
        inputs: dict, as for each of `models`.

    Returns:
        Logits, float `(B, T, V)`, float32 at least.

    Raises:
        TypeError: `models` is no list.
        ValueError: there is none; one has other vocabularies, other inputs or
            another tokenizer than the first, shares layers with one before
            it, writes vectors or is an ensemble itself; a weight is not
            positive, or there are not as many.

    Example:

    >>> import keras_s2s as s2s
    >>> models = [
    ...     s2s.models.Seq2Seq(
    ...         s2s.layers.RNNEncoder(20, embedding_dim=8, units=units),
    ...         s2s.layers.RNNDecoder(30, embedding_dim=8, units=units),
    ...     )
    ...     for units in (16, 12)
    ... ]
    >>> ensemble = s2s.models.Ensemble(models, weights=[2, 1])
    >>> inference = s2s.models.InferenceModel(ensemble, max_length=5)

    Source: Sutskever et al., 2014, section 3.6 (ensembles),
    https://arxiv.org/abs/1409.3215; Genest and Zidek, 1986, section 3 (linear
    and logarithmic pools), https://doi.org/10.1214/ss/1177013825
    """

    def __init__(
        self,
        models: Sequence[Any],
        weights: Sequence[float] | None = None,
        average: str = "log_probabilities",
        **kwargs: Any,
    ) -> None:
        checks.check_option("average", average, AVERAGES)
        pairs, shares = _read_models(models, weights)
        encoders, decoders = zip(*pairs)
        encoder = EnsembleEncoder(encoders)
        decoder = EnsembleDecoder(
            decoders, shares, average, _are_aligned(encoders)
        )
        source, target = encoder.make_input(), decoders[0].make_input()
        super().__init__(
            inputs={name_source(encoder, source): source, target.name: target},
            outputs=decoder(target, encoder(source)),
            **kwargs,
        )
        self.encoder = encoder
        self.decoder = decoder

    def get_config(self) -> dict[str, Any]:
        return {
            **describe_parts(self.encoder, self.decoder),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Ensemble":
        config = dict(config)
        models = [make_pair(one) for one in config.pop("members")]
        return cls(models, **config)


def describe_parts(encoder: Encoder, decoder: Decoder) -> dict[str, Any]:
    """As `describe_pair`, also of the layers of an `Ensemble`."""
    if not isinstance(decoder, EnsembleDecoder):
        return describe_pair(encoder, decoder)
    pairs = zip(encoder.members, decoder.members)
    return {
        "members": [describe_pair(*pair) for pair in pairs],
        "weights": decoder.shares,
        "average": decoder.average,
    }


def make_model(config: dict[str, Any]) -> keras.Model:
    """Returns a model of what `describe_parts` described."""
    make = Ensemble.from_config if "members" in config else make_pair
    return make(config)


def _read_models(
    models: Any, weights: Any
) -> tuple[list[tuple[Encoder, Decoder]], list[float]]:
    """Returns the layers of each different model, and its share."""
    checks.check_instance("models", models, (list, tuple), "a list of models")
    if not models:
        checks.fail("models", "a list of at least one model", models)
    weights = _check_weights(weights, len(models))
    pairs, shares, tokenizers = [], [], {}
    for number, (model, weight) in enumerate(zip(models, weights)):
        name = f"models[{number}]"
        if isinstance(model, (str, os.PathLike)):
            model = keras.saving.load_model(model, compile=False)
        _check_tokenizers(name, model, tokenizers)
        pair = _find_pair(name, model)
        if pair in pairs:
            shares[pairs.index(pair)] += weight
            continue
        for before in pairs:
            _check_fit(name, pair, before)
        pairs.append(pair)
        shares.append(weight)
    return pairs, [share / sum(shares) for share in shares]


def _check_weights(weights: Any, count: int) -> list[float]:
    if weights is None:
        return [1.0] * count
    if len(weights) != count:
        checks.fail("weights", f"one for each of {count} models", weights)
    for number, weight in enumerate(weights):
        checks.check_number(
            f"weights[{number}]",
            weight,
            0.0,
            open_minimum=True,
            open_maximum=True,
        )
    return [float(weight) for weight in weights]


def _check_tokenizers(name: str, model: Any, known: dict[str, Any]) -> None:
    """Refuses a text model of other tokenizers than those known already."""
    for side in ("source_tokenizer", "target_tokenizer"):
        if hasattr(model, side):
            content = getattr(model, side).model
            if known.setdefault(side, content) != content:
                rule = f"of the {side} of the text models before it"
                checks.fail(name, rule, model.name)


def _find_pair(name: str, model: Any) -> tuple[Encoder, Decoder]:
    """Returns the layers of a model, of an inference or of a text model."""
    pair = find_parts(getattr(model, "inference", model), name)
    if isinstance(pair[1], EnsembleDecoder):
        cure = "List its models here instead."
        checks.fail(name, "no ensemble itself", model.name, cure)
    if hasattr(pair[1], "vector_dim"):
        checks.fail(name, "one that writes ids", model.name)
    return pair


def _check_fit(name: str, pair: Any, first: Any) -> None:
    """Refuses layers that read or write something else than others do, or
    that are partly the same."""
    for side, layer, other in zip(ALIKE, pair, first):
        found, expected = (
            {
                attribute: getattr(one, attribute, None)
                for attribute in ALIKE[side]
            }
            for one in (layer, other)
        )
        inputs, others = (_describe_input(one) for one in (layer, other))
        found["inputs"], expected["inputs"] = inputs, others
        for attribute in found:
            if found[attribute] != expected[attribute]:
                rule = (
                    f"of the {attribute} of the {side} of the models before "
                    f"it, {expected[attribute]}"
                )
                checks.fail(name, rule, found[attribute])
    own, others = (
        {id(one) for layer in layers for one in layer.variables}
        for layers in (pair, first)
    )
    if own & others:
        rule = "a model of layers that no other model has, or the same model"
        names = [layer.name for layer in pair]
        checks.fail(name, rule, names, "Save it and load a copy.")


def _describe_input(layer: Any) -> Any:
    """The shapes and dtypes of what a layer reads, by name."""
    made = layer.make_input()
    made = made if isinstance(made, dict) else {made.name: made}
    return {name: (one.shape, one.dtype) for name, one in made.items()}


def _are_aligned(encoders: Sequence[Encoder]) -> bool:
    """Whether the memories of a source have the same positions."""
    source = encoders[0].make_input()
    lengths = {
        tuple(
            encoder.memory_length(
                keras.tree.map_structure(lambda _, n=length: n, source)
            )
            for length in LENGTHS
        )
        for encoder in encoders
    }
    return len(lengths) == 1
