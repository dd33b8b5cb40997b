#include "gate/external_guard.hpp"

#include <atomic>
#include <cerrno>
#include <cstdint>

#include "back/page_map.hpp"
#include "base/attributes.hpp"
#include "base/units.hpp"
#include "middle/misuse.hpp"
#include "os/environment.hpp"
#include "os/raw_log.hpp"
#include "os/real_libc.hpp"
#include "os/virtual_memory.hpp"

namespace hakmem::gate::external_guard {

// Weak, so that the library of a phase that has the option can say so.
[[gnu::weak]] extern bool asks_by_option;
constinit bool asks_by_option = false;

namespace {

constinit std::atomic<bool> said{false};
constinit std::atomic<std::uint64_t> calls{0};
constinit std::atomic<std::uint64_t> probes{0};
constinit std::atomic<std::uint64_t> handed{0};

void count(std::atomic<std::uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

bool may_be_a_block(const void* pointer) {
    const auto address = reinterpret_cast<std::uintptr_t>(pointer);
    return address % base::block_alignment == 0 && address >= base::unit_bytes &&
           back::page_map::is_user_address(address);
}

// A large block that was freed may have been unmapped since, and nothing knows of it any more. The
// C library would read in front of it.
bool is_mapped(const void* pointer) {
    count(probes);
    const auto page = reinterpret_cast<std::uintptr_t>(pointer) / base::page_bytes;
    unsigned char resident = 0;
    return os::residency(reinterpret_cast<const void*>(page * base::page_bytes), base::page_bytes,
                         &resident);
}

bool asks_the_kernel() { return !asks_by_option || os::options().external_guard_mincore != 0; }

// [policy]
// Whether the C library should see the pointer. Ends the process if nobody may.
HAK_SLOW bool goes_to_libc(const void* pointer) {
    count(calls);
    const auto policy = static_cast<os::ForeignPolicy>(os::options().foreign);
    if (policy == os::ForeignPolicy::ignore) return false;
    if (policy == os::ForeignPolicy::abort || !may_be_a_block(pointer)) {
        hak_abort_foreign_free(pointer);
    }
    if (asks_the_kernel() && !is_mapped(pointer)) hak_abort_invalid_free(pointer, 0);
    count(handed);
    if (os::options().external_guard_log != 0) {
        os::Message() << "foreign pointer " << pointer << " handed to the C library";
    } else if (!said.exchange(true, std::memory_order_relaxed)) {
        os::Message() << "foreign pointer " << pointer
                      << " handed to the C library, as all later ones will be; "
                         "see docs: misuse#foreign-free";
    }
    return true;
}
// [/policy]

}  // namespace

void release(void* pointer) {
    if (goes_to_libc(pointer) && !os::libc_free(pointer)) hak_abort_foreign_free(pointer);
}

void* reallocate(void* pointer, std::size_t bytes) {
    void* result = nullptr;
    if (!goes_to_libc(pointer)) {
        errno = ENOMEM;
    } else if (!os::libc_realloc(pointer, bytes, result)) {
        hak_abort_foreign_free(pointer);
    }
    return result;
}

std::size_t usable_bytes(const void* pointer) {
    std::size_t bytes = 0;
    if (goes_to_libc(pointer) && !os::libc_usable_size(pointer, bytes)) {
        hak_abort_foreign_free(pointer);
    }
    return bytes;
}

Counts counts() {
    return {calls.load(std::memory_order_relaxed), probes.load(std::memory_order_relaxed),
            handed.load(std::memory_order_relaxed)};
}

void print_statistics() {
    const Counts seen = counts();
    os::Message() << "external_guard: calls=" << seen.calls << " mincore=" << seen.probes
                  << " handed_to_libc=" << seen.handed;
}

}  // namespace hakmem::gate::external_guard
