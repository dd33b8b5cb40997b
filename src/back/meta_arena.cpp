#include "back/meta_arena.hpp"

#include <cstdint>

#include "base/attributes.hpp"
#include "base/lock_rank.hpp"
#include "os/virtual_memory.hpp"

namespace hakmem::back::meta_arena {

namespace {

constexpr std::size_t first_chunk_bytes = 256 * base::kibibyte;
constexpr std::size_t chunk_bytes_max = 4 * base::mebibyte;

// Stands at the start of its chunk.
struct Chunk {
    Chunk* older;  // const: the chunk made before
    char* next;    // first byte not handed out
    char* end;     // const
};

constinit os::FutexLock lock{base::LockRank::meta_arena};
constinit Chunk* newest HAK_GUARDED_BY(lock) = nullptr;
constinit std::size_t chunk_bytes HAK_GUARDED_BY(lock) = first_chunk_bytes;

char* align(char* address, std::size_t alignment) {
    return address + (-reinterpret_cast<std::uintptr_t>(address) & (alignment - 1));
}

bool fits(const Chunk* chunk, std::size_t bytes, std::size_t alignment) {
    if (chunk == nullptr) return false;
    char* const start = align(chunk->next, alignment);
    return start <= chunk->end && static_cast<std::size_t>(chunk->end - start) >= bytes;
}

// [chunk]
// Chunks double up to a limit. Where memory is short a chunk of just the needed size will do.
Chunk* add_chunk(std::size_t needed) HAK_REQUIRES(lock) {
    needed = base::round_up(needed + sizeof(Chunk), base::page_bytes);
    std::size_t bytes = chunk_bytes > needed ? chunk_bytes : needed;
    void* memory = os::map(bytes);
    if (memory == nullptr && bytes > needed) memory = os::map(bytes = needed);
    if (memory == nullptr) return nullptr;
    if (chunk_bytes < chunk_bytes_max) chunk_bytes *= 2;
    char* const start = static_cast<char*>(memory);
    Chunk* const chunk = reinterpret_cast<Chunk*>(start);
    *chunk = {newest, start + sizeof(Chunk), start + bytes};
    newest = chunk;
    return chunk;
}
// [/chunk]

}  // namespace

// [allocate]
void* allocate(std::size_t bytes, std::size_t alignment) {
    os::LockGuard guard(lock);
    Chunk* chunk = newest;
    if (!fits(chunk, bytes, alignment)) chunk = add_chunk(bytes + alignment);
    if (chunk == nullptr) return nullptr;
    char* const start = align(chunk->next, alignment);
    chunk->next = start + bytes;
    return start;
}
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
        if (chunk->next < start + sizeof(Chunk) || chunk->next > chunk->end) return "meta_arena I1";
    }
    return nullptr;
}

os::FutexLock& fork_lock() { return lock; }

}  // namespace hakmem::back::meta_arena
