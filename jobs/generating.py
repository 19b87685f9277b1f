"""The verb that makes galaxies."""

from __future__ import annotations

from jobs.arguments import ConfigFile, Overrides, PrintConfig, configure


def imagine(
    overrides: Overrides = None, config: ConfigFile = None, print_config: PrintConfig = False
) -> None:
    """Make pictures of galaxies that look as asked for, to train with where real ones are rare.

    `tuningfork imagine weights=FILE votes="something_odd_yes=0.9,odd_feature_dust_lane=0.8" output=URI
    [count=100] [seed=0] [guidance=2]`

    The galaxies don't exist: each row, each image file and the manifest of the set call them synthetic.
    Writes a cutout set, an input of `classify`, with its images as files and with the asked fractions as
    labels (`labels.csv`), which `train` reads. A call that was stopped continues when you give the same
    command again. It needs the package diffusers: `pip install "tuningfork[generation]"`.
    """
    from jobs import imagine as job

    job.run(configure(job.ImagineConfig, config, overrides, print_config))
