"""A small OpenAI-compatible server that does what the last user message says.

"status 429" fails so; "cut" breaks off in the middle of a stream, "unfinished" ends one without a finish reason, both once
`may_break` is set; "html" answers a page with status 200; "half" sends half of its JSON; "slow" takes two seconds; "bytes" streams emoji one byte
at a time; "call f and g" calls these tools; anything else is answered with "Answer to: …". Legacy completions and embeddings are
answered as well.
"""

import http.server
import json
import threading
import time


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append({"body": body, "authorization": self.headers.get("authorization"),
                                     "traceparent": self.headers.get("traceparent")})
        endpoint = self.path.rsplit("/v1", 1)[-1]
        order = {"/embeddings": lambda: body["input"], "/completions": lambda: body["prompt"]}.get(
            endpoint, lambda: body["messages"][-1]["content"])()
        try:
            if order.startswith("status "):
                self.fail(int(order.split()[1]))
            elif order.startswith("html"):
                self.reply(200, b"<html>Sign in to the network</html>", "text/html")
            elif endpoint == "/embeddings":
                self.embeddings(body)
            elif endpoint == "/completions":
                self.continue_text(order, body.get("stream"))
            elif order.startswith("call "):
                self.call_tools(order.removeprefix("call ").split(" and "), body.get("stream"))
            elif body.get("stream"):
                self.stream(order)
            else:
                self.answer(order)
        except (BrokenPipeError, ConnectionResetError):
            self.server.hung_up.set()
            self.close_connection = True

    def reply(self, status, content, content_type="application/json", **headers):
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def fail(self, status):
        error = {"message": f"mock says {status}", "type": "mock_error", "param": None, "code": None}
        headers = {"retry_after": "7"} if status in (429, 503) else {}
        self.reply(status, json.dumps({"error": error}).encode(), **headers)

    def answer(self, order):
        if order.startswith("slow"):
            time.sleep(2)
        message = {"role": "assistant", "content": f"Answer to: {order}"}
        if order.startswith("think"):
            message["reasoning_content"] = "Hm. Let me see."
        body = json.dumps({
            "id": "chatcmpl-mock", "object": "chat.completion", "created": 1, "model": "mock",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
        }).encode()
        if order.startswith("half"):
            body = body[: len(body) // 2]
        self.reply(200, body)

    def embeddings(self, body):
        vectors = [{"object": "embedding", "index": 0, "embedding": [0.25, 0.5], "theirs": True}]
        usage = {"prompt_tokens": 3, "total_tokens": 3}
        self.reply(200, json.dumps({"object": "list", "data": vectors, "model": body["model"], "usage": usage}).encode())

    def continue_text(self, prompt, stream):
        def completion(text, finish=None):
            choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
            return {"id": "cmpl-mock", "object": "text_completion", "created": 1, "model": "mock", "choices": [choice]}

        if not stream:
            usage = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
            return self.reply(200, json.dumps({**completion(f" and {prompt}", "stop"), "usage": usage}).encode())
        events = [json.dumps(event) for event in (completion(" and"), completion(f" {prompt}"), completion("", "stop"))]
        if prompt.startswith("unfinished"):
            events = events[:-1]
        elif prompt.startswith("garbled"):
            events[1] = "{"
        elif prompt.startswith("mid-stream error"):
            events[1] = json.dumps({"error": {"message": "mock gives up", "type": "mock_error", "param": None, "code": None}})
        self.send_events(events)

    def call_tools(self, names, stream):
        calls = [{"index": i, "id": f"call_{name}", "type": "function", "function": {"name": name, "arguments": '{"city":"Hue"}'}}
                 for i, name in enumerate(names)]
        if not stream:
            message = {"role": "assistant", "content": None, "tool_calls": calls}
            return self.reply(200, json.dumps({
                "id": "chatcmpl-mock", "object": "chat.completion", "created": 1, "model": "mock",
                "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
                "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
            }).encode())
        deltas = [{"role": "assistant", "content": None}]
        for call in calls:
            whole = call["function"]["arguments"]
            deltas.append({"tool_calls": [{**call, "function": {"name": call["function"]["name"], "arguments": ""}}]})
            deltas += [{"tool_calls": [{"index": call["index"], "function": {"arguments": part}}]} for part in (whole[:5], whole[5:])]
        chunks = [self.event(delta) for delta in deltas] + [self.event({}, "tool_calls")]
        self.send_events([chunk.removeprefix(b"data: ").strip().decode() for chunk in chunks])

    def send_events(self, events):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in [*events, "[DONE]"]:
            self.send_chunk(b"data: %s\n\n" % event.encode())
        self.wfile.write(b"0\r\n\r\n")

    def send_chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def event(self, delta, finish=None):
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        chunk = {"id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": 1, "model": "mock", "choices": [choice]}
        return b"data: %s\n\n" % json.dumps(chunk, ensure_ascii=False).encode()

    def stream(self, order):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.send_chunk(self.event({"role": "assistant", "content": ""}))
        words = ["Answer", " to:", *(" " + word for word in order.split())]
        if order.startswith("bytes"):
            words = ["😀", "Việt", "你好"]
        for thought in ("Hm.", " Let me see.") if order.startswith("think") else ():
            self.send_chunk(self.event({"reasoning_content": thought}))
        for word in words:
            if order.startswith("endless"):
                self.stream_until_hang_up()
            if order.startswith("slow"):
                time.sleep(2 / len(words))
            for piece in self.pieces(self.event({"content": word}), order):
                self.send_chunk(piece)
            if order.startswith(("cut", "unfinished")) and word == " to:":
                self.server.may_break.wait(30)
            if order.startswith("cut") and word == " to:":
                self.close_connection = True
                return
        if not order.startswith("unfinished"):
            self.send_chunk(self.event({}, "stop"))
            self.send_chunk(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def pieces(self, event, order):
        return (event[i : i + 1] for i in range(len(event))) if order.startswith("bytes") else (event,)

    def stream_until_hang_up(self):
        while not self.server.closing.is_set():
            self.send_chunk(self.event({"content": " more"}))
            time.sleep(0.01)


class MockUpstream(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests = []
        self.hung_up = threading.Event()
        self.may_break = threading.Event()
        self.closing = threading.Event()
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def received(self, question):
        """The requests with this question, prompt or input."""
        def asks(body):
            return question in (body.get("prompt"), body.get("input"), body.get("messages", [{}])[-1].get("content"))

        return [request for request in self.requests if asks(request["body"])]

    def asked(self, question):
        """How often it came through."""
        return len(self.received(question))

    def close(self):
        self.closing.set()
        self.shutdown()
        self.server_close()
