"""LoRA: a phase that trains two thin factors beside a frozen kernel, then adds their product to it (Hu et al. 2021).

The order in a phase: `freeze`, `add_lora`, build the model, train, `merge_lora`. Until it is merged, `network_weights`
gives the plain weights as they were before the phase, and `lora_weights` the factors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasft.errors import KerasftError

if TYPE_CHECKING:
    from kerasft.network import Network
    from kerasft.training.phases import Frontier

ALPHA = 16.0


@dataclass(frozen=True)
class _Factors:
    """What a projection calls in place of its own `call` while its factors train.

    Keras' own `enable_lora` will not do: its factors of a [H, heads, size] kernel are one matrix a head, several times
    as many numbers; it computes the gradient of the whole kernel; and it cannot be undone.

    Attributes:
        dense: the attention's `EinsumDense`, whose kernel is [H, heads, size].
        down: Keras variable float32[H, rank].
        up: Keras variable float32[rank, heads, size]; begins as zeros.
        scale: alpha / rank.
    """

    dense: Any
    down: Any
    up: Any
    scale: float

    def __call__(self, inputs, training=None):
        from keras import ops

        outputs = type(self.dense).call(self.dense, inputs, training=training)
        thin = ops.matmul(inputs, self.down) * self.scale
        # One matrix product and a reshape: the einsum of the same takes a third more time a step.
        wide = ops.matmul(thin, ops.reshape(self.up, (self.up.shape[0], -1)))
        return outputs + ops.reshape(wide, ops.shape(outputs))

    def product(self) -> np.ndarray:
        """float32[H, heads, size]: what the kernel lacks."""
        return np.tensordot(self.down.numpy(), self.up.numpy(), axes=1) * np.float32(self.scale)


def add_lora(network: Network, line: Frontier, rank: int, seed: int, alpha: float = ALPHA) -> None:
    """Puts factors beside the attention's query and value kernels, the pair that Hu et al. (section 7.1) found best for
    its size, of the trained blocks; from now on they and the head alone train.

    Call it inside the strategy's scope, after the layers are built. The network's outputs are the same as before.

    Args:
        network: is changed in place, until `merge_lora`.
        line: factors go to the blocks from `line.block` up; the embeddings stay frozen whatever it says of them.
        rank: columns of the thin factor, from 1 to H.
        seed: of the factors that do not begin as zeros.
        alpha: the product of the factors counts alpha / rank times, so that one learning rate suits many ranks.

    Raises:
        KerasftError: a rank out of range, or no block to adapt.
        ValueError: the network has factors already.
    """
    import keras

    backbone = network.backbone
    check_rank(rank, backbone.hidden_size)
    if line.block >= len(backbone.blocks):
        raise KerasftError(
            "lora: it adapts unfrozen blocks, and this phase unfreezes the head alone. Pass 'unfrozen: 1' or more with "
            "'lora', or leave 'lora' out."
        )
    if lora_weights(network):
        raise ValueError("The network has factors already: merge_lora(network) first.")

    draw = np.random.default_rng([seed, rank])
    for dense in _projections(backbone.blocks[line.block :]):
        size, *heads = dense.kernel.shape
        spread = keras.initializers.RandomNormal(stddev=size**-0.5, seed=int(draw.integers(2**31)))
        # A built layer takes no more weights unless its tracker is unlocked, as Keras does for its own enable_lora.
        dense._tracker.unlock()
        down = dense.add_weight(name="lora_down", shape=(size, rank), dtype="float32", initializer=spread)
        up = dense.add_weight(name="lora_up", shape=(rank, *heads), dtype="float32", initializer="zeros")
        dense._tracker.lock()
        dense.call = _Factors(dense, down, up, alpha / rank)
    freeze_plain(network)


def check_rank(rank: int, hidden_size: int) -> None:
    """Raises `KerasftError` when factors of this rank would be no thinner than the kernel."""
    if not 1 <= rank <= hidden_size:
        raise KerasftError(
            f"lora: expected a rank from 1 to {hidden_size}, the backbone's hidden size; found {rank}. "
            "Ranks of 4 to 16 are usual."
        )


def merge_lora(network: Network) -> None:
    """Adds the factors' products to the kernels and takes the factors away: the network is plain again, and what
    `freeze` said last holds for its weights. Nothing happens without factors.
    """
    for factors in list(_every(network)):
        dense = factors.dense
        dense.kernel.assign(dense.kernel.numpy() + factors.product())
        del dense.call
        for variable in (factors.down, factors.up):
            dense._untrack_variable(variable)
    # Keras takes no notice of `layer.trainable = True` where it is so already: `freeze` could not do this.
    for layer in _plain_layers(network):
        for weight in layer.weights:
            weight.trainable = layer.trainable


def lora_weights(network: Network) -> list:
    """The factors in a fixed order: blocks bottom to top, query before value, the thin one that begins random first.

    Returns:
        Keras variables float32; empty when the network is plain.
    """
    return [variable for factors in _every(network) for variable in (factors.down, factors.up)]


def freeze_plain(network: Network) -> None:
    """Freezes whatever is neither factor nor head. `freeze` calls it on a network that has factors."""
    factors = {id(variable) for variable in lora_weights(network)}
    for layer in _plain_layers(network):
        for weight in layer.weights:
            weight.trainable = id(weight) in factors


def _plain_layers(network: Network) -> tuple[Any, ...]:
    return (*network.backbone.bottom, *network.backbone.blocks, *network.backbone.top)


def _every(network: Network) -> Iterator[_Factors]:
    for dense in _projections(network.backbone.blocks):
        call = vars(dense).get("call")
        if isinstance(call, _Factors):
            yield call


def _projections(blocks: Sequence[Any]) -> Iterator[Any]:
    """The query and value layers of each block's attention; both families use Keras' own attention layer."""
    import keras

    for block in blocks:
        for layer in block._flatten_layers():
            if isinstance(layer, keras.layers.MultiHeadAttention):
                yield from (layer.query_dense, layer.value_dense)
