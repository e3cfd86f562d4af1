"""One vocabulary for the operators of PyTorch, ONNX, TensorFlow and TFLite, as far as alignment needs it."""

from __future__ import annotations

from collections.abc import Mapping

from sigedge_export.lab.trace import INPUT

LINEAR = "linear"
"""Convolutions and matrix products: the anchors of an alignment."""

MOVED = "moved"
"""Computes nothing: another shape, order, type or extent of the same values."""

NORMALISED = "normalised"
"""A factor or an offset for each channel, which a converter folds into the convolution before it."""

RESIZED = "resized"

ACTIVATIONS = frozenset({"relu", "leakyrelu", "sigmoid", "tanh", "swish", "hardswish", "gelu", "elu", "softplus"})

_SAME: Mapping[str, str] = {
    LINEAR: "conv conv1d conv2d convolution convtranspose convtranspose2d transposeconv conv2dbackpropinput "
    "depthwiseconv2d depthwiseconv2dnative gemm linear addmm matmul mm bmm baddbmm batchmatmul batchmatmulv2 "
    "fullyconnected einsum scaleddotproductattention scaleddotproductflashattentionforcpu",
    MOVED: "identity cast tocopy to contiguous clone copy alias detach dropout transpose permute t movedim reshape "
    "view unsafeview flatten squeeze unsqueeze expanddims expand expandas broadcastto tile slice stridedslice "
    "select split splitv chunk unbind unpack getitem gather pad padv2 constantpadnd quantizelinear dequantizelinear "
    "quantize dequantize spacetobatchnd batchtospacend",
    NORMALISED: "batchnorm batchnormalization fusedbatchnormv3 nativebatchnorm cudnnbatchnorm biasadd",
    RESIZED: "resize upsample resizebilinear resizenearestneighbor resizebicubic interpolate upsamplenearest2d "
    "upsamplebilinear2d upsamplebicubic2d",
    "relu": "relu relu0to1 relun1to1 relu6 clip clamp clampmin hardtanh",
    "sigmoid": "sigmoid logistic hardsigmoid",
    "swish": "silu swish",
    "add": "add addv2 biasadd",
    "mul": "mul multiply",
    "sub": "sub subtract",
    "div": "div realdiv truediv",
    "mean": "mean reducemean globalaveragepool adaptiveavgpool2d averagepool averagepool2d avgpool avgpool2d",
    "max": "maxpool maxpool2d reducemax amax max",
    "join": "cat concat concatv2 concatenation stack pack",
    "norm": "linalgvectornorm reducel2 lpnormalization l2normalization norm",
}
_TRANSPARENT = frozenset(
    "identity cast tocopy to contiguous clone copy alias detach dropout pad padv2 constantpadnd quantizelinear "
    "dequantizelinear quantize dequantize".split()
)
_KINDS = {name: kind for kind, names in _SAME.items() for name in names.split()}


def kinds(operator: str) -> frozenset[str]:
    """What an operator does, under the same name for every format; two kinds where an activation is fused.

    >>> sorted(kinds("CONV_2D+RELU")) == sorted(kinds("conv2d") | kinds("aten::relu"))
    True
    """
    if operator == INPUT:
        return frozenset({INPUT})
    return frozenset(map(_kind, operator.split("+")))


def is_transparent(operator: str) -> bool:
    """Whether it passes on the values of its input as they are, but for their type or a padding around them."""
    return _plain(operator) in _TRANSPARENT


def _kind(operator: str) -> str:
    plain = _plain(operator)
    return _KINDS.get(plain, plain)


def _plain(operator: str) -> str:
    return operator.rpartition("::")[2].replace("_", "").lower()
