import pytest
import requests
from fastapi.testclient import TestClient

from main import app


@pytest.fixture
def client():
    return TestClient(app)


def test_index(client):
    assert client.get("/").json() == 1
    assert requests
