#include "gate/classify_ptr.hpp"

#include <atomic>
#include <cerrno>

#include "base/units.hpp"
#include "gate/alloc_header.hpp"
#include "os/virtual_memory.hpp"

namespace hakmem::gate {

namespace {

constinit std::atomic<std::uint64_t> probes{0};

}  // namespace

// [registry]
Classified classify_by_registry(const void* pointer) {
    const base::ClassId id = back::page_map::entry_of(pointer).class_id();
    if (base::is_small(id)) {
        const bool is_tiny = base::recorded_class_of_slab(id) < base::recorded_class_count;
        return {is_tiny ? Domain::tiny : Domain::mid, id};
    }
    if (id == base::ClassId::free) return {Domain::freed, id};
    if (id == base::ClassId::large) return {Domain::large, id};
    return {Domain::external, id};
}
// [/registry]

// [probe]
bool probe(const void* pointer) {
    probes.fetch_add(1, std::memory_order_relaxed);
    const auto header = reinterpret_cast<std::uintptr_t>(pointer) - sizeof(AllocHeader);
    unsigned char resident = 0;
    const int saved_errno = errno;  // free must leave it alone
    const bool there =
        os::residency(reinterpret_cast<const void*>(header & ~(base::page_bytes - 1)),
                      base::page_bytes, &resident);
    errno = saved_errno;
    return there;
}
// [/probe]

// [slow]
Classified classify_ptr_slow(const void* pointer) {
    // Ask the registry: C7, starts of pages, overwritten bytes, and what is not a block.
    Classified known = classify_by_registry(pointer);
    if (known.domain != Domain::mid && known.domain != Domain::large) return known;
    // Ask the kernel, then the header.
    if (probe(pointer)) known.header = header_of(pointer);
    return known;
}
// [/slow]

std::uint64_t mincore_probes() { return probes.load(std::memory_order_relaxed); }

}  // namespace hakmem::gate
