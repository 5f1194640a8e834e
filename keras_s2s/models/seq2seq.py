"""Encoder and decoder as one functional model."""

from typing import Any

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.layers.carried_state import find_carriers
from keras_s2s.layers.decoder import Decoder
from keras_s2s.layers.encoder import Encoder
from keras_s2s.losses import SequenceLoss
from keras_s2s.models.door import check_copying
from keras_s2s.models.objectives import ALIGNMENTS
from keras_s2s.models.objectives import SHARES
from keras_s2s.models.objectives import Objectives
from keras_s2s.models.output import ChunkedOutput
from keras_s2s.models.output import can_pack
from keras_s2s.models.output import pack
from keras_s2s.models.output import project
from keras_s2s.models.scheduled_sampling import IS_OWN
from keras_s2s.models.scheduled_sampling import NOISE
from keras_s2s.models.scheduled_sampling import ScheduledSampling
from keras_s2s.models.scheduled_sampling import count_updates
from keras_s2s.models.sharing import share_embedding
from keras_s2s.models.sharing import shares_cells
from keras_s2s.models.sharing import shares_embedding
from keras_s2s.models.sharing import tie_cells
from keras_s2s.models.training import REAL
from keras_s2s.models.training import TrainingModel
from keras_s2s.models.training import check_loss
from keras_s2s.models.training import find_real
from keras_s2s.models.training import has_packed_output
from keras_s2s.models.training import name_source
from keras_s2s.models.training import pack_labels

# Entries of the inputs inside a training step, where the loss is taken by
# chunks: labels, int32 `(B, T)`, and weights, float32 `(B, T)`.
LABELS = "_labels"
WEIGHTS = "_weights"

# What a training or test step adds to the inputs.
ENTRIES = (REAL, LABELS, WEIGHTS, IS_OWN, NOISE)


@keras.saving.register_keras_serializable(package="keras_s2s")
class Seq2Seq(TrainingModel):
    """An encoder and a teacher-forced decoder, as a functional model.

    Args:
        encoder: `Encoder` layer.
        decoder: `Decoder` layer.
        share_embeddings: bool. The encoder's embedding is the decoder's, of
            one vocabulary; with the decoder's `tie_embeddings` all three are
            one. Default: False.
        share_cells: bool. The recurrent cells of the encoder, which runs
            forward, are the decoder's, which has no input feeding and as
            many layers of one size. Default: False.

    Call arguments:
        inputs: dict of `source_ids`, int32 `(B, S)`, and `target_ids`, int32
            `(B, T)`, beginning with bos; of vectors, `source_vectors` and
            `target_vectors`, float `(B, S, C)` and `(B, T, C)`. Those of a
            `ParallelEncoder` or a `StatefulEncoder` are a dict by name.

    Returns:
        Logits, float `(B, T, V)`, or vectors `(B, T, C)`.

    Raises:
        TypeError: `encoder` is no `Encoder`, or `decoder` no `Decoder`.
        ValueError: embeddings or cells that are to be shared differ; a
            decoder copies from an encoder of another vocabulary.

    Example:

    >>> import keras_s2s as s2s
    >>> encoder = s2s.layers.RNNEncoder(20, embedding_dim=8, units=16)
    >>> decoder = s2s.layers.RNNDecoder(30, embedding_dim=8, units=16)
    >>> model = s2s.models.Seq2Seq(encoder, decoder)
    >>> model.compile("adam", loss=s2s.losses.SequenceLoss())
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        share_embeddings: bool = False,
        share_cells: bool = False,
        **kwargs: Any,
    ) -> None:
        checks.check_instance(
            "encoder", encoder, Encoder, "a keras_s2s.layers.Encoder"
        )
        checks.check_instance(
            "decoder", decoder, Decoder, "a keras_s2s.layers.Decoder"
        )
        check_copying(encoder, decoder)
        if share_embeddings:
            share_embedding(encoder, decoder)
        source = encoder.make_input()
        target = decoder.make_input()
        outputs = decoder(target, encoder(source))
        if share_cells:
            tie_cells(encoder, decoder)
        self._names = (name_source(encoder, source), target.name)
        inputs = dict(zip(self._names, (source, target)))
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        # `call` may run parts of the decoder outside of it.
        self.dtype_policy = decoder.dtype_policy
        self.encoder = encoder
        self.decoder = decoder

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        scheduled_sampling: ScheduledSampling | None = None,
        r_drop: float = 0.0,
        guided_alignment: float = 0.0,
        **kwargs: Any,
    ) -> None:
        """As `keras.Model.compile`, with what only training knows.

        `scheduled_sampling` has the decoder read some of its own words.

        `r_drop` > 0 has each batch come twice, under different dropout, and
        adds that times the divergence of the two distributions of each
        token: alpha of Liang et al., 2021, https://arxiv.org/abs/2106.14448,
        who take 5. With `SequenceLoss`, whose normalizer counts each half,
        half of theirs: the mean of both losses, not the sum. A step takes
        two to three times as long; evaluation is as without.

        `guided_alignment` > 0 adds that times the cross-entropy of the
        attention weights, in each token's share of the loss. The inputs then
        hold `alignments`, float `(B, T, S)`: which positions of the memory
        each label comes from, of sum 1, or of sum 0 where nobody knows;
        `data.AlignedPairs` makes them.
        Evaluation does without. Chen et al., 2016,
        https://arxiv.org/abs/1607.01628

        `jit_compile="auto"` is the faster way on the backend at hand; True
        compiles with XLA, on TensorFlow anew for each pair of lengths.
        """
        check_loss(loss, self.decoder)
        if r_drop and find_carriers(self.parts()):
            checks.fail("r_drop", "0 where the state is carried", r_drop)
        objectives = Objectives(
            self.decoder, loss, scheduled_sampling, r_drop, guided_alignment
        )
        chunked_output = None
        if isinstance(loss, SequenceLoss) and loss.chunk_size is not None:
            if kwargs.get("loss_weights") is not None:
                rule = "None where the loss has a `chunk_size`"
                checks.fail("loss_weights", rule, kwargs["loss_weights"])
            chunked_output = ChunkedOutput(
                self.decoder, loss, metrics, weighted_metrics
            )
        # Whatever is refused is refused by now: the model stays as it was.
        self.objectives = objectives
        self._chunked_output = chunked_output
        self._counts_tokens = can_pack(
            loss, [metrics or [], weighted_metrics or []]
        )
        self.support_jit(kwargs.get("jit_compile"))
        super().compile(
            optimizer,
            loss=loss,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            **kwargs,
        )

    def call(
        self, inputs: Any, training: bool | None = None, mask: Any = None
    ) -> Any:
        if not any(name in inputs for name in (*ENTRIES, SHARES)):
            if ALIGNMENTS in inputs:
                inputs = {name: inputs[name] for name in self._names}
            return super().call(inputs, training=training, mask=mask)
        real, labels, weights, is_own, noise = map(inputs.get, ENTRIES)
        source, target = map(inputs.get, self._names)
        memory = self.encoder(source, training=training)
        if is_own is not None:
            target = self.objectives.scheduled_sampling.read(
                self.decoder, memory, target, is_own, noise
            )
        if not any(name in inputs for name in (REAL, LABELS, SHARES)):
            return self.decoder(target, memory, training=training)
        features = self._features(inputs, target, memory, training)
        if labels is not None:
            return self._chunked_output.evaluate(
                features, labels, weights, real
            )
        if real is None:
            return self.decoder.project(features)
        return project(self.decoder, pack(features, real))

    def _features(
        self, inputs: dict, target: Any, memory: dict, training: Any
    ) -> Any:
        """What the output layer sees; guides the attention, if asked to."""
        if SHARES not in inputs:
            return self.decoder.features(target, memory, training)
        found = self.decoder.attended_features(target, memory, training)
        loss = self.objectives.alignment_loss(
            found["weights"], inputs[ALIGNMENTS], inputs[SHARES]
        )
        # A functional model takes none itself.
        self.decoder.add_loss(loss)
        return found["features"]

    def decoder_or_decoders(self) -> Decoder:
        """The decoder."""
        return self.decoder

    def vary(self, args: tuple) -> tuple:
        """What `compile` was told that only training knows."""
        if not self.objectives.get_config():
            return args
        *state, data = args
        x, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        data = (dict(x), labels, sample_weight)
        step = count_updates(self.optimizer, state)
        return (*state, self.objectives.vary(data, self._names[1], step))

    def prepare(self, args: tuple) -> tuple:
        """Leaves padding out before the output layer, where nothing differs,
        and hands `call` what it needs where the loss is taken by chunks.

        All real tokens of a batch become one row of a batch of 1, which the
        loss and the metrics weigh as they weigh the whole.
        """
        chunked = self._chunked_output
        packs = chunked.can_pack if chunked else self._counts_tokens
        packs = packs and has_packed_output(self.decoder, self.jit_compile)
        if not packs and not chunked:
            return args
        *state, data = args
        x, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        x = dict(keras.tree.map_structure(ops.convert_to_tensor, x))
        of_labels = (labels, sample_weight, self.loss.ignore_id)
        if not chunked:
            x[REAL], labels, weights = pack_labels(*of_labels)
            return ((x, labels, weights),)
        real, x[WEIGHTS] = find_real(*of_labels)
        x[LABELS] = ops.cast(labels, "int32")
        if packs:
            x[REAL] = real
        return (*state, (x, labels, sample_weight))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """As `keras.Model.compute_loss`."""
        if not isinstance(y_pred, dict):
            drops = training and self.objectives.r_drop
            if drops:
                y_pred = self.objectives.widen(y_pred)
            loss = super().compute_loss(x, y, y_pred, sample_weight, training)
            if drops:
                loss += self.objectives.divergence(y, y_pred, sample_weight)
            return loss
        return y_pred["loss"] + sum(ops.sum(loss) for loss in self.losses)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """As `keras.Model.compute_metrics`."""
        if not isinstance(y_pred, dict):
            return super().compute_metrics(x, y, y_pred, sample_weight)
        # Keras would build it as it updates it from logits.
        compiled = self._compile_metrics
        if compiled is not None and not compiled.built:
            compiled.build(y, y_pred["loss"])
        self._chunked_output.update_metrics(y, y_pred["values"], sample_weight)
        return self.get_metrics_result()

    def get_compile_config(self) -> dict[str, Any]:
        """As `keras.Model.get_compile_config`."""
        config = super().get_compile_config()
        return {**config, **self.objectives.get_config()} if config else {}

    def get_config(self) -> dict[str, Any]:
        config = {
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "share_embeddings": shares_embedding(self.encoder, self.decoder),
            "share_cells": shares_cells(self.encoder, self.decoder),
        }
        return {**super().get_config(), **config}
