"""The loss of a batch, from viewpoints on, and its compiled form."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.geometry import PATCH_PIXELS, VIEWPOINTS
from pipeline.network import ViewpointNetwork


class WeightedLoss(nn.Module):
    """Network, output layer and loss as one module.

    Parameters
    ----------
    network
        With weights in float32.
    dtype
        Data type of convolutions and products.
    viewpoints
        How many of each example's viewpoints are shown; see `Recipe`.
    """

    def __init__(self, network: ViewpointNetwork, dtype: torch.dtype, viewpoints: int = VIEWPOINTS) -> None:
        super().__init__()
        self.network, self.dtype, self.viewpoints = network, dtype, viewpoints

    def forward(
        self, views: Tensor, votes: Tensor, weights: Tensor, clipped: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Sum over examples of each one's weight times its mean squared error over the votes there are.

        Parameters
        ----------
        views : Tensor, shape (n, 16, 3, 45, 45)
        votes : Tensor, shape (n, answers), float32
            NaN where a vote is missing.
        weights : Tensor, shape (n,), float32
        clipped
            Whether of raw values clipped to [0, 1] instead of the output layer's probabilities.

        Returns
        -------
        loss : Tensor, scalar, float32
        alive : Tensor, shape (answers,), bool
            Which answers have a positive raw value for some example.
        """
        with torch.autocast(views.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            raw = self._raw(views).float()
        answers = raw.clamp(0, 1) if clipped else self.network.output(raw)
        voted = ~votes.isnan()
        square = functional.mse_loss(answers, torch.where(voted, votes, answers.detach()), reduction="none")
        each = square.sum(dim=1) / voted.sum(dim=1).clamp(min=1)
        return (weights * each).sum(), (raw.detach() > 0).any(dim=0)

    def _raw(self, views: Tensor) -> Tensor:
        if self.viewpoints == VIEWPOINTS:
            return self.network.raw(self.network.viewpoint_features(views))
        which = torch.rand(views.shape[:2], device=views.device).argsort(dim=1)[:, : self.viewpoints]
        rows = torch.arange(len(views), device=views.device)[:, None]
        # By their pixels' layout, channels last, which the convolutions are fastest in.
        some = views.movedim(-3, -1)[rows, which].movedim(-1, -3)
        return self.network.raw_of_some(self.network.viewpoint_features(some), which)


def compiler_for(device: torch.device) -> str | None:
    """The backend of `torch.compile` that pays on a device; on CPUs none does."""
    return "inductor" if device.type == "cuda" else None


def compiled(
    loss: WeightedLoss,
    sizes: Iterable[int],
    clipped: bool,
    compiler: str,
    say: Callable[[str], None],
) -> nn.Module:
    """The same loss, compiled by `torch.compile` for batches of some sizes; as it is where that fails.

    Parameters
    ----------
    clipped
        Which form is wanted first; the other one is compiled when it is.
    compiler
        A backend of `torch.compile`.
    say
        Called with what a person should know.
    """
    device, answers = loss.network.device, loss.network.tree.answer_count
    say("Compiling the network; the first time on a machine this takes up to a minute")
    started = time.monotonic()
    try:
        fast: nn.Module = torch.compile(loss, dynamic=False, backend=compiler)  # type: ignore[assignment]
        for size in sizes:
            # Laid out as the sampler does it, channels last: it is compiled for that.
            views = torch.zeros(
                size, VIEWPOINTS, PATCH_PIXELS, PATCH_PIXELS, 3, dtype=loss.dtype, device=device
            )
            votes, weights = torch.zeros(size, answers, device=device), torch.ones(size, device=device)
            value, _ = fast(views.movedim(-1, -3), votes, weights, clipped=clipped)
            value.backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # noqa: BLE001 (compilers fail in many ways, and training goes on without)
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        say(f"The compiler can't be used here ({reason}); training goes on without it, and is slower")
        return loss
    finally:
        loss.zero_grad(set_to_none=True)
    say(f"Compiled in {time.monotonic() - started:.0f} s")
    return fast
