"""What the benchmarks of the gateway share: Kvasir and nginx as processes, and the CPU time that they spent."""
import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

NGINX = """daemon off; worker_processes 1; pid {folder}/{name}.pid; error_log {folder}/{name}.log;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 100000000; client_max_body_size 64m; client_body_buffer_size 1m;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
  scgi_temp_path {folder}/s;
  {http} }}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def chat(question, **more):
    return json.dumps({"model": "mock", "messages": [{"role": "user", "content": question}], **more})


def completion(text="This is the answer."):
    return json.dumps({"id": "x", "object": "chat.completion", "created": 1, "model": "mock", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}})


def pinned(core, command):
    return command if core is None else ["taskset", "-c", str(core), *command]


def start_kvasir(binary, folder, upstream_port, more="", core=None, models=""):
    """`more`: further lines of YAML. `models`: further entries of the list of models."""
    port, admin = free_port(), free_port()
    config = folder / "kvasir.yaml"
    config.write_text(f"""server: {{listen: "127.0.0.1:{port}", admin: "127.0.0.1:{admin}", threads: 1}}
models:
  - {{name: mock, upstream: {{base_url: "http://127.0.0.1:{upstream_port}/v1", model: mock}}}}
{models}
default_model: mock
{more}
""")
    process = subprocess.Popen(pinned(core, [binary, "serve", "--config", str(config)]), stdout=subprocess.DEVNULL,
                               stderr=open(folder / "log", "w"))
    for _ in range(300):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == 200:
                return process, port
        except OSError:
            time.sleep(0.05)
    sys.exit("kvasir did not start: " + (folder / "log").read_text()[-500:])


def start_nginx(folder, http_block, name="nginx", core=None):
    """`http_block`: what stands inside http { }."""
    path = folder / f"{name}.conf"
    path.write_text(NGINX.format(folder=folder, name=name, http=http_block))
    process = subprocess.Popen(pinned(core, ["nginx", "-c", str(path)]), stderr=subprocess.DEVNULL)
    time.sleep(0.5)
    if process.poll() is not None:
        sys.exit("nginx did not start: " + (folder / f"{name}.log").read_text()[-500:])
    return process


def own_cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_seconds(process):
    """Of the process and its children."""
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return own_cpu(process.pid) + sum(own_cpu(child) for child in children)


def resident_mib(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024


def wrk(process, port, script, seconds, connections=16, core=None):
    """Requests a second, and the CPU seconds that `process` spends on 1,000 of them."""
    before = cpu_seconds(process)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script),
               f"http://127.0.0.1:{port}/v1/chat/completions"]
    out = subprocess.run(pinned(core, command), capture_output=True, text=True, check=True).stdout
    spent = cpu_seconds(process) - before
    if "Non-2xx" in out or "Socket errors" in out:
        sys.exit("the load met errors:\n" + out)
    requests = int(next(line.split()[0] for line in out.splitlines() if "requests in" in line))
    rate = float(next(line.split()[1] for line in out.splitlines() if line.startswith("Requests/sec")))
    return rate, 1000 * spent / requests
