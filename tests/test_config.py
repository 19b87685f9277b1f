"""Configuration from YAML files and key=value words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from pipeline.config import (
    CONFIGS,
    StrictModel,
    dump_config,
    load_config,
    load_yaml,
    parse_overrides,
    shipped,
)
from pipeline.errors import InputError


class Retry(StrictModel):
    attempts: int = 3
    seconds: float = 0.5


class Source(StrictModel):
    uri: str


class Job(StrictModel):
    input: str
    transforms: int = 60
    retry: Retry = Retry()
    sources: tuple[Source, ...] = ()
    note: str | None = None


def message(path: Path | None = None, *words: str) -> str:
    with pytest.raises(InputError) as error:
        load_config(Job, path, words)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text("input: s3://bucket/key\ntransforms: 1\nretry: {attempts: 5}\n")
    return path


def test_a_word_beats_the_file_and_the_file_beats_the_default(file: Path) -> None:
    job = load_config(Job, file, ["retry.seconds=2", "transforms=15"])
    assert job == Job(input="s3://bucket/key", transforms=15, retry=Retry(attempts=5, seconds=2.0))


def test_words_alone_are_enough() -> None:
    assert load_config(Job, overrides=["input=cutouts"]) == Job(input="cutouts")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["a=60"], {"a": 60}),
        (["a=true", "b=null", "c="], {"a": True, "b": None, "c": None}),
        (["a=s3://bucket/key?x=1"], {"a": "s3://bucket/key?x=1"}),
        (["a=[1, 2]"], {"a": [1, 2]}),
        (["a.b.c=1", "a.b.d=2", "a.e=3"], {"a": {"b": {"c": 1, "d": 2}, "e": 3}}),
        (["a={b: 1}", "a.c=2"], {"a": {"b": 1, "c": 2}}),
        (["a=1", "a=2"], {"a": 2}),
        (["a='2024-13-45'"], {"a": "2024-13-45"}),
    ],
)
def test_words_become_a_mapping(words: list[str], expected: dict[str, Any]) -> None:
    assert parse_overrides(words) == expected


@pytest.mark.parametrize("word", ["transforms", "=60", "a=[1", "a=2024-13-45", "a=0x_"])
def test_a_word_that_cannot_be_read_is_one_line(word: str) -> None:
    with pytest.raises(InputError) as error:
        parse_overrides([word])
    assert repr(word) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("words", [["a=1", "a.b=2"], ["a.b=2", "a=1"], ["a.b=2", "a=null"]])
def test_a_key_cannot_have_both_a_value_and_parts(words: list[str]) -> None:
    with pytest.raises(InputError, match="'a' was given"):
        parse_overrides(words)


def test_an_unknown_key_gets_the_nearest_known_one(file: Path) -> None:
    assert "unknown key 'transform'; did you mean 'transforms'?" in message(file, "transform=1")
    assert "known keys: input, transforms, retry, sources, note" in message(file, "zzz=1")


def test_an_unknown_key_within_a_part_is_compared_with_that_part_s_keys(file: Path) -> None:
    assert "unknown key 'retry.attempt'; did you mean 'attempts'?" in message(file, "retry.attempt=1")
    assert message(file, "retry.zzz=1").endswith("known keys: attempts, seconds")
    assert message(file, "sources=[{uri: a, zzz: 1}]").endswith("known keys: uri")


def test_a_missing_key_says_how_to_give_it() -> None:
    assert "settings: 'input' is missing; give it as input=VALUE" in message()


def test_a_wrong_type_names_key_value_and_expectation(file: Path) -> None:
    found = message(file, "transforms=many")
    assert str(file) in found
    assert "transforms='many'" in found
    assert "integer" in found


def test_a_file_that_is_absent_or_no_mapping_is_one_line(tmp_path: Path) -> None:
    assert "none.yaml: No such file" in message(tmp_path / "none.yaml")
    assert "Is a directory" in message(tmp_path)
    for content, expected in {
        b"": "NoneType",
        b"- a\n- b": "list",
        b"a: [1": "not valid YAML",
        b"\xff\xfe\xfa": "not valid YAML",
        b"a: 2024-13-45": "not valid YAML",
        b"!!python/object/apply:os.getcwd []": "not valid YAML",
    }.items():
        path = tmp_path / "bad.yaml"
        path.write_bytes(content)
        assert expected in message(path)
        assert str(path) in message(path)


def test_a_dump_loads_back_as_the_same(tmp_path: Path) -> None:
    job = Job(input="Köln", sources=(Source(uri="a"),))
    path = tmp_path / "used.yaml"
    path.write_text(dump_config(job), encoding="utf-8")
    assert load_config(Job, path) == job
    assert set(load_yaml(path)) == set(Job.model_fields)
    assert yaml.safe_load(dump_config(job))["retry"] == {"attempts": 3, "seconds": 0.5}


def test_a_configuration_is_frozen() -> None:
    with pytest.raises(ValidationError):
        Job(input="a").input = "b"


@pytest.mark.parametrize("brackets", ["[" * 3000, "[" * 3000 + "]" * 3000])
def test_deep_nesting_is_one_line(tmp_path: Path, brackets: str) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text(f"input: {brackets}")
    assert message(path) == f"{path} is nested too deeply; expected a mapping of keys to values"
    expected = "transforms: the value is nested too deeply; expected a plain one"
    assert message(None, "input=a", f"transforms={brackets}") == expected


def test_a_word_names_a_file_that_comes_along() -> None:
    assert shipped("trees", "efigi") == str(CONFIGS / "trees" / "efigi.yaml")
    assert shipped("weights", "compact") == str(CONFIGS / "weights" / "compact.safetensors")


@pytest.mark.parametrize("name", ["s3://bucket/tree.yaml", "my/tree", "tree.yaml", "/nowhere/efigi"])
def test_a_path_or_uri_stays_as_it_is(name: str) -> None:
    assert shipped("trees", name) == name


def test_a_file_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("efigi").write_text("name: mine")
    assert shipped("trees", "efigi") == "efigi"


def test_a_word_that_names_nothing_is_told_the_names_there_are() -> None:
    with pytest.raises(InputError, match=r"no file galaxy_zoo_9.*one of efigi, galaxy_zoo_1, galaxy_zoo_2"):
        shipped("trees", "galaxy_zoo_9")
