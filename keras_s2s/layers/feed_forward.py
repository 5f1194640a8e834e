"""The position-wise network of a Transformer."""

from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.layers.dense import Dense
from keras_s2s.layers.dropout import Dropout

Tensor: TypeAlias = Any

ACTIVATIONS = {
    "relu": ops.relu,
    "gelu": lambda inputs: ops.gelu(inputs, approximate=False),
    "swiglu": ops.silu,
}


@keras.saving.register_keras_serializable(package="keras_s2s")
class FeedForward(keras.layers.Layer):
    """Two dense layers with an activation between them.

    "relu" and "gelu": W_2 f(W_1 x + b_1) + b_2. "swiglu":
    W_2 (silu(W_g x + b_g) * (W_1 x + b_1)) + b_2.

    Args:
        hidden_dim: int > 0. Size between the layers.
        activation: "relu", "gelu" or "swiglu".
        dropout: float in [0, 1). Share of what is between the layers that is
            set to 0. Default: 0.0.

    Call arguments:
        inputs: float `(N, D)`.
        training: bool or None. Whether dropout acts.

    Returns:
        Float `(N, D)`.

    Raises:
        ValueError: a size is not positive, the activation unknown, or the
            rate outside [0, 1).

    Source: Vaswani et al., 2017, eq. 2, https://arxiv.org/abs/1706.03762;
    Hendrycks and Gimpel, 2016 (GELU), https://arxiv.org/abs/1606.08415;
    Shazeer, 2020 (SwiGLU), https://arxiv.org/abs/2002.05202
    """

    def __init__(
        self,
        hidden_dim: int,
        activation: str = "relu",
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.check_positive("hidden_dim", hidden_dim)
        checks.check_option("activation", activation, ACTIVATIONS)
        checks.check_rate("dropout", dropout)
        self.hidden_dim = hidden_dim
        self.activation = activation
        self.dropout = dropout
        self.is_gated = activation == "swiglu"

    def build(self, input_shape: tuple) -> None:
        policy, size = self.dtype_policy, input_shape[-1]
        # The gate and what it opens are one product.
        width = self.hidden_dim * (2 if self.is_gated else 1)
        self.inner = Dense(width, dtype=policy, name="inner")
        self.outer = Dense(size, dtype=policy, name="outer")
        self.dropout_layer = Dropout(self.dropout, dtype=policy)
        self.inner.build((None, size))
        self.outer.build((None, self.hidden_dim))

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        hidden = self.inner(inputs)
        activate = ACTIVATIONS[self.activation]
        if self.is_gated:
            gate, hidden = ops.split(hidden, 2, axis=-1)
            hidden = activate(gate) * hidden
        else:
            hidden = activate(hidden)
        return self.outer(self.dropout_layer(hidden, training=training))

    def get_config(self) -> dict[str, Any]:
        config = {
            "hidden_dim": self.hidden_dim,
            "activation": self.activation,
            "dropout": self.dropout,
        }
        return {**super().get_config(), **config}
