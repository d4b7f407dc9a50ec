"""A TCP proxy in front of a server, to lose what a network loses: answers, connections, one direction only."""
import socket
import threading
import time


class Proxy:
    def __init__(self, port):
        self.target = port
        self.refuse = False      # new connections are closed at once
        self.after = None        # bytes: once a client has sent this, its next answer (or none) is the last thing that passes
        self.swallow = False     # with after: the answer itself is lost, too
        self.hits = 0
        self.pairs, self.zombies = [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.refuse:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            state = {"hit": False}
            self.pairs.append((client, server))
            threading.Thread(target=self._forward, args=(client, server, True, state), daemon=True).start()
            threading.Thread(target=self._forward, args=(server, client, False, state), daemon=True).start()

    def _forward(self, source, sink, from_client, state):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                if from_client and self.after is not None and self.after in data:
                    self.after = None
                    self.hits += 1
                    state["hit"] = True
                if not from_client and state["hit"]:
                    if not self.swallow:
                        sink.sendall(data)
                    time.sleep(0.3 if self.swallow else 0)
                    break
                sink.sendall(data)
        except OSError:
            pass
        if sink not in [s for z in self.zombies for s in z]:
            for s in (source, sink):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def cut(self, keep_server=False):
        """Ends the clients' connections. keep_server: the servers do not notice, as when a router dies."""
        pairs, self.pairs = self.pairs, []
        for client, server in pairs:
            if keep_server:
                self.zombies.append((client, server))
            else:
                server.close()
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            client.close()

    def close(self):
        self.listener.close()
        self.cut()
        for _, server in self.zombies:
            server.close()
