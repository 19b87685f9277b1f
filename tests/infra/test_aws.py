"""The cluster launcher's file, held against Ray's own schema."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.infra.manifests import KUBERAY
from tests.support.command import ROOT

FILE = ROOT / "infra" / "aws" / "cluster.yaml"


@pytest.fixture
def config() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return found


def test_ray_takes_it(config: dict[str, Any]) -> None:
    prepared = prepare_config(config)
    validate_config(prepared)
    assert prepared["setup_commands"] == []  # Ray's own would install another version


def test_a_mistake_is_noticed(config: dict[str, Any]) -> None:
    config["available_node_types"]["gpu"]["min_worker"] = 1
    with pytest.raises(jsonschema.ValidationError):
        validate_config(prepare_config(config))


def test_the_head_takes_no_actor(config: dict[str, Any]) -> None:
    assert config["available_node_types"][config["head_node_type"]]["resources"] == {"CPU": 0}
    assert any("--num-cpus=0" in command for command in config["head_start_ray_commands"])


def test_ssh_is_all_that_comes_in(config: dict[str, Any]) -> None:
    (rule,) = config["provider"]["security_group"]["IpPermissions"]
    assert (rule["FromPort"], rule["ToPort"]) == (22, 22)
    assert [entry["CidrIp"] for entry in rule["IpRanges"]] != ["0.0.0.0/0"]
    assert any("--dashboard-host=127.0.0.1" in command for command in config["head_start_ray_commands"])


def test_token_disks_and_credentials_are_guarded(config: dict[str, Any]) -> None:
    options = " ".join(config["docker"]["run_options"])
    assert "--env RAY_AUTH_MODE=token" in options
    assert "no-new-privileges" in options
    token = next(word for word in options.split() if word.startswith("RAY_AUTH_TOKEN_PATH=")).partition("=")[
        2
    ]
    assert token in config["file_mounts"]
    for node in config["available_node_types"].values():
        machine = node["node_config"]
        assert machine["MetadataOptions"]["HttpTokens"] == "required"
        assert all(disk["Ebs"]["Encrypted"] for disk in machine["BlockDeviceMappings"])
        assert machine["IamInstanceProfile"]["Arn"].startswith("arn:aws:iam::")
    assert "AWS_SECRET_ACCESS_KEY" not in json.dumps(config)


def test_spot_is_the_same_machine(config: dict[str, Any]) -> None:
    types = config["available_node_types"]
    spot = dict(types["gpu-spot"]["node_config"])
    assert spot.pop("InstanceMarketOptions") == {"MarketType": "spot"}
    assert spot == types["gpu"]["node_config"]


def test_image_and_version_are_those_of_kuberay(config: dict[str, Any]) -> None:
    site = yaml.safe_load((KUBERAY / "components" / "site" / "kustomization.yaml").read_text())
    (image,) = site["images"]
    assert config["docker"]["image"] == f"{image['newName']}:{image['newTag']}-launcher"
    (cluster,) = yaml.safe_load_all((KUBERAY / "base" / "cluster.yaml").read_text())
    lock = (ROOT / "requirements.lock").read_text().splitlines()
    assert f"ray=={cluster['spec']['rayVersion']}" in lock
