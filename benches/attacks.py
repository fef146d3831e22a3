#!/usr/bin/env python3
"""What a known and a new client wait for while others do their worst to the examples.

    cargo build --release --examples
    benches/attacks.py                      # everything, about 15 minutes
    benches/attacks.py half silent          # these only: half, pipeline, silent, bound, deaf

Each line is one server and one attack: what was asked of it twenty times and more by a client that it knows, and by one
that connects for that. TARGET names another folder of examples than target/release/examples.
"""

import multiprocessing
import os
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

FOLDER = os.environ.get("TARGET", os.path.join(os.path.dirname(__file__), "../target/release/examples"))


class Server:
    """An example that serves until `stop`."""

    def __init__(self, program, *flags, listen="127.0.0.1:0"):
        command = [os.path.join(FOLDER, program), "--listen", listen, *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), (command, line)
        address = line.removeprefix("listening on ").strip()
        self.is_unix = address.startswith("/")
        host, _, port = address.rpartition(":")
        self.address = address if self.is_unix else (host, int(port))
        self.said = []
        for pipe in (self.process.stdout, self.process.stderr):
            threading.Thread(target=lambda pipe=pipe: self.said.extend(pipe), daemon=True).start()

    def connect(self):
        client = socket.socket(socket.AF_UNIX if self.is_unix else socket.AF_INET)
        client.settimeout(100)
        client.connect(self.address)
        return client

    def threads(self):
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def memory(self):
        """The proportional set, in KiB."""
        with open(f"/proc/{self.process.pid}/smaps_rollup") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))

    def cpu(self):
        """Seconds of it and of its children."""
        used = 0
        for pid in [self.process.pid, *self.children()]:
            try:
                with open(f"/proc/{pid}/stat") as stat:
                    fields = stat.read().rsplit(")", 1)[1].split()
            except FileNotFoundError:
                continue
            used += sum(int(field) for field in fields[11 : 15 if pid == self.process.pid else 13])
        return used / os.sysconf("SC_CLK_TCK")

    def children(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as children:
            return [int(pid) for pid in children.read().split()]

    def stop(self):
        """How long a SIGTERM takes, in seconds."""
        began = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return time.perf_counter() - began


def ask(client, question, answer):
    """The time from the question to the end of the answer."""
    began = time.perf_counter()
    client.sendall(question)
    got = b""
    while not got.endswith(answer):
        some = client.recv(1 << 16)
        if not some:
            raise EOFError(f"{got[-100:]} and the end, for {question}")
        got += some
    return time.perf_counter() - began


LINE = (b"question\n", b"QUESTION\n")
ECHO = (b"question\n", b"question\n")
RESP = (b"*2\r\n$4\r\nECHO\r\n$3\r\nabc\r\n", b"$3\r\nabc\r\n")
HTTP = (b"GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n\r\nhello")


def times(taken):
    taken = sorted(taken)
    late = taken[min(len(taken) - 1, len(taken) * 95 // 100)]
    return f"median {statistics.median(taken) * 1e3:.2f}, 95 % {late * 1e3:.2f}, most {taken[-1] * 1e3:.2f} ms"


def probe(server, exchange, seconds=None, tries=20):
    known, of_known, of_new = server.connect(), [], []
    ask(known, *exchange)
    until = time.monotonic() + (seconds or 0)
    while time.monotonic() < until if seconds else len(of_known) < tries:
        of_known.append(ask(known, *exchange))
        began = time.perf_counter()
        with server.connect() as new:
            ask(new, *exchange)
        of_new.append(time.perf_counter() - began)
        time.sleep(0.02)
    known.close()
    return f"known {times(of_known)}; new {times(of_new)}"


def report(what, program, flags, *figures):
    print(f"{what} | {program} {' '.join(flags)} | {' | '.join(figures)}", flush=True)


def half(count, program, *flags, waits=False):
    """Clients with half a line."""
    server = Server(program, *flags)
    before = server.threads()
    held = [server.connect() for _ in range(count)]
    for client in held:
        client.sendall(b"abc")
    time.sleep(1)
    figures = [probe(server, LINE), f"threads {before}, then {server.threads()}", f"{server.memory()} KiB"]
    for client in held:
        client.close()
    if waits:
        time.sleep(20)
        figures.append(f"20 s after they have gone {server.threads()}")
    report(f"{count} with half a line", program, flags, *figures)
    server.process.kill()


def send_for_ever(address, is_unix, data, reads):
    client = socket.socket(socket.AF_UNIX if is_unix else socket.AF_INET)
    client.connect(address)
    client.setblocking(False)
    poll, at = select.poll(), 0
    poll.register(client, select.POLLOUT | (select.POLLIN if reads else 0))
    while True:
        for _, events in poll.poll():
            try:
                if events & select.POLLIN and not client.recv(1 << 20):
                    return
                if events & select.POLLOUT:
                    at = (at + client.send(data[at:])) % len(data)
            except BlockingIOError:
                pass


def pipeline(count, reads, program, exchange, data, *flags):
    """Clients that send without end."""
    server = Server(program, *flags)
    arguments = (server.address, server.is_unix, data, reads)
    clients = [multiprocessing.Process(target=send_for_ever, args=arguments, daemon=True) for _ in range(count)]
    for client in clients:
        client.start()
    time.sleep(0.5)
    figures = probe(server, exchange, seconds=5)
    for client in clients:
        client.kill()
        client.join()
    what = f"{count} that pipeline and {'read' if reads else 'do not read'}"
    report(what, program, flags, figures, f"stop {server.stop():.2f} s")


def silent(count, *flags):
    """Clients whose handshake does not come: that of the PROXY protocol, as it is the smallest."""
    server = Server("upper", "--proxy-from", "127.0.0.1", "--max-connections", "15000", *flags)
    first = [server.connect() for _ in range(min(count, 200))]
    time.sleep(0.5)
    before = server.memory()
    held = [server.connect() for _ in range(count)]
    time.sleep(1)
    each, taken = (server.memory() - before) * 1024 / count, []
    for _ in range(20):
        began = time.perf_counter()
        with server.connect() as client:
            ask(client, b"PROXY UNKNOWN\r\n" + LINE[0], LINE[1])
        taken.append(time.perf_counter() - began)
    report(f"{count} silent handshakes", "upper", flags, f"new {times(taken)}", f"{each:.0f} bytes each")
    for client in first + held:
        client.close()
    server.process.kill()


def bound():
    """More clients with half a line than there may be threads."""
    flags = ("--loop", "--dispatch", "pool", "--max-threads", "32")
    server = Server("upper", *flags)
    held = [server.connect() for _ in range(200)]
    for client in held:
        client.sendall(b"abc")
    began, early, late = time.monotonic(), [], []
    known = server.connect()
    while (since := time.monotonic() - began) < 25:
        (early if since < 10 else late).append(ask(known, *LINE))
        time.sleep(0.1)
    report("200 with half a line", "upper", flags, f"first 10 s {times(early)}", f"then {times(late)}")
    server.process.kill()


def deaf(small, large, dispatch):
    """Datagram clients that read no replies, to 10 bytes each or to 60,000."""
    folder = tempfile.mkdtemp()
    path = os.path.join(folder, "server")
    flags = ("--transport", "unix-datagram", "--dispatch", dispatch)
    server = Server("echo", *flags, listen=path)

    def client(name):
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        made.bind(os.path.join(folder, name))
        return made

    held = [(client(f"deaf-{number}"), 10 if number < small else 60_000) for number in range(small + large)]
    for one, size in held:
        for _ in range(60):
            one.sendto(b"x" * size, path)
    hears, taken = client("hears"), []
    hears.settimeout(20)
    used, began = server.cpu(), time.monotonic()
    for _ in range(20):
        asked = time.perf_counter()
        hears.sendto(b"question", path)
        assert hears.recv(100) == b"question"
        taken.append(time.perf_counter() - asked)
        time.sleep(0.05)
    time.sleep(max(0, began + 3 - time.monotonic()))
    cpu = (server.cpu() - used) / (time.monotonic() - began)
    what = f"{small} deaf peers, and {large} with long messages"
    report(what, "echo", flags, times(taken), f"CPU {cpu:.0%}", f"stop {server.stop():.2f} s")


def main():
    chosen = sys.argv[1:] or ["half", "pipeline", "silent", "bound", "deaf"]
    if unknown := set(chosen) - {"half", "pipeline", "silent", "bound", "deaf"}:
        sys.exit(f"{', '.join(unknown)}? There are half, pipeline, silent, bound and deaf.")
    if "half" in chosen:
        for count in (16, 64, 500, 2000):
            half(count, "upper", "--loop", "--dispatch", "pool", waits=True)
            for dispatch in ("pool", "sync"):
                half(count, "upper", "--dispatch", dispatch)
            half(count, "upper", "--loop", "--dispatch", "threads")
        half(35, "upper", "--loop", "--dispatch", "fork")
    if "pipeline" in chosen:
        folder = tempfile.mkdtemp()
        for name in ["hello.txt", *(f"file-{number}" for number in range(100))]:
            with open(os.path.join(folder, name), "w") as file:
                file.write("hello" if name == "hello.txt" else "")
        for reads in (True, False):
            for count in (1, 8):
                for dispatch in ("sync", "pool", "threads"):
                    flags = ("--dispatch", dispatch)
                    pipeline(count, reads, "upper", LINE, b"abc\n" * 16384, *flags)
                    pipeline(count, reads, "echo", ECHO, b"abc\n" * 16384, *flags)
                    pipeline(count, reads, "kv", RESP, b"*1\r\n$4\r\nPING\r\n" * 4096, *flags)
                    page = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 1000
                    pipeline(count, reads, "http_files", HTTP, page, *flags, "--directory", folder)
    if "silent" in chosen:
        for dispatch in ("sync", "pool"):
            silent(5000, "--dispatch", dispatch)
    if "bound" in chosen:
        bound()
    if "deaf" in chosen:
        for dispatch in ("sync", "pool", "threads", "fork"):
            deaf(1, 0, dispatch)
            deaf(27, 1, dispatch)


if __name__ == "__main__":
    main()
