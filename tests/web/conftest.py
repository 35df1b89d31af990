"""An application that serves the pages on the seeded database, with the clock stopped."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient
from seeded import NOW
from sqlalchemy import Engine

from streamlab_plugin.web.blueprint import create_blueprint


@pytest.fixture
def client(seeded_engine: Engine) -> FlaskClient:
    """A client of the pages, as Locust would host them: debug mode on."""
    app = Flask("host")
    app.debug = True
    app.register_blueprint(create_blueprint(seeded_engine, clock=lambda: NOW, locust_url="/locust/"))
    return app.test_client()
