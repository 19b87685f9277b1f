"""What ``decoder=auto`` means for a run, which is part of what decides its answers."""

from __future__ import annotations

from pipeline.errors import InputError
from pipeline.run.precision import computes_on_gpus
from pipeline.run.settings import Config, StreamConfig
from pipeline.streaming.decoders import has_torchcodec


def with_decoder(config: Config, needs_pixels: bool, wait: bool = True) -> Config:
    """The configuration with what decodes JPEGs settled.

    GPUs decode where they compute, and TorchCodec is on this machine, whose software is the nodes' own.

    Parameters
    ----------
    needs_pixels
        Whether the network or the survey file has a galaxy measured before the network sees it.
    wait
        See `has_gpus`.

    Raises
    ------
    InputError
        If GPUs are to decode what must be measured, or to be left alone.
    """
    if not isinstance(config, StreamConfig):
        return config
    decoder = config.decoder
    if decoder == "auto":
        able = not needs_pixels and has_torchcodec() and computes_on_gpus(config, wait)
        decoder = "gpu" if able else "cpu"
    elif decoder == "gpu" and (needs_pixels or config.device == "cpu"):
        why = "this network or survey file has galaxies measured first" if needs_pixels else "device is cpu"
        raise InputError(f"decoder=gpu: {why}, which takes decoder=cpu; say that, or auto")
    return config.model_copy(update={"decoder": decoder})
