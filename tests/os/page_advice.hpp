// Counts what the kernel is advised about the size of pages, and keeps it from the kernel: not
// every one takes such advice.
#pragma once

#include <sys/mman.h>

#include <cstddef>

#include "os/virtual_memory.hpp"
#include "tests/os/kernel_calls.hpp"

namespace hakmem::tests {

/** In force until it ends. At most one at a time, while no other thread allocates. */
struct PageAdvice {
    static inline unsigned huge = 0;           ///< How often huge pages were asked for.
    static inline unsigned small = 0;          ///< How often small ones were.
    static inline std::size_t last_bytes = 0;  ///< For how much the last time.

    static constexpr os::MemoryCalls calls = {
        kernel_calls.map,
        kernel_calls.unmap,
        kernel_calls.remap,
        [](void* address, std::size_t bytes, int advice) {
            if (advice != MADV_HUGEPAGE && advice != MADV_NOHUGEPAGE) {
                return madvise(address, bytes, advice);
            }
            (advice == MADV_HUGEPAGE ? huge : small)++;
            last_bytes = bytes;
            return 0;
        },
        kernel_calls.residency,
        kernel_calls.protect,
    };

    PageAdvice() {
        huge = small = 0;
        os::set_memory_calls(&calls);
    }
    ~PageAdvice() { os::set_memory_calls(nullptr); }
    PageAdvice(const PageAdvice&) = delete;
    PageAdvice& operator=(const PageAdvice&) = delete;
};

}  // namespace hakmem::tests
