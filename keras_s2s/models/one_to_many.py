"""One encoder and several decoders as one functional model."""

from typing import Any

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.layers.decoder import Decoder
from keras_s2s.layers.encoder import Encoder
from keras_s2s.layers.names import check_layers
from keras_s2s.layers.names import make_named_inputs
from keras_s2s.models.door import check_copying
from keras_s2s.models.door import match_names
from keras_s2s.models.objectives import Objectives
from keras_s2s.models.output import can_pack
from keras_s2s.models.output import pack
from keras_s2s.models.output import project
from keras_s2s.models.seq2seq import Seq2Seq
from keras_s2s.models.training import REAL
from keras_s2s.models.training import TrainingModel
from keras_s2s.models.training import check_loss
from keras_s2s.models.training import has_packed_output
from keras_s2s.models.training import name_source
from keras_s2s.models.training import pack_labels


@keras.saving.register_keras_serializable(package="keras_s2s")
class OneToMany(TrainingModel):
    """An encoder and several decoders of its memory, trained together.

    The encoder runs once for all. Targets, labels, sample weights, losses
    and metrics are dicts by the names of the decoders; one loss is that of
    each of them, and what is minimised is their sum. A target of only
    padding behind its bos, with sample weights of 0, counts nothing: so
    `SequencePairs` fills in what is missing.

    Args:
        encoder: `Encoder` layer.
        decoders: dict of `Decoder` layers, by name, all different.

    Call arguments:
        inputs: dict of `source_ids`, int32 `(B, S)`, and `target_ids`, a
            dict of int32 `(B, T)` by name, beginning with bos. What they are
            called and what they hold, decoders of vectors say, is as in
            `Seq2Seq`.

    Returns:
        Dict of logits, float `(B, T, V)`, by name.

    Raises:
        TypeError: `encoder` is no `Encoder`, or one of `decoders` no
            `Decoder`.
        ValueError: there is no decoder, or one comes twice; a decoder copies
            from an encoder of another vocabulary; `pair` gets a name that no
            decoder has; data, losses or metrics have other names.

    Example:

    >>> import keras_s2s as s2s
    >>> encoder = s2s.layers.RNNEncoder(20, embedding_dim=8, units=16)
    >>> model = s2s.models.OneToMany(
    ...     encoder,
    ...     {
    ...         "de": s2s.layers.RNNDecoder(30, embedding_dim=8, units=16),
    ...         "fr": s2s.layers.RNNDecoder(25, embedding_dim=8, units=16),
    ...     },
    ... )
    >>> model.compile("adam", loss=s2s.losses.SequenceLoss())
    >>> german = s2s.models.InferenceModel(model.pair("de"), max_length=5)
    >>> german.predict([[5, 6, 3], [7, 3]], verbose=0)["ids"].shape
    (2, 1, 5)

    Source: Dong et al., 2015, https://aclanthology.org/P15-1166
    """

    def __init__(
        self, encoder: Encoder, decoders: dict[str, Decoder], **kwargs: Any
    ) -> None:
        checks.check_instance(
            "encoder", encoder, Encoder, "a keras_s2s.layers.Encoder"
        )
        check_layers("decoders", decoders, Decoder)
        for decoder in decoders.values():
            check_copying(encoder, decoder)
        source = encoder.make_input()
        target_name, targets = make_named_inputs(decoders, "target")
        memory = encoder(source)
        outputs = {
            name: decoder(targets[name], memory)
            for name, decoder in decoders.items()
        }
        inputs = {name_source(encoder, source): source, target_name: targets}
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        # `call` may run parts of a decoder outside of it.
        self.dtype_policy = next(iter(decoders.values())).dtype_policy
        self.encoder = encoder
        self.decoders = dict(decoders)
        self._target_name = target_name

    def pair(self, name: str) -> Seq2Seq:
        """Returns the encoder and one decoder: what is trained in the one
        model shows in the other."""
        checks.check_option("name", name, list(self.decoders))
        return Seq2Seq(self.encoder, self.decoders[name])

    def decoder_or_decoders(self) -> dict[str, Decoder]:
        """The decoders by name."""
        return dict(self.decoders)

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        r_drop: float = 0.0,
        **kwargs: Any,
    ) -> None:
        """As `keras.Model.compile`; `jit_compile` as in `Seq2Seq`.

        Losses and metrics are dicts by name, or one loss for all; in
        `loss_weights`, a dict, too, what is missing weighs 1. `r_drop` is as
        in `Seq2Seq`, of each decoder, and weighs what its loss does.
        """
        given = {
            "loss": loss,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "loss_weights": kwargs.get("loss_weights"),
        }
        for name, value in given.items():
            self._check_names(name, value)
        loss_weights = kwargs.get("loss_weights") or {}
        if loss_weights:
            # Keras would have one weight for one loss, that of all.
            if not isinstance(loss, dict):
                loss = dict.fromkeys(self.decoders, loss)
            weights = {name: loss_weights.get(name, 1.0) for name in loss}
            kwargs["loss_weights"] = weights
        # Ignored: of each decoder that leaves padding out, by its loss.
        objectives, ignored = {}, {}
        for name, decoder in self.decoders.items():
            own = loss.get(name) if isinstance(loss, dict) else loss
            check_loss(own, decoder)
            if getattr(own, "chunk_size", None) is not None:
                rule = "None where a model has several decoders"
                checks.fail("chunk_size", rule, own.chunk_size)
            objectives[name] = Objectives(decoder, own, None, r_drop, 0.0)
            measured = [
                (value or {}).get(name, [])
                for value in (metrics, weighted_metrics)
            ]
            if can_pack(own, measured):
                ignored[name] = own.ignore_id
        # Whatever is refused is refused by now: the model stays as it was.
        self._objectives, self._ignored = objectives, ignored
        self._loss_weights = loss_weights
        self.support_jit(kwargs.get("jit_compile"))
        super().compile(
            optimizer,
            loss=loss,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            **kwargs,
        )

    def _check_names(self, argument: str, value: Any) -> None:
        if value is None or (argument == "loss" and not is_nested(value)):
            return
        names = list(self.decoders)
        if not isinstance(value, dict) or not set(value) <= set(names):
            found = list(value) if isinstance(value, dict) else value
            checks.fail(argument, f"a dict by the names {names}", found)

    def call(
        self, inputs: Any, training: bool | None = None, mask: Any = None
    ) -> dict[str, Any]:
        if REAL not in inputs:
            return super().call(inputs, training=training, mask=mask)
        inputs = dict(inputs)
        real, targets = inputs.pop(REAL), inputs.pop(self._target_name)
        (source,) = inputs.values()
        memory = self.encoder(source, training=training)
        logits = {}
        for name, decoder in self.decoders.items():
            if name in real:
                features = decoder.features(targets[name], memory, training)
                logits[name] = project(decoder, pack(features, real[name]))
            else:
                logits[name] = decoder(targets[name], memory, training=training)
        return logits

    def vary(self, args: tuple) -> tuple:
        """What `compile` was told that only training knows."""
        objectives = next(iter(self._objectives.values()))
        if not objectives.r_drop:
            return args
        *state, data = args
        data = keras.utils.unpack_x_y_sample_weight(data)
        return (*state, objectives.vary(data, self._target_name, 0))

    def prepare(self, args: tuple) -> tuple:
        """Checks names, and leaves padding out as `Seq2Seq` does."""
        *state, data = args
        x, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        self._check_step(x, labels)
        packed = [
            name
            for name in self._ignored
            if has_packed_output(self.decoders[name], self.jit_compile)
        ]
        if not packed:
            return args
        x = dict(keras.tree.map_structure(ops.convert_to_tensor, x))
        labels, weights, x[REAL] = dict(labels), {}, {}
        for name in labels:
            weights[name] = sample_weight
            if isinstance(sample_weight, dict):
                weights[name] = sample_weight.get(name)
            if name in packed:
                x[REAL][name], labels[name], weights[name] = pack_labels(
                    labels[name], weights[name], self._ignored[name]
                )
        return (*state, (x, labels, weights))

    def _check_step(self, x: Any, labels: Any) -> None:
        """Refuses data that `fit` could not look at beforehand."""
        targets = x.get(self._target_name) if isinstance(x, dict) else x
        for name, values in ((self._target_name, targets), ("labels", labels)):
            list(match_names(name, values, self.decoder_or_decoders()))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """As `keras.Model.compute_loss`."""
        drops = {
            name: objectives
            for name, objectives in self._objectives.items()
            if training and objectives.r_drop
        }
        widened = {name: one.widen(y_pred[name]) for name, one in drops.items()}
        y_pred = {**y_pred, **widened}
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        for name, objectives in drops.items():
            weights = sample_weight
            if isinstance(weights, dict):
                weights = weights.get(name)
            term = objectives.divergence(y[name], y_pred[name], weights)
            loss += self._loss_weights.get(name, 1.0) * term
        return loss

    def get_compile_config(self) -> dict[str, Any]:
        """As `keras.Model.get_compile_config`."""
        config = super().get_compile_config()
        if not config:
            return {}
        (options, *_) = (own.get_config() for own in self._objectives.values())
        return {**config, **options}

    def get_config(self) -> dict[str, Any]:
        decoders = {
            name: keras.saving.serialize_keras_object(decoder)
            for name, decoder in self.decoders.items()
        }
        return {**super().get_config(), "decoders": decoders}


def is_nested(value: Any) -> bool:
    """Whether a value is a dict, a list or a tuple."""
    return isinstance(value, (dict, list, tuple))
