"""What a recurrent decoder shows its output layer, and the output layer."""

from collections.abc import Callable
from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.recurrence import linear
from keras_s2s.recurrence import project_rows
from keras_s2s.recurrence import tanh

Tensor: TypeAlias = Any

KINDS = ("attentional", "deep", "linear", "state")


@keras.saving.register_keras_serializable(package="keras_s2s")
class Readout(keras.layers.Layer):
    """Combines state, context and last token into what the output sees.

    "attentional": tanh(W_h h + W_c c + b); "deep": tanh(W_h h + W_c c +
    W_y y + b); "linear": W_h h + W_c c + b; "state": h as it is. A part that
    is not there is left out.

    Args:
        units: int > 0. Size of the result; "state" keeps the size of h.
        kind: str. "attentional", "deep", "linear" or "state".
        has_context: bool. Whether there is a context.

    Call arguments:
        state: float `(..., U)`.
        context: float `(..., D)` or None.
        token: float `(..., units)` or None. From `project_token`.

    Returns:
        Float `(..., units)`, each value in [-1, 1] unless it is "linear".

    Source: Luong et al., 2015, eq. 5, https://arxiv.org/abs/1508.04025;
    "deep": Pascanu et al., 2014, https://arxiv.org/abs/1312.6026
    """

    def __init__(
        self, units: int, kind: str, has_context: bool, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        checks.check_option("readout", kind, KINDS)
        checks.check_positive("readout_units", units)
        self.units = units
        self.kind = kind
        self.has_context = has_context

    def build(
        self, state_dim: int, context_dim: int | None, token_dim: int
    ) -> None:
        self.dim = state_dim
        if self.kind == "state":
            return
        self.dim = self.units
        self.state_kernel = self.add_weight(
            shape=(state_dim, self.units), name="state_kernel"
        )
        if self.has_context:
            self.context_kernel = self.add_weight(
                shape=(context_dim, self.units), name="context_kernel"
            )
        if self.kind == "deep":
            self.token_kernel = self.add_weight(
                shape=(token_dim, self.units), name="token_kernel"
            )
        self.bias = self.add_weight(
            shape=(self.units,), initializer="zeros", name="bias"
        )

    def project_context(self, context: Tensor | None) -> Tensor | None:
        """Float `(..., D)` -> W_c c + b, the context's part; or, of a memory,
        that of which the context's part is the sum by weights that sum to 1."""
        if self.kind == "state" or context is None:
            return context
        part = linear(context, self.context_kernel)
        return ops.add(part, ops.cast(self.bias, part.dtype))

    def project_token(self, embedded: Tensor) -> Tensor | None:
        """Float `(..., E)` -> the token's part, for all steps at once."""
        if self.kind != "deep":
            return None
        return linear(embedded, self.token_kernel)

    def call(
        self,
        state: Tensor,
        context: Tensor | None = None,
        token: Tensor | None = None,
    ) -> Tensor:
        return self.combine(state, self.project_context(context), token)

    def combine(
        self, state: Tensor, context: Tensor | None, token: Tensor | None
    ) -> Tensor:
        """As `call`, with a context from `project_context`."""
        if self.kind == "state":
            return state
        total = linear(state, self.state_kernel)
        if self.has_context:
            total = total + context
        else:
            total = ops.add(total, ops.cast(self.bias, total.dtype))
        if self.kind == "deep":
            total = total + token
        return total if self.kind == "linear" else tanh(total)

    def get_config(self) -> dict[str, Any]:
        config = {
            "units": self.units,
            "kind": self.kind,
            "has_context": self.has_context,
        }
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_s2s")
class OutputLayer(keras.layers.Layer):
    """Maps features to logits, with weights of its own or an embedding's.

    Args:
        vocabulary_size: int > 0.
        tied: bool. Takes an embedding's weights at each call.
            Default: False.

    Call arguments:
        features: float `(..., D)`.
        embeddings: float `(V, D)`, where tied.

    Returns:
        Logits, float `(..., V)`.

    Source: Press and Wolf, 2017 (tied), https://arxiv.org/abs/1608.05859
    """

    def __init__(
        self, vocabulary_size: int, tied: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.tied = tied

    def build(
        self, features_shape: tuple, embeddings_shape: Any = None
    ) -> None:
        if not self.tied:
            self.kernel = self.add_weight(
                shape=(features_shape[-1], self.vocabulary_size), name="kernel"
            )
        self.bias = self.add_weight(
            shape=(self.vocabulary_size,), initializer="zeros", name="bias"
        )

    def call(
        self, features: Tensor, embeddings: Tensor | None = None
    ) -> Tensor:
        weights = embeddings if self.tied else self.kernel
        weights = ops.cast(weights, self.compute_dtype)

        def project(rows: Tensor, bias: Tensor) -> Tensor:
            return project_rows(rows, weights, bias, self.tied)

        return self._by_rows(project, features)

    def kernel_of(self, embeddings: Tensor | None = None) -> Tensor:
        """Returns float `(D, V)`, what `project` multiplies with."""
        if self.tied:
            return ops.transpose(ops.cast(embeddings, self.compute_dtype))
        return ops.cast(self.kernel, self.compute_dtype)

    def project(self, features: Tensor, kernel: Tensor) -> Tensor:
        """As `call`, with the kernel of many calls made once."""

        def project(rows: Tensor, bias: Tensor) -> Tensor:
            return ops.add(linear(rows, kernel), bias)

        return self._by_rows(project, features)

    def _by_rows(self, project: Callable, features: Tensor) -> Tensor:
        # As rows of one product, to which TensorFlow joins the bias.
        leading = ops.shape(features)[:-1]
        flat = ops.reshape(features, (-1, features.shape[-1]))
        logits = project(flat, ops.cast(self.bias, features.dtype))
        return ops.reshape(logits, (*leading, self.vocabulary_size))

    def get_config(self) -> dict[str, Any]:
        config = {"vocabulary_size": self.vocabulary_size, "tied": self.tied}
        return {**super().get_config(), **config}
