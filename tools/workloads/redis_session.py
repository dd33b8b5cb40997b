"""A redis-server on a socket of its own, filled, measured by redis-benchmark, asked and ended."""

import pathlib
import subprocess
import sys
import time


def main():
    requests = sys.argv[1]
    socket = pathlib.Path("redis.sock").resolve()

    def ask(*words, text=None):
        done = subprocess.run(["redis-cli", "-s", str(socket), *words], input=text, text=True,
                              capture_output=True, check=True, timeout=30)
        return done.stdout.strip()

    server = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", "",
         "--appendonly", "no", "--daemonize", "no", "--lazyfree-lazy-expire", "yes"],
        stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        for _ in range(200):
            if socket.exists() or server.poll() is not None:
                break
            time.sleep(0.05)
        subprocess.run(["redis-benchmark", "-s", str(socket), "-n", requests, "-c", "20", "-q",
                        "-d", "200", "-r", "20000",
                        "-t", "set,get,incr,lpush,rpop,sadd,hset,zadd,lrange_100"],
                       stdout=subprocess.DEVNULL, check=True, timeout=120)
        ask("flushall", "async")
        commands = [f"set key:{i} {'v' * (i % 400)}" for i in range(4000)]
        commands += [f"hset hash:{i % 50} field{i} {i * i}" for i in range(4000)]
        commands += [f"zadd scores {i * 7919 % 10007} member{i}" for i in range(4000)]
        commands += [f"append key:{i} {'w' * (i % 90)}" for i in range(0, 4000, 3)]
        commands += [f"del key:{i}" for i in range(0, 4000, 5)]
        ask(text="\n".join(commands) + "\n")
        print(ask("dbsize"), ask("strlen", "key:399"), ask("hlen", "hash:7"),
              ask("zrange", "scores", "0", "4"), ask("zscore", "scores", "member3999"))
        ask("shutdown", "nosave")
        return server.wait(timeout=30)
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()


if __name__ == "__main__":
    sys.exit(main())
