"""A decoder alone, as a functional model."""

from typing import Any

import keras

from keras_s2s import checks
from keras_s2s.layers.decoder import Decoder
from keras_s2s.layers.language_decoder import CarryingDecoder
from keras_s2s.layers.language_decoder import ResetEncoder
from keras_s2s.layers.language_prompt import PromptedDecoder
from keras_s2s.layers.language_prompt import PromptEncoder
from keras_s2s.layers.transformer_decoder import TransformerDecoder
from keras_s2s.models.seq2seq import Seq2Seq


@keras.saving.register_keras_serializable(package="keras_s2s")
class LanguageModel(Seq2Seq):
    """A decoder without a memory, which tells the next token from all before.

    With `stateful`, each row of a batch goes on from the state that the same
    row of the batch before left, in training, evaluation and prediction: so
    `data.Stream` is cut. Gradients end where a batch begins (truncated
    backpropagation through time). A row that `resets` names begins at zeros.
    The state is saved with the model, and `reset_states` clears it. As the
    first batch of a `Stream` resets all rows, an epoch sees nothing of the
    one before, and an evaluation nothing of training. To evaluate inside of
    an epoch, or batches of another size, take another `LanguageModel` of the
    same decoder. A `TransformerDecoder` carries none: it reads each row of
    each batch from its start.

    `InferenceModel(language_model)` continues prompts: what it is given as
    sources, without bos, is read behind bos, and what follows is searched
    for. An empty prompt is one, too.

    Masking: padding of a row stands behind every real token; the state that
    is carried is that behind the last of these.

    Args:
        decoder: `RNNDecoder`, with attention=None, context=None and
            bridge="pass", or `TransformerDecoder`, with
            cross_attention=False.
        stateful: bool. Whether the state is carried from batch to batch.
            Default: False, each row of each batch begins at zeros.
        batch_size: int > 0 where stateful: B, that of every batch. Else
            None. Default: None.

    Call arguments:
        inputs: dict of `target_ids`, int32 `(B, T)`, and `resets`, bool
            `(B,)`: whether a row begins anew. Read where stateful.

    Returns:
        Logits, float `(B, T, V)`.

    Raises:
        TypeError: `decoder` is neither.
        ValueError: it reads a memory; it is to carry a state and has none;
            `batch_size` is missing or too much; a batch has another size;
            `fit` is told to shuffle where stateful.

    Example:

    >>> import keras_s2s as s2s
    >>> data = s2s.data.Stream([5, 6, 7, 8] * 20, batch_size=4, steps=5)
    >>> decoder = s2s.layers.RNNDecoder(
    ...     9, embedding_dim=8, units=16, attention=None, bridge="pass"
    ... )
    >>> model = s2s.models.LanguageModel(decoder, True, batch_size=4)
    >>> model.compile("adam", loss=s2s.losses.SequenceLoss())
    >>> history = model.fit(data, verbose=0)
    >>> inference = s2s.models.InferenceModel(model, max_length=5)
    >>> inference.output["ids"].shape
    (None, 1, 5)

    Source: Mikolov et al., 2010, https://doi.org/10.21437/Interspeech.2010-343;
    Zaremba et al., 2014, https://arxiv.org/abs/1409.2329; Liu et al., 2018
    (a Transformer decoder alone), https://arxiv.org/abs/1801.10198
    """

    def __init__(
        self,
        decoder: Decoder,
        stateful: bool = False,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        if stateful and isinstance(decoder, TransformerDecoder):
            rule = "False with a TransformerDecoder, which has no state"
            checks.fail("stateful", rule, stateful)
        if stateful:
            checks.check_positive("batch_size", batch_size)
        elif batch_size is not None:
            rule = "None where no state is carried"
            checks.fail("batch_size", rule, batch_size)
        carrying = CarryingDecoder(decoder, batch_size)
        super().__init__(ResetEncoder(), carrying, **kwargs)
        self.stateful = stateful
        self.batch_size = batch_size

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """As `Seq2Seq.compile`, but for what runs a batch several times."""
        if kwargs.get("scheduled_sampling") is not None:
            rule = "None in a language model"
            checks.fail(
                "scheduled_sampling", rule, kwargs["scheduled_sampling"]
            )
        super().compile(*args, **kwargs)

    def prompted(self, bos_id: int = 2, max_length: int = 64) -> Seq2Seq:
        """Returns a model of the same weights from prompts to what follows.

        Args:
            bos_id: int >= 0. What stands before a prompt. Default: 2.
            max_length: int > 0. The most tokens that follow, where positions
                are learned: a prompt has the others. Default: 64.
        """
        decoder, longest = self.decoder.decoder, self.decoder.longest
        if longest is not None:
            checks.check_length("max_length", max_length, longest)
            longest -= max_length
        encoder = PromptEncoder(
            decoder.vocabulary_size, decoder.pad_id, longest
        )
        return Seq2Seq(encoder, PromptedDecoder(decoder, bos_id, max_length))

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.predict`."""
        self._check_data(x)
        return super().predict(x, *args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        for name in ("encoder", "share_embeddings", "share_cells"):
            del config[name]
        return {
            **config,
            "decoder": keras.saving.serialize_keras_object(
                self.decoder.decoder
            ),
            "stateful": self.stateful,
            "batch_size": self.batch_size,
        }
