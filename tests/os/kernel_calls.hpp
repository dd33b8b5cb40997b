// The kernel's calls for memory, for tables in which a test replaces some of them.
#pragma once

#include <sys/mman.h>

#include <cstddef>

#include "os/virtual_memory.hpp"

namespace hakmem::tests {

inline constexpr os::MemoryCalls kernel_calls = {
    mmap,
    munmap,
    [](void* old_address, std::size_t old_bytes, std::size_t bytes, int flags, void* address) {
        return mremap(old_address, old_bytes, bytes, flags, address);
    },
    [](void* address, std::size_t bytes, int advice) { return madvise(address, bytes, advice); },
    [](void* address, std::size_t bytes, unsigned char* pages) {
        return mincore(address, bytes, pages);
    },
    mprotect,
};

}  // namespace hakmem::tests
