"""Fixtures of the end-to-end tests. Real servers only; a version that cannot be had is skipped by name."""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from tests.servers import kafka as kafka_servers  # noqa: E402
from tests.servers import mysql as mysql_servers  # noqa: E402
from tests.servers import postgres as servers  # noqa: E402
from tests.servers.kafka_client import confluent_kafka  # noqa: E402


def start_server(version=None, **more):
    try:
        servers.fetch(version or servers.DEFAULT_VERSION)
    except Exception as error:  # no network, no registry: say which server is missing
        pytest.skip(f"Postgres {version or servers.DEFAULT_VERSION} cannot be had: {error}")
    return servers.PostgresServer(version=version, **more)


@pytest.fixture
def server():
    """A Postgres of the default version, for this test alone."""
    with start_server() as running:
        yield running


@pytest.fixture(scope="module")
def postgres_of_module():
    with start_server() as running:
        yield running


@pytest.fixture
def emptied_server(postgres_of_module):
    """A Postgres of the default version for the tests of a module, empty each time. A test that changes settings puts them back."""
    postgres_of_module.empty()
    return postgres_of_module


@pytest.fixture(params=servers.VERSIONS, ids=lambda version: f"pg{version}")
def any_server(request):
    with start_server(request.param) as running:
        yield running


def start_mysql(flavour, **more):
    try:
        mysql_servers.fetch(flavour)
    except Exception as error:
        pytest.skip(f"{flavour} cannot be had: {error}")
    return mysql_servers.MysqlServer(flavour, **more)


@pytest.fixture(scope="module", params=mysql_servers.FLAVOURS)
def mysql_of_module(request):
    with start_mysql(request.param) as running:
        yield running


@pytest.fixture
def mysql(mysql_of_module):
    """A MariaDB, then a MySQL, for the tests of a module, each with an empty database. A test that changes settings puts them back."""
    mysql_of_module.empty()
    return mysql_of_module


def start_kafka(**more):
    try:
        kafka_servers.fetch()
        confluent_kafka()
    except Exception as error:
        pytest.skip(f"Kafka {kafka_servers.VERSION} cannot be had: {error}")
    return kafka_servers.KafkaServer(**more)


@pytest.fixture(scope="module")
def kafka():
    """One broker for the tests of a module, which take topics of their own."""
    with start_kafka() as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def binary_exists():
    from tests.support.daemon import BINARY
    if not os.access(BINARY, os.X_OK):
        pytest.exit(f"no tailwater binary at {BINARY}: build it, or set TAILWATER", 2)
