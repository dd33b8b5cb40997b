"""What Python programs do with memory: objects, regular expressions, threads, child processes."""

import collections
import hashlib
import json
import re
import subprocess
import sys
import threading
import zlib


def count_words(text):
    return collections.Counter(re.findall(r"[a-z]+", text.lower()))


def nest(depth):
    return {"depth": depth, "items": [nest(depth - 1) for _ in range(3)]} if depth else None


def worker(index, passed_on, results):
    """Makes objects that another thread will drop."""
    own = [str(i) * (i % 50 + 1) for i in range(index * 1000, index * 1000 + 4000)]
    passed_on.append(own)
    results[index] = hashlib.sha256("".join(own).encode()).hexdigest()


def main():
    text = " ".join(f"word{i % 977} other{i % 31}, {i}" for i in range(30000))
    print(count_words(text).most_common(3))
    print(re.sub(r"(\w+?)(\d+)", lambda match: match[2] + match[1], text)[:60])

    tree = nest(7)
    encoded = json.dumps(tree)
    print(len(encoded), json.loads(encoded) == tree)

    table = {}
    for i in range(120000):
        table[f"key {i * 7919 % 120000}"] = (i, [i])
        if i % 3 == 0:
            table.pop(f"key {i * 31 % 120000}", None)
    print(len(table), sum(value[0] for value in table.values()))

    for _ in range(3):
        passed_on, results = [], {}
        threads = [threading.Thread(target=worker, args=(i, passed_on, results)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        passed_on.clear()
    print(sorted(results.items())[0])

    for _ in range(5):
        done = subprocess.run([sys.executable, "-S", "-c", "print(sum(range(1000)))"],
                              capture_output=True, text=True, check=True)
    print(done.stdout.strip())
    data = bytes(i * i % 251 for i in range(2_000_000))
    print(len(zlib.compress(data)), zlib.crc32(data))
    grown = bytearray()
    for i in range(20000):
        grown += b"%d," % i
    print(len(grown), hashlib.md5(grown).hexdigest())


if __name__ == "__main__":
    main()
