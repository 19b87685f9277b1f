"""The picture of a GPU's figures: how near each stage comes to the machine's best."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

mpl.use("Agg")


def roofline(results: dict[str, Any], path: Path) -> None:
    """Draw the time of each stage of each network, and its share in the best rate of matrix products."""
    networks = results["rates"]["networks"]
    figure, every = plt.subplots(
        len(networks), 1, figsize=(9, 1.2 + 3.4 * len(networks)), layout="constrained", squeeze=False
    )
    for axes, (name, figures) in zip(every[:, 0], networks.items(), strict=True):
        stages = figures["stages"]
        labels = list(stages)[::-1]
        spans = [stages[label]["microseconds"] for label in labels]
        bars = axes.barh(labels, spans, color="tab:blue")
        shares = [stages[label].get("share_of_product") for label in labels]
        axes.bar_label(
            bars, ["" if share is None else f"{share:.0%} of a product" for share in shares], padding=3
        )
        axes.set(xlabel="microseconds a galaxy", xlim=(0, 1.25 * max(spans)))
        axes.set_title(
            f"{name}: {figures['galaxies_per_second']:,.0f} galaxies/s, {figures['form']}", loc="left"
        )
        axes.spines[["top", "right"]].set_visible(False)
    machine = results.get("machine", {})
    figure.suptitle(f"{machine.get('device', 'unknown')}: 60 transforms, {results['rates']['precision']}")
    figure.savefig(path, dpi=150)
    plt.close(figure)
