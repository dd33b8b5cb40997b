"""Parses, reshapes and writes nested JSON documents: many small objects of short and long life.

Run with PYTHONMALLOC=malloc, so that each object is a block of malloc and not of Python's own
pools. The output depends on nothing but the number of rounds.
"""

import hashlib
import json
import sys


def numbers(seed):
    """An endless sequence that is the same everywhere."""
    while True:
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
        yield seed >> 33


class Reading:
    __slots__ = ("sensor", "value", "unit", "tags")

    def __init__(self, sensor, value, unit, tags):
        self.sensor = sensor
        self.value = value
        self.unit = unit
        self.tags = tags


def make_station(source, name):
    return {
        "station": name,
        "position": {"x": next(source) % 18000, "y": next(source) % 36000},
        "active": next(source) % 3 != 0,
        "note": None if next(source) % 4 else "checked " * (next(source) % 20),
        "readings": [
            {"sensor": f"s{next(source) % 500}", "value": next(source) % 100000,
             "unit": ("kelvin", "pascal", "metre")[next(source) % 3],
             "tags": [f"t{next(source) % 90}" for _ in range(next(source) % 5)],
             "series": [[next(source) % 1000 + 300, i] for i in range(next(source) % 8)]}
            for _ in range(next(source) % 40)
        ],
    }


def reshape(value):
    """A copy in which every list is a tuple and every string an object of its own."""
    if isinstance(value, dict):
        return {key: reshape(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple([reshape(item) for item in value])
    return value + "." if isinstance(value, str) else value


def collect(documents):
    """Readings by unit, as objects: they live on while the documents go."""
    by_unit = {}
    for document in documents:
        for reading in document["readings"]:
            by_unit.setdefault(reading["unit"], []).append(
                Reading(reading["sensor"], reading["value"], reading["unit"],
                        [(reading["sensor"], tag) for tag in reading["tags"]]))
    return by_unit


def summarise(by_unit):
    summary = {}
    for unit, readings in sorted(by_unit.items()):
        words = {}
        for reading in readings:
            for pair in reading.tags:
                words.setdefault(pair, []).append(reading.value)
        frequent = sorted(words.items(), key=lambda item: (-len(item[1]), item[0]))[:5]
        summary[unit] = {"count": len(readings),
                         "frequent": [["/".join(pair), len(values)] for pair, values in frequent],
                         "sum": sum(reading.value for reading in readings)}
    return summary


def main():
    rounds = int(sys.argv[1])
    source = numbers(1)
    texts = [json.dumps([make_station(source, f"station {number}.{i}") for i in range(120)])
             for number in range(5)]
    digest = hashlib.sha256()
    kept = []
    for number in range(rounds):
        documents = json.loads(texts[number % len(texts)])
        by_unit = collect(documents)
        digest.update(json.dumps(summarise(by_unit), indent=1).encode())
        copy = reshape(documents)
        digest.update(json.dumps(copy).encode())
        kept.append((by_unit, copy))
        if len(kept) > 4:
            kept.pop(next(source) % 4)
    print(rounds, digest.hexdigest())
    print(json.dumps(summarise(kept[-1][0]), sort_keys=True))


if __name__ == "__main__":
    main()
