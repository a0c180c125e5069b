"""Fixtures: a mock upstream, a gateway for each module, and one way to ask a question."""

import pytest

from gateway_process import BINARY, MINILM, SMOLLM2, Gateway, engine_model, upstream_model
from mock_upstream import MockUpstream


def pytest_sessionstart(session):
    if not BINARY.is_file():
        raise pytest.UsageError(f"{BINARY} is missing: build it with cmake --preset release && cmake --build build/release")
    if not SMOLLM2.is_file() or not MINILM.is_dir():
        raise pytest.UsageError(f"The models are missing in {SMOLLM2.parent}: run deploy/fetch_models.sh")


@pytest.fixture(scope="session")
def upstream():
    server = MockUpstream()
    yield server
    server.close()


@pytest.fixture(scope="module")
def start_gateway(tmp_path_factory):
    """Starts gateways that end with the module. Without `folder`: in a fresh one."""
    running = []

    def start(models, folder=None, **options):
        gateway = Gateway(folder or tmp_path_factory.mktemp("kvasir"), models, **options)
        running.append(gateway)
        return gateway.start()

    yield start
    for gateway in running:
        if gateway.process is not None:
            gateway.stop()


@pytest.fixture(scope="module")
def gateway(start_gateway, upstream):
    """Serves SmolLM2 in process, and the mock."""
    return start_gateway([engine_model(), upstream_model(upstream.url)])


@pytest.fixture
def client(gateway):
    return gateway.client()


@pytest.fixture
def system(request):
    """A system prompt of the test's own: its questions are in a partition of their own."""
    return {"role": "system", "content": f"You are a helpful assistant in {request.node.name}."}


class Reply:
    """An answer with its headers."""

    def __init__(self, raw):
        self.headers = raw.headers
        self.body = raw.parse()
        self.text = self.body.choices[0].message.content
        self.cached = self.body.model_extra["cached"]
        self.cache = self.headers["x-kvasir-cache"]


@pytest.fixture
def ask(client, system):
    """ask(question): greedy, so that it may be asked again. Other arguments go to the SDK's create()."""

    def ask(question, *, client=client, model="smollm2", messages=None, **options):
        options.setdefault("temperature", 0)
        options.setdefault("max_tokens", 24)
        messages = messages or [system, {"role": "user", "content": question}]
        return Reply(client.chat.completions.with_raw_response.create(model=model, messages=messages, **options))

    return ask
