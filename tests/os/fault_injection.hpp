// The faults of memory: a table of system calls (os/virtual_memory) in which chosen ones fail.
//
//     // The third mmap and all later ones:
//     FaultInjection faults({.calls = FaultInjection::map, .first = 3});
//     // Any call, three in ten:
//     FaultInjection faults({.per_mille = 300, .seed = 7});
//
// Calls that do not fail go to the kernel. The kernel's table is back when the object goes out of
// scope.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

#include "os/virtual_memory.hpp"

namespace hakmem::tests {

/** Which calls fail. */
struct FaultPlan {
    unsigned calls = ~0U;             // which kinds may fail; only these are counted
    std::uint64_t first = 1;          // number of the first call that fails
    std::uint64_t last = UINT64_MAX;  // number of the last one
    unsigned per_mille = 1000;        // how many of those between do
    std::uint64_t seed = 1;           // of the choice among them
};

class FaultInjection {
public:
    enum Call : unsigned {
        map = 1,
        unmap = 2,
        remap = 4,
        advise = 8,
        residency = 16,
        protect = 32,
        more = map | protect  // what more memory takes: its addresses, or their being writable
    };

    explicit FaultInjection(const FaultPlan& plan) {
        active = plan;
        count = 0;
        failures = 0;
        os::set_memory_calls(&table);
    }
    ~FaultInjection() { os::set_memory_calls(nullptr); }
    FaultInjection(const FaultInjection&) = delete;
    FaultInjection& operator=(const FaultInjection&) = delete;

    /** @return How many calls of the chosen kinds there were. */
    static std::uint64_t calls() { return count; }
    /** @return How many of them failed. */
    static std::uint64_t failed() { return failures; }

private:
    static bool fails(Call kind) {
        if ((active.calls & kind) == 0) return false;
        const std::uint64_t number = count.fetch_add(1) + 1;
        if (number < active.first || number > active.last) return false;
        // splitmix64: the same calls fail whenever the same calls are made.
        std::uint64_t z = active.seed + number * 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        if ((z ^ z >> 31) % 1000 >= active.per_mille) return false;
        failures.fetch_add(1);
        errno = kind == advise ? EINVAL : ENOMEM;
        return true;
    }

    static constexpr os::MemoryCalls table = {
        [](void* address, std::size_t bytes, int protection, int flags, int file, off_t offset) {
            return fails(map) ? MAP_FAILED : mmap(address, bytes, protection, flags, file, offset);
        },
        [](void* address, std::size_t bytes) { return fails(unmap) ? -1 : munmap(address, bytes); },
        [](void* old_address, std::size_t old_bytes, std::size_t bytes, int flags, void* address) {
            return fails(remap) ? MAP_FAILED
                                : mremap(old_address, old_bytes, bytes, flags, address);
        },
        [](void* address, std::size_t bytes, int advice) {
            return fails(advise) ? -1 : madvise(address, bytes, advice);
        },
        [](void* address, std::size_t bytes, unsigned char* pages) {
            return fails(residency) ? -1 : mincore(address, bytes, pages);
        },
        [](void* address, std::size_t bytes, int protection) {
            return fails(protect) ? -1 : mprotect(address, bytes, protection);
        },
    };

    static inline FaultPlan active;
    static inline std::atomic<std::uint64_t> count{0};
    static inline std::atomic<std::uint64_t> failures{0};
};

}  // namespace hakmem::tests
