"""What an operator sees and does: metrics, logs, traces, reloads, the service manager, the end."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import httpx
import pytest

from gateway_process import BINARY, MINILM, ROOT, digest, engine_model, upstream_model

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
NO_SEMANTIC = {"semantic": {"enabled": False}}


def body(text, **more):
    return {"model": "mock", "temperature": 0, "messages": [{"role": "user", "content": text}], **more}


def until(condition, seconds=20):
    """What `condition` returns once it is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("this did not happen in time")


@pytest.fixture(scope="module")
def gateway(start_gateway, upstream):
    """One that has answered a miss, a hit, a stream and an error."""
    gateway = start_gateway([upstream_model(upstream.url), engine_model(max_sequences=2)], cache=NO_SEMANTIC)
    gateway.post(body("a question of the operator"))
    gateway.post(body("a question of the operator"))
    gateway.post(body("a stream of the operator", stream=True))
    gateway.post(body("status 500 for the operator"))
    gateway.post({"model": "smollm2", "max_tokens": 4, "stream": True, "messages": [{"role": "user", "content": "Hi"}]})
    return gateway


def names_in(metrics):
    return {re.match(r"[a-zA-Z_:][\w:]*", line)[0] for line in metrics.splitlines() if line and not line.startswith("#")}


def test_metrics_have_the_names_that_dashboards_expect(gateway):
    names = names_in(gateway.admin("GET", "/metrics").text)
    for name in ("gpu_memory_used_gb", "gpu_utilization_percent", "kv_cache_utilization", "request_queue_depth",
                 "token_budget_exceeded_rate", "cache_hit_rate", "error_rate_by_stop_reason", "tokens_per_second",
                 "cost_per_request_usd_count", "time_to_first_token_seconds_bucket", "inter_token_latency_seconds_bucket",
                 "gen_ai_server_request_duration_seconds_bucket", "gen_ai_server_time_to_first_token_seconds_bucket",
                 "gen_ai_server_time_per_output_token_seconds_bucket", "gen_ai_client_token_usage_bucket"):
        assert name in names, name


def test_metrics_count_what_happened(gateway):
    metrics = gateway.admin("GET", "/metrics").text
    assert 'kvasir_cache_requests_total{tier="exact"} 1\n' in metrics
    assert 'gen_ai_server_request_duration_seconds_count{gen_ai_request_model="mock"} 4\n' in metrics
    assert 'kvasir_stop_reasons_total{stop_reason="error"} 1\n' in metrics
    assert re.search(r'gen_ai_client_token_usage_sum\{gen_ai_request_model="mock",gen_ai_token_type="output"\} \d', metrics)


def test_histograms_have_the_bounds_of_the_conventions(gateway):
    metrics = gateway.admin("GET", "/metrics").text
    name = r'gen_ai_server_time_to_first_token_seconds_bucket\{gen_ai_request_model="mock",le="([^"]+)"\}'
    assert re.findall(name, metrics) == ["0.001", "0.005", "0.01", "0.02", "0.04", "0.06", "0.08", "0.1", "0.25", "0.5", "0.75",
                                         "1", "2.5", "5", "7.5", "10", "+Inf"]


def dashboard_queries():
    dashboard = json.loads((ROOT / "deploy/grafana-dashboard.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed (Debian: prometheus)")
def test_promtool_accepts_metrics_configuration_and_queries(gateway, tmp_path):
    metrics = gateway.admin("GET", "/metrics").content
    checked = subprocess.run(["promtool", "check", "metrics"], input=metrics, capture_output=True, timeout=60)
    # 3: style only. Some names are those that dashboards expect, whatever the linter thinks of "gb".
    assert checked.returncode in (0, 3), checked.stderr.decode()
    complaints = [line for line in checked.stderr.decode().splitlines() if line.strip()]
    assert all(line.startswith("gpu_memory_used_gb ") for line in complaints), complaints
    done = subprocess.run(["promtool", "check", "config", "--syntax-only", ROOT / "deploy/prometheus.yml"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(dashboard_queries())]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_query_of_the_dashboard_names_metrics_that_exist(gateway):
    names = names_in(gateway.admin("GET", "/metrics").text)
    assert len(dashboard_queries()) >= 10
    words = {"sum", "rate", "histogram_quantile", "group_left"}
    for query in dashboard_queries():
        bare = re.sub(r'\{[^}]*\}|\[[^\]]*\]|"[^"]*"|(by|ignoring) \([^)]*\)', "", query)
        for name in set(re.findall(r"[a-zA-Z_:][\w:]*", bare)) - words:
            assert name in names, f"{name} in {query}"


def test_a_log_line_says_all_about_a_request_but_the_prompt(start_gateway, upstream):
    key = "sk-never-in-a-log"
    gateway = start_gateway([upstream_model(upstream.url)], cache=NO_SEMANTIC,
                            auth={"keys": [{"name": "k", "sha256": digest(key), "tenant": "team"}]})
    headers = {"authorization": f"Bearer {key}", "traceparent": TRACEPARENT, "x-request-id": "my-request"}
    reply = gateway.post(body("nobody's business"), headers=headers)
    gateway.stop()
    [line] = gateway.requests_logged()
    for name, value in {"id": "my-request", "trace_id": TRACE, "parent_id": "00f067aa0ba902b7", "tenant": "team", "key": "k",
                        "model": "mock", "status": 200, "cache": "miss", "prompt_tokens": 5, "completion_tokens": 7,
                        "cached_tokens": 0, "stop_reason": "stop", "bytes": len(reply.content), "queue_ms": 0}.items():
        assert line[name] == value, name
    assert line["upstream"] in upstream.url
    assert 0 < line["first_byte_ms"] <= line["total_ms"]
    assert "nobody" not in gateway.log() and key not in gateway.log()


def test_prompts_are_logged_where_it_is_asked_for(start_gateway, upstream):
    gateway = start_gateway([upstream_model(upstream.url)], cache=NO_SEMANTIC, server={"log_prompts": True})
    gateway.post(body("to be found in the log"))
    gateway.post(b'{"messages": "\xff\xfe"}')
    gateway.post(body("ü" * 100_000))
    gateway.stop()
    first, broken, long = gateway.requests_logged()
    assert "to be found in the log" in first["prompt"]
    assert "prompt" not in broken
    assert 60_000 < len(long["prompt"].encode()) <= 65_536


def test_a_trace_goes_through_to_the_upstream(gateway, upstream):
    gateway.post(body("traced"), headers={"traceparent": TRACEPARENT})
    sent = [request["traceparent"] for request in upstream.received("traced")]
    assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-01", sent[0]) and "00f067aa0ba902b7" not in sent[0]
    gateway.post(body("not traced"), headers={"traceparent": "00-zz"})
    sent = [request["traceparent"] for request in upstream.received("not traced")]
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00", sent[0])


class TestReload:
    @pytest.fixture
    def gateway(self, start_gateway, upstream):
        keys = [{"name": "a", "sha256": digest("a"), "requests_per_minute": 100}]
        return start_gateway([upstream_model(upstream.url)], cache=NO_SEMANTIC, auth={"keys": keys})

    def models(self, gateway, key="a"):
        reply = httpx.get(gateway.url + "/v1/models", headers={"authorization": f"Bearer {key}"})
        if reply.status_code != 200:
            return reply.status_code
        return [model["id"] for model in reply.json()["data"] if model["id"] != MINILM.name]

    def test_sighup_takes_the_file_as_it_is(self, gateway, upstream):
        gateway.change(lambda config: config["models"].append(upstream_model(upstream.url, name="added")))
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: self.models(gateway) == ["mock", "added"])
        left = gateway.post(body("new model") | {"model": "added"}, headers={"authorization": "Bearer a"})
        assert left.status_code == 200
        assert int(left.headers["x-ratelimit-remaining-requests"]) < 99  # the level is the one from before

    def test_a_changed_file_is_taken_without_a_signal(self, gateway):
        def change(config):
            config["auth"]["keys"] = [{"name": "b", "sha256": digest("b")}]

        gateway.change(change)
        until(lambda: self.models(gateway, "b") == ["mock"])
        assert self.models(gateway, "a") == 401
        assert "kvasir_config_reload_success 1" in gateway.admin("GET", "/metrics").text

    def test_a_bad_file_changes_nothing_and_is_reported(self, gateway):
        gateway.change(lambda config: config.update(nonsense=1))
        until(lambda: "kvasir_config_reload_success 0" in gateway.admin("GET", "/metrics").text)
        assert self.models(gateway) == ["mock"]
        until(lambda: "the configuration was not reloaded" in gateway.log() and "unknown key 'nonsense'" in gateway.log())

    def test_what_cannot_change_says_so_by_name(self, gateway):
        def change(config):
            config["server"]["threads"] = 7
            config["cache"]["ttl"] = "1h"

        gateway.change(change)
        until(lambda: "server.threads changes with the next start only" in gateway.log())
        config = gateway.admin("GET", "/admin/config").text
        assert "threads: 2" in config and "ttl: 1h" in config

    def test_running_requests_finish_on_what_they_began_with(self, gateway, upstream):
        lines = []

        def read():
            ask = {"authorization": "Bearer a"}
            with httpx.stream("POST", gateway.url + "/v1/chat/completions", json=body("slow over a reload", stream=True),
                              headers=ask, timeout=30) as response:
                lines.extend(response.iter_lines())

        reader = threading.Thread(target=read)
        reader.start()
        until(lambda: upstream.asked("slow over a reload"))

        def change(config):
            config["models"] = [upstream_model(upstream.url, name="another")]
            config["default_model"] = "another"

        gateway.change(change)
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: self.models(gateway) == ["another"])
        reader.join()
        assert "data: [DONE]" in lines

    def test_many_reloads_under_load_lose_no_request(self, gateway, upstream):
        statuses, done = [], threading.Event()

        def ask():
            with httpx.Client(timeout=30, headers={"authorization": "Bearer a", "cache-control": "no-store"}) as client:
                while not done.is_set():
                    statuses.append(client.post(gateway.url + "/v1/chat/completions", json=body("again")).status_code)

        gateway.change(lambda config: config["auth"]["keys"][0].update(requests_per_minute=0))
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: "the configuration was reloaded" in gateway.log())
        askers = [threading.Thread(target=ask) for _ in range(3)]
        for asker in askers:
            asker.start()
        for i in range(10):
            gateway.change(lambda config: config["models"].__setitem__(0, upstream_model(upstream.url, timeout=f"{5 + i}s")))
            gateway.process.send_signal(signal.SIGHUP)
            until(lambda: f"timeout: {5 + i}s" in gateway.admin("GET", "/admin/config").text)
        done.set()
        for asker in askers:
            asker.join()
        assert len(statuses) > 10 and set(statuses) == {200}


def test_the_service_manager_is_told_what_happens(start_gateway, upstream, tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "400000")

        def next_but_watchdog():
            while (said := manager.recv(4096).decode()) == "WATCHDOG=1":
                pass
            return said

        gateway = start_gateway([upstream_model(upstream.url)], cache=NO_SEMANTIC)
        assert next_but_watchdog() == "READY=1"
        assert [manager.recv(4096) for _ in range(2)] == [b"WATCHDOG=1"] * 2
        gateway.process.send_signal(signal.SIGHUP)
        assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", next_but_watchdog())
        assert next_but_watchdog() == "READY=1"
        gateway.terminate()
        assert next_but_watchdog() == "STOPPING=1"
        assert gateway.wait() == 0


def slow_request(gateway, upstream, text):
    def ask():
        try:
            gateway.post(body(text))
        except httpx.TransportError:
            pass  # cut off: that is what these tests are about

    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: upstream.asked(text))
    return thread


def test_the_drain_has_a_deadline(start_gateway, upstream):
    gateway = start_gateway([upstream_model(upstream.url)], cache=NO_SEMANTIC, server={"drain_timeout": "200ms"})
    asking = slow_request(gateway, upstream, "slow beyond the deadline")
    gateway.terminate()
    assert gateway.wait() == 0
    asking.join()
    assert "stopped" in gateway.log()


def test_a_second_sigterm_ends_it_at_once(start_gateway, upstream):
    gateway = start_gateway([upstream_model(upstream.url, timeout="60s")], cache=NO_SEMANTIC)
    stream = body("endless, until somebody insists", stream=True)
    with httpx.stream("POST", gateway.url + "/v1/chat/completions", json=stream, timeout=30) as response:
        events = response.iter_raw()
        next(events)
        gateway.terminate()
        until(lambda: "draining" in gateway.log())
        assert gateway.process.poll() is None
        gateway.terminate()
        assert gateway.wait() == 0


def test_a_sigterm_after_the_admins_drain_is_the_first(start_gateway, upstream):
    gateway = start_gateway([upstream_model(upstream.url, timeout="60s")], cache=NO_SEMANTIC)
    with httpx.stream("POST", gateway.url + "/v1/chat/completions", json=body("endless, until both have spoken", stream=True),
                      timeout=30) as response:
        events = response.iter_raw()
        next(events)
        assert gateway.admin("POST", "/admin/drain").status_code < 300
        gateway.until_logged("draining")
        gateway.terminate()
        for _ in range(20):
            next(events)  # still answered
        assert gateway.process.poll() is None
        gateway.terminate()
        assert gateway.wait() == 0


def test_a_log_that_nobody_reads_does_not_keep_it_alive(start_gateway, upstream):
    gateway = start_gateway([upstream_model(upstream.url)], cache=NO_SEMANTIC)
    gateway.stop()
    reader, writer = os.pipe()
    process = subprocess.Popen([BINARY, "serve", "--config", gateway.config], stdout=writer, stderr=subprocess.DEVNULL)
    os.close(writer)
    try:
        until(lambda: ready(gateway))
        for number in range(400):
            gateway.post(body(f"logged {number}"))
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        os.close(reader)


def ready(gateway):
    try:
        return httpx.get(gateway.url + "/health/ready").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_accepts_the_unit(tmp_path):
    # A binary that exists here stands in for the installed one.
    unit = (ROOT / "deploy/kvasir.service").read_text().replace("/usr/local/bin/kvasir", "/bin/true")
    (tmp_path / "kvasir.service").write_text(unit)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", tmp_path / "kvasir.service"], capture_output=True, text=True,
                          timeout=60, env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"})
    said = [line for line in done.stderr.splitlines() if "kvasir.service" in line]
    assert done.returncode == 0 and not said, done.stderr
