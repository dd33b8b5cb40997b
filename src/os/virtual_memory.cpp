#include "os/virtual_memory.hpp"

#include <sys/mman.h>
#include <sys/resource.h>

namespace hakmem::os {

namespace {

// The C library's functions have overloads and attributes that a table of pointers cannot name.
constexpr MemoryCalls kernel_calls = {
    [](void* address, std::size_t bytes, int protection, int flags, int file, off_t offset) {
        return mmap(address, bytes, protection, flags, file, offset);
    },
    [](void* address, std::size_t bytes) { return munmap(address, bytes); },
    [](void* old_address, std::size_t old_bytes, std::size_t bytes, int flags, void* address) {
        return mremap(old_address, old_bytes, bytes, flags, address);
    },
    [](void* address, std::size_t bytes, int advice) { return madvise(address, bytes, advice); },
    [](void* address, std::size_t bytes, unsigned char* pages) {
        return mincore(address, bytes, pages);
    },
    [](void* address, std::size_t bytes, int protection) {
        return mprotect(address, bytes, protection);
    },
};

constinit std::atomic<const MemoryCalls*> active_calls{&kernel_calls};
constinit MemoryCounters counters;

const MemoryCalls& calls() { return *active_calls.load(std::memory_order_acquire); }

void count(std::atomic<std::uint64_t>& counter, std::uint64_t amount = 1) {
    counter.fetch_add(amount, std::memory_order_relaxed);
}

bool succeeded(bool success) {
    if (!success) count(counters.failed);
    return success;
}

void* map_anonymous(void* address, std::size_t bytes, int protection) {
    count(counters.map);
    void* const start = calls().map(address, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return succeeded(start != MAP_FAILED) ? start : nullptr;
}

// [align]
bool is_aligned(const void* start, std::size_t alignment) {
    return reinterpret_cast<std::uintptr_t>(start) % alignment == 0;
}

// The kernel aligns to pages only. It places new mappings below older ones, so the aligned address
// just below a place that it has chosen is likely free, and it takes a hint. If not, map what
// surely contains an aligned range and give the ends back.
void* map_aligned(std::size_t bytes, std::size_t alignment, int protection) {
    if (bytes > SIZE_MAX - alignment) return nullptr;
    char* start = static_cast<char*>(map_anonymous(nullptr, bytes, protection));
    if (start == nullptr || is_aligned(start, alignment)) return start;
    unmap(start, bytes);
    char* const hint = start - reinterpret_cast<std::uintptr_t>(start) % alignment;
    start = static_cast<char*>(map_anonymous(hint, bytes, protection));
    if (start == nullptr || is_aligned(start, alignment)) return start;
    unmap(start, bytes);
    const std::size_t padded = bytes + alignment - base::page_bytes;
    start = static_cast<char*>(map_anonymous(nullptr, padded, protection));
    if (start == nullptr) return nullptr;
    const std::size_t before = -reinterpret_cast<std::uintptr_t>(start) & (alignment - 1);
    const std::size_t after = padded - before - bytes;
    if (before > 0) unmap(start, before);
    if (after > 0) unmap(start + before + bytes, after);
    return start + before;
}
// [/align]

}  // namespace

void set_memory_calls(const MemoryCalls* replacement) {
    active_calls.store(replacement != nullptr ? replacement : &kernel_calls,
                       std::memory_order_release);
}

MemoryCounters& memory_counters() { return counters; }

std::size_t memory_limit() {
    std::size_t least = SIZE_MAX;
    for (const auto resource : {RLIMIT_AS, RLIMIT_DATA}) {
        rlimit limit{};
        if (getrlimit(resource, &limit) == 0 && limit.rlim_cur < least) least = limit.rlim_cur;
    }
    return least;
}

void* reserve(std::size_t bytes, std::size_t alignment) {
    return map_aligned(bytes, alignment, PROT_NONE);
}

// [commit]
// What is reserved is charged when it becomes writable. Mapping over it (MAP_FIXED) would do, too;
// but kernels before 6.12 unmap what is there before they refuse, and others may then get it.
bool commit(void* start, std::size_t bytes) {
    count(counters.protect);
    return succeeded(calls().protect(start, bytes, PROT_READ | PROT_WRITE) == 0);
}
// [/commit]

void* map(std::size_t bytes, std::size_t alignment) {
    return map_aligned(bytes, alignment, PROT_READ | PROT_WRITE);
}

bool unmap(void* start, std::size_t bytes) {
    count(counters.unmap);
    return succeeded(calls().unmap(start, bytes) == 0);
}

bool resize_in_place(void* start, std::size_t old_bytes, std::size_t bytes) {
    count(counters.remap);
    return succeeded(calls().remap(start, old_bytes, bytes, 0, nullptr) != MAP_FAILED);
}

bool move(void* start, std::size_t old_bytes, void* target, std::size_t bytes) {
    count(counters.remap);
    return succeeded(calls().remap(start, old_bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
                                   target) != MAP_FAILED);
}

bool purge(void* start, std::size_t bytes) {
    count(counters.purge);
    const bool purged = succeeded(calls().advise(start, bytes, MADV_DONTNEED) == 0);
    if (purged) count(counters.purged_bytes, bytes);
    return purged;
}

// [populate]
void populate(void* start, std::size_t bytes) {
    // A kernel that does not know the advice, or a filter that forbids it, will not think again.
    static constinit std::atomic<bool> possible{true};
    if (!possible.load(std::memory_order_relaxed)) return;
    count(counters.populate);
    constexpr int populate_write = 23;  // MADV_POPULATE_WRITE; older headers have no name for it
    const int saved_errno = errno;
    if (calls().advise(start, bytes, populate_write) == 0) return;
    if (errno != ENOMEM && errno != EAGAIN) possible.store(false, std::memory_order_relaxed);
    errno = saved_errno;
}
// [/populate]

bool prefer_pages(void* start, std::size_t bytes, PageSize size) {
    count(counters.prefer);
    const int advice = size == PageSize::huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE;
    return succeeded(calls().advise(start, bytes, advice) == 0);
}

bool residency(const void* start, std::size_t bytes, unsigned char* pages) {
    // mincore takes a pointer that is not const, and only reads through the page tables.
    return calls().residency(const_cast<void*>(start), bytes, pages) == 0;
}

}  // namespace hakmem::os
