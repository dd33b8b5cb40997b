/**
 * @file virtual_memory.hpp
 * @box virtual_memory — address space and pages from the kernel
 *
 * Everything above this box sees memory in three states and knows no system call:
 *
 *     reserved   address space that nobody else will get; touching it is a fault
 *     mapped     readable and writable; a page costs memory from its first touch on
 *     purged     mapped, but its pages were given back: it reads as zero again
 *
 *     reserve ──commit──▶ mapped ──touch──▶ resident ──purge──▶ mapped
 *
 * Reserving first and mapping in steps matters under limits. A strict-overcommit system charges
 * what is mapped, not what is reserved, and `ulimit -v` counts both, so reservations must be modest
 * too. The calls go through a table, so that a test can make any one of them fail.
 *
 * @owns      the table of system calls and their counters
 * @calls     base/units
 * @threads   any; no state but atomic counters
 * @invariant none
 * @failure   a function that is needed says by its result that the kernel refused; nothing is half
 *            done
 * @cost      one or two system calls
 * @phase     introduced in 16; populate in 20
 */
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/units.hpp"

namespace hakmem::os {

// [seam]
/** The outward calls for memory; their signatures are those of the C library. */
struct MemoryCalls {
    void* (*map)(void* address, std::size_t bytes, int protection, int flags, int file,
                 off_t offset);                      ///< mmap
    int (*unmap)(void* address, std::size_t bytes);  ///< munmap
    void* (*remap)(void* old_address, std::size_t old_bytes, std::size_t bytes, int flags,
                   void* address);                                             ///< mremap
    int (*advise)(void* address, std::size_t bytes, int advice);               ///< madvise
    int (*residency)(void* address, std::size_t bytes, unsigned char* pages);  ///< mincore
    int (*protect)(void* address, std::size_t bytes, int protection);          ///< mprotect
};
// [/seam]

/**
 * Replaces the outward calls: the seam for fault injection.
 * @param calls The calls, which must outlive their use; null restores the kernel's.
 */
void set_memory_calls(const MemoryCalls* calls);

/** How often each kind of system call was made since the start, failures included. */
struct MemoryCounters {
    std::atomic<std::uint64_t> map{0};           ///< mmap calls.
    std::atomic<std::uint64_t> protect{0};       ///< mprotect calls.
    std::atomic<std::uint64_t> unmap{0};         ///< munmap calls.
    std::atomic<std::uint64_t> remap{0};         ///< mremap calls.
    std::atomic<std::uint64_t> purge{0};         ///< madvise calls that give memory back.
    std::atomic<std::uint64_t> prefer{0};        ///< madvise calls about the size of pages.
    std::atomic<std::uint64_t> populate{0};      ///< madvise calls that make pages resident.
    std::atomic<std::uint64_t> purged_bytes{0};  ///< Bytes given back by them.
    std::atomic<std::uint64_t> failed{0};  ///< Calls that the kernel refused, but for populate.
};

/** @return The counters of this process. */
MemoryCounters& memory_counters();

/**
 * Asks for the limits of this process (RLIMIT_AS and RLIMIT_DATA).
 * @return Bytes that it may map at most; SIZE_MAX without a limit.
 */
std::size_t memory_limit();

/**
 * Reserves address space; its pages cannot be touched yet.
 * @param bytes Multiple of the page size.
 * @param alignment Power of two, at least the page size.
 * @return The aligned start, or null.
 */
void* reserve(std::size_t bytes, std::size_t alignment);

/**
 * Makes reserved address space readable and writable; it reads as zero.
 * @param start Page-aligned start within a reservation.
 * @param bytes Multiple of the page size.
 * @return Whether the kernel agreed; if not, it stays reserved.
 */
bool commit(void* start, std::size_t bytes);

/**
 * Maps zeroed memory in one step.
 * @param bytes Multiple of the page size.
 * @param alignment Power of two, at least the page size.
 * @return The aligned start, or null.
 */
void* map(std::size_t bytes, std::size_t alignment = base::page_bytes);

/**
 * Gives address space back, reserved or mapped.
 * @param start Page-aligned start.
 * @param bytes Multiple of the page size.
 * @return Whether the kernel agreed; it refuses only when splitting a mapping needs memory.
 */
bool unmap(void* start, std::size_t bytes);

/**
 * Grows or shrinks a mapping where it stands.
 * @param start Start of the mapping.
 * @param old_bytes Its length.
 * @param bytes The length wanted.
 * @return Whether it has that length. If not, it is as it was, and errno says why: EFAULT for one
 *         that should grow and that the kernel keeps in several areas.
 */
bool resize_in_place(void* start, std::size_t old_bytes, std::size_t bytes);

/**
 * Moves the pages of a mapping to a reservation, without copying them.
 * @param start Start of the mapping; afterwards this is nobody's address space.
 * @param old_bytes Its length.
 * @param target Start of a reservation, which the mapping replaces.
 * @param bytes Length of the reservation and of the mapping afterwards.
 * @return Whether the kernel agreed. If not, the mapping is as it was, and the target is not to be
 *         touched: a kernel may unmap it and then refuse, and others may have it by now.
 */
bool move(void* start, std::size_t old_bytes, void* target, std::size_t bytes);

/**
 * Gives the pages of mapped memory back; it reads as zero afterwards.
 * @param start Page-aligned start.
 * @param bytes Multiple of the page size.
 * @return Whether the kernel agreed; it refuses for locked memory.
 */
bool purge(void* start, std::size_t bytes);

/**
 * Makes fresh pages resident that are about to be written, at less than the price of a fault each.
 * Linux can since 5.14; where it cannot, or may not, the pages come by faults as ever.
 * @param start Page-aligned start of mapped memory.
 * @param bytes Multiple of the page size.
 */
void populate(void* start, std::size_t bytes);

/** The size of the pages that memory shall come in. */
enum class PageSize : bool {
    small,  ///< 4 KiB.
    huge,   ///< 2 MiB, where the kernel has them and such a piece was not touched yet.
};

/**
 * Says in which pages memory is wanted that is touched for the first time from now on. What is
 * resident stays, whatever its pages.
 * @param start Page-aligned start of mapped memory.
 * @param bytes Multiple of the page size.
 * @param size The pages wanted.
 * @return Whether the kernel agreed; it refuses where it knows no huge pages.
 */
bool prefer_pages(void* start, std::size_t bytes, PageSize size);

/**
 * Asks which pages of mapped memory are resident. For reports only.
 * @param start Page-aligned start.
 * @param bytes Multiple of the page size.
 * @param pages One byte a page; bit 0 is set when the page is resident.
 * @return Whether the kernel answered.
 */
bool residency(const void* start, std::size_t bytes, unsigned char* pages);

}  // namespace hakmem::os
