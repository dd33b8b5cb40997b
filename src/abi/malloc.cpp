// The C entry points: one-line bodies, no policy. Their documentation is that of the standards they
// follow: ISO C17 7.22.3, C23 7.24.3, POSIX.1-2017, and the GNU C library's manual for the rest.

#include <malloc.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>

#include "abi/composition.hpp"
#include "abi/hakmem.h"
#include "abi/statistics.hpp"
#include "base/attributes.hpp"
#include "base/units.hpp"

using hakmem::abi::Composition;
using hakmem::base::page_bytes;
using hakmem::phases::SizeClaim;

namespace {

// pvalloc rounds up to whole pages; what overflows by that is too large anyway.
std::size_t whole_pages(std::size_t bytes) {
    return bytes > hakmem::base::request_bytes_max ? bytes
                                                   : hakmem::base::round_up(bytes, page_bytes);
}

}  // namespace

extern "C" {

// [entry points]
HAK_EXPORT void* malloc(std::size_t bytes) noexcept { return Composition::allocate(bytes); }

HAK_EXPORT void free(void* block) noexcept { Composition::deallocate(block); }
// [/entry points]

HAK_EXPORT void* calloc(std::size_t count, std::size_t bytes) noexcept {
    return Composition::allocate_zeroed(count, bytes);
}

HAK_EXPORT void* realloc(void* block, std::size_t bytes) noexcept {
    return Composition::reallocate(block, bytes);
}

HAK_EXPORT void cfree(void* block) noexcept { Composition::deallocate(block); }

HAK_EXPORT void free_sized(void* block, std::size_t bytes) noexcept {
    Composition::deallocate_sized(block, bytes, SizeClaim::resized);
}

HAK_EXPORT void free_aligned_sized(void* block, std::size_t, std::size_t bytes) noexcept {
    Composition::deallocate_sized(block, bytes, SizeClaim::at_most);
}

HAK_EXPORT void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
    return Composition::allocate_aligned(alignment, bytes);
}

HAK_EXPORT void* memalign(std::size_t alignment, std::size_t bytes) noexcept {
    return Composition::allocate_aligned(alignment, bytes);
}

HAK_EXPORT int posix_memalign(void** out, std::size_t alignment, std::size_t bytes) noexcept {
    if (alignment % sizeof(void*) != 0) return EINVAL;
    const int saved_errno = errno;
    void* const block = Composition::allocate_aligned(alignment, bytes);
    const int error = block != nullptr ? 0 : errno;
    errno = saved_errno;
    if (block != nullptr) *out = block;
    return error;
}

HAK_EXPORT void* valloc(std::size_t bytes) noexcept {
    return Composition::allocate_aligned(page_bytes, bytes);
}

HAK_EXPORT void* pvalloc(std::size_t bytes) noexcept {
    return Composition::allocate_aligned(page_bytes, whole_pages(bytes));
}

HAK_EXPORT std::size_t malloc_usable_size(void* block) noexcept {
    return Composition::usable_bytes(block);
}

HAK_EXPORT int malloc_trim(std::size_t) noexcept { return Composition::trim() > 0 ? 1 : 0; }

// No tunable of the GNU C library has a meaning here, but programs take 0 for an error.
HAK_EXPORT int mallopt(int, int) noexcept { return 1; }

HAK_EXPORT struct mallinfo2 mallinfo2() noexcept { return hakmem::abi::mallinfo_of_heap(); }

HAK_EXPORT struct mallinfo mallinfo() noexcept { return hakmem::abi::short_mallinfo_of_heap(); }

HAK_EXPORT void malloc_stats() noexcept { hakmem_report(HAKMEM_REPORT_TEXT, 2); }

HAK_EXPORT int malloc_info(int options, FILE* stream) noexcept {
    if (options != 0) {
        errno = EINVAL;
        return -1;
    }
    return hakmem::abi::write_malloc_info(stream);
}

// The GNU C library's second names for the same functions.
HAK_EXPORT void* __libc_malloc(std::size_t bytes) noexcept { return Composition::allocate(bytes); }
HAK_EXPORT void __libc_free(void* block) noexcept { Composition::deallocate(block); }
HAK_EXPORT void* __libc_calloc(std::size_t count, std::size_t bytes) noexcept {
    return Composition::allocate_zeroed(count, bytes);
}
HAK_EXPORT void* __libc_realloc(void* block, std::size_t bytes) noexcept {
    return Composition::reallocate(block, bytes);
}
HAK_EXPORT void* __libc_memalign(std::size_t alignment, std::size_t bytes) noexcept {
    return Composition::allocate_aligned(alignment, bytes);
}
HAK_EXPORT void* __libc_valloc(std::size_t bytes) noexcept { return valloc(bytes); }
HAK_EXPORT void* __libc_pvalloc(std::size_t bytes) noexcept { return pvalloc(bytes); }

}  // extern "C"
