"""JPEGs decoded where the model is: by the GPU's decoder, or by the CPU's, which is its fall-back too."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal, Protocol

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import InputError
from pipeline.images import ImageError, decode_image
from pipeline.images.jpeg import BLOCK, cell_sizes, cells
from pipeline.images.region import reflected

DecoderName = Literal["cpu", "gpu"]

_LUMA = np.array([0.299, 0.587, 0.114])

_LARGEST_DIFFERENCE = 2.0
"""Most, of 255, by which the brightness of any cell of a picture may differ from what the CPU found. Decoders
round and clip otherwise, which moves the means of real pictures by 1 at most, and of those whose noise is
clipped by 1.7. Another galaxy's picture differs by more in some cell, though both may be as bright."""


@dataclass(frozen=True)
class KeptJpegs:
    """Plain JPEGs that aren't decoded yet, with a square region of each (see `DECODED_SCHEMA`).

    Attributes
    ----------
    data
        The bytes of each.
    height, width, left, top : ndarray, shape (n,)
    brightness : ndarray, shape (n, 4, 4)
        See `check_jpeg`.
    """

    data: list[NDArray[np.uint8]]
    height: NDArray[np.int64]
    width: NDArray[np.int64]
    left: NDArray[np.int64]
    top: NDArray[np.int64]
    brightness: NDArray[np.float32]


@dataclass(frozen=True)
class CutRegions:
    """Regions cut out of pictures that were decoded for it.

    Attributes
    ----------
    pixels : Tensor, shape (n, side, side, 3), uint8
    problems
        What is wrong with each picture that can't be decoded; its pixels are 0.
    left_to_cpu
        How many the decoder refused, or made another picture of.
    """

    pixels: Tensor
    problems: dict[int, ImageError]
    left_to_cpu: int


class Decoder(Protocol):
    """Decodes plain JPEGs into the memory of its device."""

    @property
    def device(self) -> torch.device:
        """Where the pictures are."""

    def at_work(self) -> AbstractContextManager[None]:
        """What decoding and all work on the pictures is done in; when it is left, that work has ended."""

    def decode(self, jpegs: Sequence[NDArray[np.uint8]]) -> list[Tensor | None]:
        """Pictures, (3, height, width) uint8 each, in order; None for one that it refuses."""


class CpuDecoder:
    """The decoder that decode actors use: it gives the same pixels here as there."""

    device = torch.device("cpu")

    def at_work(self) -> AbstractContextManager[None]:
        """See `Decoder`."""
        return nullcontext()

    def decode(self, jpegs: Sequence[NDArray[np.uint8]]) -> list[Tensor | None]:
        """See `Decoder`."""
        pictures = [decode_alone(jpeg) for jpeg in jpegs]
        return [None if isinstance(picture, ImageError) else picture for picture in pictures]


class NvjpegDecoder:
    """The GPU's decoder, nvJPEG, through TorchCodec.

    It decodes on a stream of its own, which has ended whenever another thread may decode: nvJPEG writes a
    picture without waiting for what its stream has yet to do, and so into memory that is still being read
    (https://github.com/meta-pytorch/torchcodec/pull/1634).

    Raises
    ------
    InputError
        If it can't be used here.
    """

    def __init__(self, device: torch.device | str = "cuda") -> None:
        self.device = torch.device(device)
        self._turn = threading.Lock()
        try:
            from torchcodec.decoders import decode_jpeg

            self._decode = decode_jpeg
            self._stream = torch.cuda.Stream(self.device)
            with self.at_work():
                self._together([np.frombuffer(_probe(), np.uint8)])
        except (ImportError, OSError, RuntimeError) as error:
            why = " ".join(str(error).split())[:200]
            raise InputError(
                f"decoder=gpu, and this machine's GPU can't decode JPEGs ({why}); expected TorchCodec built "
                'for CUDA (pip install "tuningfork[gpu]"), or say decoder=cpu'
            ) from error

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """See `Decoder`."""
        with self._turn, torch.cuda.stream(self._stream):
            try:
                yield
            finally:
                self._stream.synchronize()

    def decode(self, jpegs: Sequence[NDArray[np.uint8]]) -> list[Tensor | None]:
        """See `Decoder`."""
        return decode_in_halves(jpegs, self._together)

    def _together(self, jpegs: Sequence[NDArray[np.uint8]]) -> list[Tensor]:
        encoded = [torch.from_numpy(jpeg) for jpeg in jpegs]
        return list(self._decode(encoded, mode="RGB", device=self.device))


def decoder_on(device: torch.device, name: DecoderName) -> Decoder:
    """The GPU's decoder where that is asked for and the device is one, else the CPU's."""
    return NvjpegDecoder(device) if name == "gpu" and device.type == "cuda" else CpuDecoder()


def has_torchcodec() -> bool:
    """Whether this machine has the library by which GPUs decode."""
    try:
        return bool(version("torchcodec"))
    except PackageNotFoundError:
        return False


def gpu_decodes() -> bool:
    """Whether this machine has a GPU that decodes JPEGs, as far as can be told without using it."""
    return torch.cuda.is_available() and has_torchcodec()


def decode_alone(jpeg: NDArray[np.uint8]) -> Tensor | ImageError:
    """A picture, (3, height, width) uint8, by the CPU's decoder, or what is wrong with it."""
    try:
        return torch.from_numpy(decode_image(jpeg.tobytes())).permute(2, 0, 1)
    except ImageError as error:
        return error


def decode_in_halves(
    jpegs: Sequence[NDArray[np.uint8]],
    together: Callable[[Sequence[NDArray[np.uint8]]], list[Tensor]],
) -> list[Tensor | None]:
    """Decode a batch by what gives all or nothing: a picture costs itself alone, and log2(n) calls more.

    Raises
    ------
    torch.AcceleratorError
        If the GPU is at fault, which then does nothing more for this process.
    """
    if not jpegs:
        return []
    try:
        return [*together(jpegs)]
    except torch.AcceleratorError:
        raise
    except RuntimeError:
        if len(jpegs) == 1:
            return [None]
    half = len(jpegs) // 2
    return decode_in_halves(jpegs[:half], together) + decode_in_halves(jpegs[half:], together)


def cut_jpegs(decoder: Decoder, jpegs: KeptJpegs, side: int) -> CutRegions:
    """Decode JPEGs and cut a region of each out, as `cut_region` does; to be called in ``at_work()``.

    What the decoder refuses is decoded by the CPU. So is what comes out with another size or brightness than
    the CPU found when it checked it: engines have passed pictures over without a word.
    """
    count = len(jpegs.data)
    pixels = torch.zeros((count, side, side, 3), dtype=torch.uint8, device=decoder.device)
    decoded = zip(decoder.decode(jpegs.data), jpegs.height.tolist(), jpegs.width.tolist(), strict=True)
    pictures = {
        place: picture
        for place, (picture, height, width) in enumerate(decoded)
        if picture is not None and picture.shape == (3, height, width)
    }
    different = _cut(pictures, jpegs, pixels)
    others = sorted(set(range(count)) - pictures.keys() | different)
    alone = {place: decode_alone(jpegs.data[place]) for place in others}
    problems = {place: picture for place, picture in alone.items() if isinstance(picture, ImageError)}
    mended = {
        place: picture.to(decoder.device) for place, picture in alone.items() if isinstance(picture, Tensor)
    }
    _cut(mended, jpegs, pixels)
    return CutRegions(pixels, problems, len(others))


def _cut(pictures: Mapping[int, Tensor], jpegs: KeptJpegs, pixels: Tensor) -> set[int]:
    """Cut regions out of pictures, those of a size together; the places of pictures that look otherwise."""
    sizes: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for place, picture in pictures.items():
        sizes[tuple(picture.shape[1:])].append(place)
    different: set[int] = set()
    side = np.arange(pixels.shape[1])
    for (height, width), places in sizes.items():
        alike = torch.stack([pictures[place] for place in places])
        differences = np.abs(_brightness(alike) - jpegs.brightness[places])
        differs = differences.max((1, 2)) > _LARGEST_DIFFERENCE
        different |= {place for place, other in zip(places, differs, strict=True) if other}
        which = np.arange(len(places))[:, None, None]
        rows = reflected(jpegs.top[places, None] + side, height)[:, :, None]
        columns = reflected(jpegs.left[places, None] + side, width)[:, None, :]
        index, y, x = (torch.from_numpy(part).to(pixels.device) for part in (which, rows, columns))
        pixels[torch.tensor(places, device=pixels.device)] = alike[index, :, y, x]
    return different


def _brightness(pictures: Tensor) -> NDArray[np.float64]:
    """Mean brightness of the cells of pictures (n, 3, height, width), (n, 4, 4), as `check_jpeg` finds it."""
    down, across = cells(pictures.shape[2]), cells(pictures.shape[3])
    stripes = [pictures[:, :, BLOCK * a : BLOCK * b].sum(2, dtype=torch.int32) for a, b in down.tolist()]
    rows = torch.stack(stripes, 2)
    sums = torch.stack([rows[..., BLOCK * a : BLOCK * b].sum(3) for a, b in across.tolist()], 3)
    brightness: NDArray[np.float64] = np.einsum("ncij,c->nij", sums.cpu().numpy(), _LUMA)
    return brightness / (BLOCK**2 * cell_sizes(down, across))


def _probe() -> bytes:
    """A JPEG to try a decoder on."""
    grey = np.full((64, 64, 3), 99, np.uint8)
    return bytes(simplejpeg.encode_jpeg(grey, colorspace="RGB", colorsubsampling="420"))
