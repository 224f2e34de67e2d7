"""The network of ``examples/g2p.py`` for torch, told the phonemes so far: logits with gradients."""

from __future__ import annotations

from typing import Any


def forward(state: dict[str, Any], letters: Any, phonemes: Any) -> Any:
    """Logits (B, T, phonemes) of the phoneme after each of (B, T), of words (B, letters).

    Words of a batch have one length, the end mark included.
    """
    import torch

    def step(side: str, x: Any, hidden: Any) -> Any:
        inputs = x @ state[f"{side}_w_ih"].T + state[f"{side}_b_ih"]
        memory = hidden @ state[f"{side}_w_hh"].T + state[f"{side}_b_hh"]
        (r, u, c), (hr, hu, hc) = inputs.chunk(3, -1), memory.chunk(3, -1)
        update = torch.sigmoid(u + hu)
        candidate = torch.tanh(c + torch.sigmoid(r + hr) * hc)
        return candidate + update * (hidden - candidate)

    hidden = torch.zeros(len(letters), state["enc_w_hh"].shape[1])
    for place in range(letters.shape[1]):
        hidden = step("enc", state["enc_emb"][letters[:, place]], hidden)
    outputs = []
    for place in range(phonemes.shape[1]):
        hidden = step("dec", state["dec_emb"][phonemes[:, place]], hidden)
        outputs.append(hidden @ state["fc_w"].T + state["fc_b"])
    return torch.stack(outputs, 1)
