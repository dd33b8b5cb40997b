#include "gate/front_gate_v2.hpp"

#include <atomic>

#include "base/tiny_class.hpp"
#include "gate/alloc_header.hpp"

namespace hakmem::gate {

namespace {

constinit std::atomic<std::uint64_t> overwritten{0};

// [agrees]
// Whether the bytes in front of a block are those with which it was stamped.
bool agrees(const void* pointer, const Classified& known) {
    const bool is_tiny = known.domain == Domain::tiny;
    const unsigned tiny_class =
        is_tiny ? base::recorded_class_of_slab(known.id) : base::recorded_class_count;
    // Nobody stamps C7. What lies there is left over from the memory's last use.
    if (tiny_class == base::headerless_class) return true;
    switch (verdict_of(pointer)) {
        case ByteVerdict::tiny:
            return read_header(pointer).tiny_class() == tiny_class;
        case ByteVerdict::pool:
            return !is_tiny && header_of(pointer) != nullptr;
        case ByteVerdict::midcand:
            return true;
        default:
            return false;
    }
}
// [/agrees]

}  // namespace

// [slow]
Classified front_gate_v2_slow(const void* pointer) {
    // Only HAKMEM's memory may be read.
    const Classified known = classify_by_registry(pointer);
    if (known.domain == Domain::external || known.domain == Domain::freed) return known;
    // The byte says the same, or the program has written over it.
    if (HAK_UNLIKELY(!agrees(pointer, known))) overwritten.fetch_add(1, std::memory_order_relaxed);
    return known;
}
// [/slow]

std::uint64_t overwritten_headers() { return overwritten.load(std::memory_order_relaxed); }

}  // namespace hakmem::gate
