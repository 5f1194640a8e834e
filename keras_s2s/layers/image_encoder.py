"""The encoder of images: a convolutional backbone whose grid is the memory."""

import contextlib
import inspect
import sys
from collections.abc import Iterator
from typing import Any
from typing import TypeAlias

import keras
from keras import ops

from keras_s2s import checks
from keras_s2s.images import check_image_shape
from keras_s2s.layers.encoder import Encoder
from keras_s2s.layers.positions import GridPositions
from keras_s2s.recurrence import PREFERS_JIT

Tensor: TypeAlias = Any

APPLICATIONS = {
    name: function
    for name, function in vars(keras.applications).items()
    if inspect.isfunction(function)
}
PREPROCESSINGS = ("auto", "unit", "caffe", "tf", "torch", None)


@keras.saving.register_keras_serializable(package="keras_s2s")
class ImageEncoder(Encoder):
    """Makes a memory of the feature grid of an image.

    The grid `(B, H, W, C)` of a backbone is read row by row, from the top
    left: S = H x W. A frozen backbone runs as in inference, its batch
    normalization and dropout included, and none of its weights is trained.

    Masking: none of an image is padding; the mask is True everywhere.

    Args:
        backbone: str or layer. A name in `keras.applications`, such as
            "ResNet50"; or any Keras model or layer that maps images
            `(B, height, width, channels)` to a grid.
        image_shape: tuple of three int, or None. (height, width, channels).
            Default: that of the backbone's input, (224, 224, 3) by name.
        backbone_weights: str or None. With a name: "imagenet", which is
            downloaded, a path, or None, random. What is saved brings its own
            weights. Default: None.
        trainable_backbone: bool. False freezes the backbone, a layer that is
            handed over, too. True changes nothing: what is frozen in it
            stays so. Default: True.
        preprocessing: str or None. What happens to pixels in [0, 255].
            "unit": to [0, 1]; "tf": to [-1, 1]; "torch": to [0, 1],
            normalised by the mean and deviation of ImageNet; "caffe": to
            BGR, less the mean of ImageNet; None: nothing; "auto": what Keras
            states for a name, "unit" for a layer. Default: "auto".
        embedding_dim: int > 0 or None. Projects the grid to that many units,
            D. Default: None, no projection.
        positions: str or None. Adds to each cell its place, "sinusoidal" or
            "learned", half of it the row and half the column.
            Default: None.

    Call arguments:
        images: float or uint8 `(B, height, width, channels)`, pixels in
            [0, 255].
        training: bool or None. How a backbone that is not frozen runs.

    Returns:
        Memory, a dict of `outputs`, float `(B, S, D)`, and `mask`, bool
        `(B, S)`.

    Raises:
        TypeError: `backbone` is neither a name nor a layer.
        ValueError: an unknown name, a size that is not positive, an unknown
            shape of images, or a backbone whose result is no grid.

    Example:

    >>> backbone = keras.Sequential([keras.layers.Conv2D(8, 3, strides=4)])
    >>> encoder = ImageEncoder(backbone, image_shape=(32, 24, 3))
    >>> memory = encoder(keras.ops.ones((2, 32, 24, 3)))
    >>> tuple(memory["outputs"].shape)
    (2, 48, 8)

    Source: Xu et al., 2015 (the grid as memory),
    https://arxiv.org/abs/1502.03044; positions as in `GridPositions`
    """

    def __init__(
        self,
        backbone: Any,
        image_shape: tuple[int, int, int] | None = None,
        backbone_weights: str | None = None,
        trainable_backbone: bool = True,
        preprocessing: str | None = "auto",
        embedding_dim: int | None = None,
        positions: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        checks.check_option("preprocessing", preprocessing, PREPROCESSINGS)
        if isinstance(backbone, dict):  # from a config
            backbone = keras.saving.deserialize_keras_object(backbone)
        if embedding_dim is not None:
            checks.check_positive("embedding_dim", embedding_dim)
        self.backbone = backbone
        self.image_shape = _find_image_shape(backbone, image_shape)
        self.backbone_weights = backbone_weights
        self.trainable_backbone = trainable_backbone
        self.preprocessing = preprocessing
        self.embedding_dim = embedding_dim
        self.positions = positions
        self.supports_jit = PREFERS_JIT
        policy = self.dtype_policy
        self.backbone_layer = backbone
        if isinstance(backbone, str):
            with _default_policy(policy):
                self.backbone_layer = APPLICATIONS[backbone](
                    include_top=False,
                    weights=backbone_weights,
                    input_shape=self.image_shape,
                )
        if not trainable_backbone:
            self.backbone_layer.trainable = False
        self.projection = None
        if embedding_dim is not None:
            self.projection = keras.layers.Dense(
                embedding_dim, dtype=policy, name="projection"
            )
        self.positions_layer = GridPositions(
            positions, dtype=policy, name="positions"
        )

    def make_input(self) -> keras.KerasTensor:
        """Returns the symbolic input of a functional model, `images`."""
        return keras.Input(self.image_shape, dtype="float32", name="images")

    def build(self, images_shape: tuple) -> None:
        # A model of layers without a known input is built by this, too.
        grid = self.backbone_layer(keras.Input(self.image_shape))
        shape = getattr(grid, "shape", None)
        if shape is None or len(shape) != 4:
            rule = "a layer whose result is a grid (B, H, W, C)"
            checks.fail("backbone", rule, shape)
        if self.projection is not None:
            self.projection.build(shape)
            shape = (*shape[:3], self.embedding_dim)
        self.positions_layer.build(shape)

    def call(
        self, images: Tensor, training: bool | None = None
    ) -> dict[str, Tensor]:
        x = self._preprocess(ops.cast(images, self.compute_dtype))
        if not self.trainable_backbone:
            training = False
        x = self.backbone_layer(x, training=training)
        x = ops.cast(x, self.compute_dtype)
        if self.projection is not None:
            x = self.projection(x)
        x = self.positions_layer(x)
        _, height, width, size = ops.shape(x)
        x = ops.reshape(x, (-1, height * width, size))
        return {"outputs": x, "mask": ops.ones_like(x[..., 0], "bool")}

    def _preprocess(self, images: Tensor) -> Tensor:
        kind = self.preprocessing
        if kind is None:
            return images
        if kind == "auto" and isinstance(self.backbone, str):
            module = sys.modules[APPLICATIONS[self.backbone].__module__]
            # On torch it works in place, on what may be the caller's.
            return module.preprocess_input(images + 0)
        if kind in ("auto", "unit"):
            return images / 255
        return keras.applications.imagenet_utils.preprocess_input(
            images + 0, mode=kind
        )

    def get_config(self) -> dict[str, Any]:
        backbone = self.backbone
        if not isinstance(backbone, str):
            backbone = keras.saving.serialize_keras_object(backbone)
        config = {
            "backbone": backbone,
            "image_shape": self.image_shape,
            # Whoever loads brings the weights: none are downloaded again.
            "backbone_weights": None,
            "trainable_backbone": self.trainable_backbone,
            "preprocessing": self.preprocessing,
            "embedding_dim": self.embedding_dim,
            "positions": self.positions,
        }
        return {**super().get_config(), **config}


def _find_image_shape(
    backbone: Any, image_shape: tuple | None
) -> tuple[int, int, int]:
    """Checks both, and takes the shape from the backbone where need be."""
    if isinstance(backbone, str):
        checks.check_option("backbone", backbone, APPLICATIONS)
        return check_image_shape(image_shape or (224, 224, 3))
    rule = "a name in keras.applications, or a Keras model or layer"
    checks.check_instance("backbone", backbone, keras.layers.Layer, rule)
    if image_shape is None:
        # None, too, where the backbone has no input yet.
        shape = getattr(backbone, "input_shape", None)
        image_shape = shape and tuple(shape[1:])
    return check_image_shape(image_shape)


@contextlib.contextmanager
def _default_policy(policy: Any) -> Iterator[None]:
    """What Keras makes meanwhile has this policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
