#include "reference.hpp"

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "private_memory.hpp"
#include "random.hpp"
#include "violation.hpp"

namespace hakmem::model {

Reference::Shard::Shard() : memory(private_memory()), pieces(&memory) {}

Reference::Reference() = default;

Reference::Shard& Reference::shard_of(std::uintptr_t address) {
    return shards_[scramble(address / chunk_bytes) % shard_count];
}

template <typename Visit>
void Reference::for_each_piece(const void* start, std::size_t bytes, Visit visit) {
    auto from = reinterpret_cast<std::uintptr_t>(start);
    const std::uintptr_t end = from + bytes;
    while (from < end) {
        const std::uintptr_t to = std::min(end, (from / chunk_bytes + 1) * chunk_bytes);
        visit(from, to);
        from = to;
    }
}

void Reference::enter(const void* start, std::size_t bytes) {
    for_each_piece(start, bytes, [&](std::uintptr_t from, std::uintptr_t to) {
        Shard& shard = shard_of(from);
        const std::lock_guard lock(shard.mutex);
        const auto next = shard.pieces.lower_bound(from);
        auto other = shard.pieces.end();
        if (next != shard.pieces.end() && next->first < to) {
            other = next;
        } else if (next != shard.pieces.begin() && std::prev(next)->second > from) {
            other = std::prev(next);
        }
        if (other != shard.pieces.end()) {
            violate(Violation::overlap, "%zu bytes at %p lie over live bytes %#zx to %#zx", bytes,
                    start, other->first, other->second);
        }
        shard.pieces.emplace_hint(next, from, to);
    });
}

void Reference::remove(const void* start, std::size_t bytes) {
    for_each_piece(start, bytes, [&](std::uintptr_t from, std::uintptr_t) {
        Shard& shard = shard_of(from);
        const std::lock_guard lock(shard.mutex);
        if (shard.pieces.erase(from) != 1) {
            std::abort();  // the model removes what it never entered: its own fault
        }
    });
}

std::size_t Reference::pieces() const {
    std::size_t sum = 0;
    for (const Shard& shard : shards_) {
        const std::lock_guard lock(shard.mutex);
        sum += shard.pieces.size();
    }
    return sum;
}

}  // namespace hakmem::model
