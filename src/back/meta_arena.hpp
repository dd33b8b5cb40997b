/**
 * @file meta_arena.hpp
 * @box meta_arena — memory for the allocator's own records
 *
 * An allocator that kept its records in memory from malloc would call itself, as the recorded
 * phases once did: the pool grew by realloc, which initialised the pool, which grew by realloc.
 * Here the metadata come from mmap and nowhere else, through a bump pointer:
 *
 *     chunk: | Chunk header | record | record | ……… free ……… |
 *                                             ▲ next           ▲ end
 *
 * Records are *type-stable*: the memory of a record never becomes anything else and is never
 * unmapped, so a thread that still holds a pointer to a record which went out of use reads a
 * record, not garbage. Whoever keeps much in a record asks for whole pages, and may give their
 * contents back (os::purge) while zeros are a valid state of it.
 *
 * @owns      the chunks
 * @calls     base/attributes base/lock_rank base/units os/futex_lock os/virtual_memory
 * @threads   any; one lock
 * @invariant I1 every chunk's next pointer lies within the chunk
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
 * @param alignment Power of two, at most the page size.
 * @return The memory, or null.
 */
void* allocate(std::size_t bytes, std::size_t alignment = base::cache_line_bytes);

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
