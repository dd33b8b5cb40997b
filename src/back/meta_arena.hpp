/**
 * @file meta_arena.hpp
 * @box meta_arena — memory for the allocator's own records
 *
 * An allocator that kept its records in memory from malloc would call itself, as the recorded
 * phases once did: the pool grew by realloc, which initialised the pool, which grew by realloc.
 * Here the metadata come from mmap and nowhere else. Records are cut from the front of a chunk,
 * whole pages from its back:
 *
 *     chunk: | Chunk header | record | record | ……… free ……… | pages | pages |
 *                                             ▲ next         ▲ pages         ▲ end
 *
 * Records are *type-stable*: the memory of a record never becomes anything else and is never
 * unmapped, so a thread that still holds a pointer to a record which went out of use reads a
 * record, not garbage. Whoever keeps much in a record asks for whole pages, and may give their
 * contents back (os::purge) while zeros are a valid state of it. The two kinds lie apart so that
 * small records, which stay, share pages with each other.
 *
 * @owns      the chunks
 * @calls     base/attributes base/lock_rank base/units os/futex_lock os/virtual_memory
 * @threads   any; one lock
 * @invariant I1 a chunk's records end where its pages begin or before, and both lie within it
 * @failure   null when the kernel gives no more memory; nothing is lost
 * @cost      an uncontended lock and a few instructions; a system call once a chunk
 * @phase     introduced in 16
 */
#pragma once

#include <cstddef>

#include "base/units.hpp"
#include "os/futex_lock.hpp"

namespace hakmem::back::meta_arena {

/**
 * Takes zeroed memory for a record that lives for ever.
 * @param bytes Any size above 0.
 * @return The memory, which begins a cache line; or null.
 */
void* allocate(std::size_t bytes);

/** A record and the pages that go with it. */
struct RecordAndPages {
    void* record;  ///< Null when there was no memory for both.
    void* pages;   ///< Null likewise.
};

/**
 * Takes a record and zeroed pages, or neither. They live for ever; the contents of the pages may be
 * purged.
 * @param record_bytes As for allocate(); 0 if only pages are wanted.
 * @param pages_bytes Any size; it is rounded up to whole pages.
 * @return Both, or nulls.
 */
RecordAndPages allocate_both(std::size_t record_bytes, std::size_t pages_bytes);

/**
 * Visits the mapped memory of all chunks.
 * @param visitor Called with start and length of each chunk.
 * @param context Passed through.
 */
void for_each_chunk(void (*visitor)(const void* start, std::size_t bytes, void* context),
                    void* context);

/** @return The name of the first invariant that does not hold, or null. */
const char* validate();

/** @return This box's lock, for fork. */
os::FutexLock& fork_lock();

}  // namespace hakmem::back::meta_arena
