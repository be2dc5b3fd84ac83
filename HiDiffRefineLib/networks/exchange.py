"""The cross-transformer: discriminative and generative features inform each other.

After the X-Former of HiDiff (arXiv 2407.03548), real-valued: first the discriminative tokens are read by the
diffusion tokens, then the diffusion tokens by what came of it. GroupNorm, and gates that
depend on the step and start at zero, so that training starts from the untouched diffusion features.
"""

import torch
from torch import nn


class CrossTransformer(nn.Module):
    """Exchange at the coarsest scale.

    Args:
        channels: of both feature maps.
        heads: attention heads.
        embedding: width of the step embedding that sets the gates.
    """

    def __init__(self, channels: int, heads: int, embedding: int):
        super().__init__()
        self.norm_state = nn.GroupNorm(8, channels)
        self.norm_image = nn.GroupNorm(8, channels)
        self.norm_mixed = nn.GroupNorm(8, channels)
        self.read_image = nn.MultiheadAttention(channels, heads, batch_first=True)
        self.read_state = nn.MultiheadAttention(channels, heads, batch_first=True)
        self.gates = nn.Linear(embedding, 2 * channels)
        nn.init.zeros_(self.gates.weight)
        nn.init.zeros_(self.gates.bias)

    def forward(self, state: torch.Tensor, image: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        """Diffusion features (B, C, k, j, i) after meeting the image's, same shape."""
        gate_image, gate_state = self.gates(embedding)[:, :, None, None, None].chunk(2, dim=1)
        state_tokens = _tokens(self.norm_state(state))
        image_tokens = _tokens(self.norm_image(image))
        mixed = image + gate_image * _grid(_attend(self.read_image, state_tokens, image_tokens), image)
        mixed_tokens = _tokens(self.norm_mixed(mixed))
        return state + mixed + gate_state * _grid(_attend(self.read_state, mixed_tokens, state_tokens), state)


def _attend(attention: nn.MultiheadAttention, query: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
    return attention(query, context, context, need_weights=False)[0]


def _tokens(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(2).transpose(1, 2)


def _grid(tokens: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return tokens.transpose(1, 2).reshape(like.shape)
