"""Credentials come from the environment and are repeated nowhere; tokens that expire are had anew."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.panoptes.connection import Connection
from pipeline.panoptes.credentials import CLIENT as CLIENT_VARIABLES
from pipeline.panoptes.credentials import USER as USER_VARIABLES
from pipeline.panoptes.credentials import credentials
from tests.support.command import tuningfork
from tests.support.panoptes import Panoptes, check_once, write_subjects
from tests.support.panoptes_access import CLIENT, USER
from tests.support.panoptes_server import PROJECT, WORKFLOW

SECRETS = (*CLIENT, *USER)


def push(folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    words = ["zooniverse", "push", "subjects", f"project={PROJECT}", f"workflow={WORKFLOW}", "patience=5"]
    return tuningfork(*words, cwd=folder, environment=environment)


def check_unseen(folder: Path, *texts: str) -> None:
    """No secret, and no token, in anything that was written or said."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    for text in [*texts, *(path.read_bytes().decode("latin-1") for path in files)]:
        for secret in SECRETS:
            assert secret not in text
        assert "Bearer" not in text
        assert "sig=" not in text


@pytest.mark.parametrize("as_user", [False, True], ids=["application", "user"])
def test_a_whole_push_leaves_no_credential_anywhere(server: Panoptes, tmp_path: Path, as_user: bool) -> None:
    """Not even where panoptes-client and requests log all that they can."""
    write_subjects(tmp_path / "subjects", 10)
    loud = {"PANOPTES_DEBUG": "1", "TUNINGFORK_LOG": "json"}
    done = push(tmp_path, server.environment(as_user) | loud)
    assert done.returncode == 0, done.stderr
    check_once(server.state(), 10, WORKFLOW)
    check_unseen(tmp_path, done.stdout, done.stderr)


@pytest.mark.parametrize("as_user", [False, True], ids=["application", "user"])
def test_credentials_that_are_not_accepted(server: Panoptes, tmp_path: Path, as_user: bool) -> None:
    """The server repeats what it was given in what it says; that goes no further."""
    write_subjects(tmp_path / "subjects", 2)
    server.behave(echo=" ".join(USER if as_user else CLIENT))
    variables = USER_VARIABLES if as_user else CLIENT_VARIABLES
    right = server.environment(as_user)
    done = push(tmp_path, right | {variables[1]: right[variables[1]] + "x"})
    assert done.returncode == 2
    assert f"doesn't accept {variables[0]} and {variables[1]}; check them" in done.stderr
    check_unseen(tmp_path, done.stdout, done.stderr)
    server.behave(subject_limit=0)
    refused = push(tmp_path, right)
    assert refused.returncode == 2
    assert "User has uploaded 0 subjects of 0 maximum" in refused.stderr
    check_unseen(tmp_path, refused.stdout, refused.stderr)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "no credentials for the Zooniverse; set PANOPTES_CLIENT_ID and PANOPTES_CLIENT_SECRET"),
        ({"PANOPTES_CLIENT_ID": "a"}, "PANOPTES_CLIENT_ID is set and PANOPTES_CLIENT_SECRET isn't"),
        ({"PANOPTES_PASSWORD": "a"}, "PANOPTES_PASSWORD is set and PANOPTES_USERNAME isn't"),
    ],
)
def test_none_or_half(monkeypatch: pytest.MonkeyPatch, given: dict[str, str], expected: str) -> None:
    for name in (*CLIENT_VARIABLES, *USER_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=expected):
        credentials()


def test_they_are_in_no_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(CLIENT_VARIABLES, CLIENT, strict=True):
        monkeypatch.setenv(name, value)
    assert not any(secret in repr(credentials()) for secret in CLIENT)


@pytest.mark.parametrize("as_user", [False, True], ids=["application", "user"])
def test_tokens_that_expire_early_are_had_anew(
    server: Panoptes, monkeypatch: pytest.MonkeyPatch, as_user: bool
) -> None:
    for name in CLIENT_VARIABLES:
        monkeypatch.delenv(name)
    for name, value in server.environment(as_user).items():
        monkeypatch.setenv(name, value)
    connection = Connection(server.endpoint, credentials())
    for _ in range(3):
        assert connection.get(f"/projects/{PROJECT}").content["projects"][0]["id"] == str(PROJECT)
        server.behave(expire=True)
    assert server.state()["requests"]["POST oauth"] == 3


def test_tokens_that_are_short_lived_by_their_own_word(server: Panoptes) -> None:
    """Below two minutes panoptes-client has a new one for each request."""
    server.behave(token_life=1, said_life=1)
    connection = Connection(server.endpoint, credentials())
    for _ in range(3):
        connection.get(f"/projects/{PROJECT}")


def test_the_library_sets_up_no_log_of_the_whole_process() -> None:
    code = (
        "import logging, sys; from pipeline.panoptes.connection import _panoptes_client as load; load();"
        "print(logging.getLogger().handlers, logging.getLogger().level == logging.WARNING)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] True\n"
