/**
 * @file external_guard.hpp
 * @box external_guard — what to do with a pointer that is not ours
 *
 * A replaced malloc sees blocks that it did not make. Crashing on them would be correct and
 * useless; ignoring them leaks; so by default they go to the C library that made them, and the
 * first one is mentioned, since it tells of two allocators in one process. The option `foreign`
 * chooses otherwise.
 *
 * A value that no malloc can have returned (misaligned, below the first unit, above user space) is
 * not handed on: the C library would only crash without a name. Nor is one that points to no memory
 * at all, such as a large block that was freed and unmapped. They are reported as what they are.
 * For the latter the kernel is asked, by mincore. Phase 15 leaves that to an option, which is off
 * by default as in the record; there such a pointer crashes in the C library.
 *
 * No way leads back: what the C library is handed goes to its own functions (os/real_libc), not to
 * the `free` that the program calls. In a program whose blocks all come from here the guard is
 * never called; its counts (HAKMEM_EXTERNAL_GUARD_STATS) tell of blocks that leak past the gate.
 *
 * @owns      whether it has been said; the counts
 * @calls     back/page_map base/attributes base/units middle/misuse os/environment os/raw_log
 *            os/real_libc os/virtual_memory
 * @threads   any
 * @invariant none
 * @failure   where there is no C library to hand a pointer to, the process ends with its name
 * @cost      rare: not measured
 * @phase     recorded in 15; completed in 16
 */
#pragma once

#include <cstddef>
#include <cstdint>

namespace hakmem::gate::external_guard {

/**
 * Frees a foreign block by the option's choice.
 * @param pointer A pointer whose entry is EXTERNAL, not null.
 */
void release(void* pointer);

/**
 * Reallocates a foreign block by the option's choice.
 * @param pointer A pointer whose entry is EXTERNAL, not null.
 * @param bytes Size wanted.
 * @return What the C library's realloc returned; null with errno ENOMEM if foreign blocks are
 *         ignored.
 */
void* reallocate(void* pointer, std::size_t bytes);

/**
 * @param pointer A pointer whose entry is EXTERNAL, not null.
 * @return What the C library says; 0 if it was not asked.
 */
std::size_t usable_bytes(const void* pointer);

/** Whether the kernel is asked only if the option says so; else it always is. Nobody writes it. */
extern bool asks_by_option;

/** What came to the guard since the process began. */
struct Counts {
    std::uint64_t calls;   ///< Foreign pointers, whatever was to be done with them.
    std::uint64_t probes;  ///< Times that the kernel was asked.
    std::uint64_t handed;  ///< Pointers that the C library got.
};

/** @return The counts. */
Counts counts();

/** Prints the counts. */
void print_statistics();

}  // namespace hakmem::gate::external_guard
