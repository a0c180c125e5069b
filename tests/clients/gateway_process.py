"""Starts the real binary with a configuration of its own, and ends it in the ways that an operator or a fault would."""

import contextlib
import hashlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

import httpx
import openai

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("KVASIR_BINARY", ROOT / "build/release/gateway/kvasir"))
CACHE_HOME = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
MODELS = pathlib.Path(os.environ.get("KVASIR_MODELS") or CACHE_HOME / "kvasir/models")
SMOLLM2 = MODELS / "smollm2-135m-instruct-q4_1.gguf"
MINILM = MODELS / "all-minilm-l6-v2"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def engine_model(name="smollm2", **settings):
    return {"name": name, "engine": {"gguf": str(SMOLLM2), "kv_memory": "256MiB", **settings}}


def upstream_model(url, name="mock", **settings):
    return {"name": name, "upstream": {"base_url": url, "model": "mock", "timeout": "5s", **settings}}


def digest(key):
    return hashlib.sha256(key.encode()).hexdigest()


def key_entry(name, **limits):
    """A key that is its own name, of a tenant of its own."""
    return {"name": name, "tenant": name, "sha256": digest(name), **limits}


class Gateway:
    """One `kvasir serve`. `folder` holds its configuration, data and log, and outlives the process."""

    def __init__(self, folder, models, *, cache=None, auth=None, server=None, rag=None, tls=False):
        self.folder = pathlib.Path(folder)
        self.port, self.admin_port = free_port(), free_port()
        self.scheme = "https" if tls else "http"
        cache = {"store": {"kind": "embedded", "path": str(self.folder / "data")}, **(cache or {})}
        config = {
            "server": {"listen": f"127.0.0.1:{self.port}", "admin": f"127.0.0.1:{self.admin_port}", **(server or {})},
            "models": models,
            "default_model": models[0]["name"],
            "embedding": {"model": str(MINILM)},
            "cache": cache,
        }
        if auth:
            config["auth"] = auth
        if rag:
            config["rag"] = rag
        self.config = self.folder / "kvasir.yaml"
        self.config.write_text(json.dumps(config, indent=1))  # JSON is YAML
        self.process = None
        self.http = httpx.Client(timeout=60)

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def admin_url(self):
        return f"http://127.0.0.1:{self.admin_port}"

    def until_logged(self, text, seconds=20):
        """The log is written by a thread of its own, a moment after the answer."""
        end = time.monotonic() + seconds
        while text not in self.log():
            assert time.monotonic() < end, f"{text!r} never came into the log:\n{self.log()[-2000:]}"
            time.sleep(0.02)

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def requests_logged(self):
        lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == "request"]

    def change(self, change):
        """Writes the configuration that `change` makes of the present one, as an editor does: whole, then in place."""
        config = json.loads(self.config.read_text())
        change(config)
        fresh = self.folder / "kvasir.yaml.new"
        fresh.write_text(json.dumps(config, indent=1))
        fresh.rename(self.config)

    def start(self, environment=None):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([BINARY, "serve", "--config", self.config], stdout=log, stderr=log,
                                            env={**os.environ, **(environment or {})})
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"kvasir ended with {self.process.returncode}: {self.log()}")
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(self.url + "/health/ready", verify=False).status_code == 200:
                    return self
            time.sleep(0.05)
        self.kill()
        raise AssertionError(f"kvasir was not ready within a minute: {self.log()}")

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds=30):
        return self.process.wait(seconds)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.terminate()
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                self.kill()

    def client(self, key="none", **options):
        return openai.OpenAI(base_url=self.url + "/v1", api_key=key, max_retries=0, timeout=60, **options)

    def post(self, body, *, path="/v1/chat/completions", headers=None):
        """A request that no SDK would send: `body` is bytes, or a dict that goes as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"content-type": "application/json", **(headers or {})}
        return self.http.post(self.url + path, content=content, headers=headers)

    def admin(self, method, path, **options):
        return self.http.request(method, self.admin_url + path, **options)
