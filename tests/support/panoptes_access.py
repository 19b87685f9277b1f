"""Who may see a Panoptes of tests: sessions of users, and tokens, which expire."""

from __future__ import annotations

import secrets
import time
from typing import Any

from flask import Blueprint, Response, jsonify, request

CLIENT = ("an-application", "its-secret-that-must-not-be-seen")
USER = ("a-user", "their-password-that-must-not-be-seen")

access = Blueprint("access", __name__)
tokens: dict[str, float] = {}
sessions: set[str] = set()
GOOD_DAY = {"token_life": 7200, "said_life": 7200, "subject_limit": None, "export": None, "echo": ""}
control: dict[str, Any] = dict(GOOD_DAY)
"""How the server behaves; `echo` is put into what it says is wrong."""


class Problem(Exception):
    """An answer that is none of what was asked for."""

    def __init__(self, status: int, message: str) -> None:
        self.status, self.message = status, message


@access.get("/users/sign_in")
def _csrf() -> Response:
    return Response("{}", headers={"x-csrf-token": "csrf"}, content_type="application/json")


@access.post("/users/sign_in")
def _sign_in() -> Any:
    asked = request.get_json()
    if (asked["user"]["login"], asked["user"]["password"]) != USER or asked["authenticity_token"] != "csrf":
        return jsonify({"error": f"Invalid email or password.{control['echo']}"}), 401
    session = secrets.token_hex(8)
    sessions.add(session)
    answer = jsonify({"users": [{"id": "7", "login": USER[0]}]})
    answer.set_cookie("_Panoptes_session", session)
    return answer


@access.post("/oauth/token")
def _token() -> Any:
    form = request.form
    by_client = form["grant_type"] == "client_credentials"
    if by_client and (form["client_id"], form["client_secret"]) != CLIENT:
        return jsonify({"error": "invalid_client", "error_description": control["echo"]}), 401
    if not by_client and request.cookies.get("_Panoptes_session") not in sessions:
        return jsonify({"error": "invalid_grant"}), 401
    token = secrets.token_hex(16)
    tokens[token] = time.time() + control["token_life"]
    return jsonify({"access_token": token, "expires_in": control["said_life"], "token_type": "bearer"})
