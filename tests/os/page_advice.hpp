// Counts what the kernel is advised about the size of pages, and keeps it from the kernel: not
// every one takes such advice. Joining can be refused.
#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <cstddef>

#include "os/virtual_memory.hpp"
#include "tests/os/fake_clock.hpp"
#include "tests/os/kernel_calls.hpp"

namespace hakmem::tests {

constexpr int collapse = 25;  ///< MADV_COLLAPSE; older headers have no name for it.

/** In force until it ends. At most one at a time, while no other thread allocates. */
struct PageAdvice {
    static inline unsigned huge = 0;               ///< How often huge pages were asked for.
    static inline unsigned small = 0;              ///< How often small ones were.
    static inline std::size_t last_bytes = 0;      ///< For how much the last time.
    static inline unsigned joins = 0;              ///< How often pages were to be joined.
    static inline int join_error = 0;              ///< The errno that this ends with, or 0.
    static inline unsigned join_milliseconds = 0;  ///< How long it takes by the fake clock.
    static inline void* joined = nullptr;          ///< Which pages the last time.

    static constexpr os::MemoryCalls calls = {
        kernel_calls.map,
        kernel_calls.unmap,
        kernel_calls.remap,
        [](void* address, std::size_t bytes, int advice) {
            if (advice == collapse) {
                joins++;
                joined = address;
                FakeClock::time += join_milliseconds;
                errno = join_error;
                return join_error == 0 ? 0 : -1;
            }
            if (advice != MADV_HUGEPAGE && advice != MADV_NOHUGEPAGE) {
                return madvise(address, bytes, advice);
            }
            (advice == MADV_HUGEPAGE ? huge : small)++;
            last_bytes = bytes;
            return 0;
        },
        kernel_calls.residency,
    };

    PageAdvice() {
        huge = small = joins = 0;
        join_error = 0;
        join_milliseconds = 0;
        joined = nullptr;
        last_bytes = 0;
        os::set_memory_calls(&calls);
    }
    ~PageAdvice() { os::set_memory_calls(nullptr); }
    PageAdvice(const PageAdvice&) = delete;
    PageAdvice& operator=(const PageAdvice&) = delete;
};

}  // namespace hakmem::tests
