#include "back/meta_arena.hpp"

#include "base/attributes.hpp"
#include "base/lock_rank.hpp"
#include "os/virtual_memory.hpp"

namespace hakmem::back::meta_arena {

namespace {

constexpr std::size_t first_chunk_bytes = 224 * base::kibibyte;
// Two thread heaps with their pages fit, so that their records lie together. No huge page does: the
// first touch would make it resident where the kernel gives them unasked.
constexpr std::size_t chunk_bytes_max = 8 * first_chunk_bytes;
static_assert(chunk_bytes_max < 2 * base::mebibyte);

// Stands at the start of its chunk.
struct Chunk {
    Chunk* older;  // const: the chunk made before
    char* next;    // first byte behind the records
    char* pages;   // first of the pages
    char* end;     // const
};

constexpr std::size_t header_bytes = base::cache_line_bytes;
static_assert(sizeof(Chunk) <= header_bytes);

constinit os::FutexLock lock{base::LockRank::meta_arena};
constinit Chunk* newest HAK_GUARDED_BY(lock) = nullptr;
constinit std::size_t chunk_bytes HAK_GUARDED_BY(lock) = first_chunk_bytes;

std::size_t room(const Chunk* chunk) {
    return chunk == nullptr ? 0 : static_cast<std::size_t>(chunk->pages - chunk->next);
}

// [chunk]
// Chunks double up to a limit. Where memory is short a chunk of just the needed size will do.
Chunk* add_chunk(std::size_t needed) HAK_REQUIRES(lock) {
    needed = base::round_up(needed + header_bytes, base::page_bytes);
    std::size_t bytes = chunk_bytes > needed ? chunk_bytes : needed;
    void* memory = os::map(bytes);
    if (memory == nullptr && bytes > needed) memory = os::map(bytes = needed);
    if (memory == nullptr) return nullptr;
    if (chunk_bytes < chunk_bytes_max) chunk_bytes *= 2;
    char* const start = static_cast<char*>(memory);
    Chunk* const chunk = reinterpret_cast<Chunk*>(start);
    *chunk = {newest, start + header_bytes, start + bytes, start + bytes};
    newest = chunk;
    return chunk;
}
// [/chunk]

// A chunk with so much room, or null.
Chunk* chunk_with_room(std::size_t bytes) HAK_REQUIRES(lock) {
    return room(newest) >= bytes ? newest : add_chunk(bytes);
}

}  // namespace

// [allocate]
RecordAndPages allocate_both(std::size_t record_bytes, std::size_t pages_bytes) {
    record_bytes = base::round_up(record_bytes, base::cache_line_bytes);
    pages_bytes = base::round_up(pages_bytes, base::page_bytes);
    os::LockGuard guard(lock);
    Chunk* const chunk = chunk_with_room(record_bytes + pages_bytes);
    if (chunk == nullptr) return {nullptr, nullptr};
    char* const record = chunk->next;
    chunk->next += record_bytes;
    chunk->pages -= pages_bytes;
    return {record, chunk->pages};
}

void* allocate(std::size_t bytes) { return allocate_both(bytes, 0).record; }
// [/allocate]

void for_each_chunk(void (*visitor)(const void* start, std::size_t bytes, void* context),
                    void* context) {
    os::LockGuard guard(lock);
    for (const Chunk* chunk = newest; chunk != nullptr; chunk = chunk->older) {
        const char* const start = reinterpret_cast<const char*>(chunk);
        visitor(start, static_cast<std::size_t>(chunk->end - start), context);
    }
}

const char* validate() {
    os::LockGuard guard(lock);
    for (const Chunk* chunk = newest; chunk != nullptr; chunk = chunk->older) {
        const char* const start = reinterpret_cast<const char*>(chunk);
        const bool holds = start + header_bytes <= chunk->next && chunk->next <= chunk->pages &&
                           chunk->pages <= chunk->end;
        if (!holds) return "meta_arena I1";
    }
    return nullptr;
}

os::FutexLock& fork_lock() { return lock; }

}  // namespace hakmem::back::meta_arena
