/**
 * @file
 * The allocator under test, as a table of functions.
 *
 * The model knows no allocator. It calls through this table, so one driver serves the preloaded
 * library, the static one, the boxes of a sanitizer build, any peer, and the deliberately broken
 * allocators of mutants.cpp, which prove that the model can fail.
 */
#pragma once

#include <cstddef>
#include <string>

namespace hakmem::model {

struct Subject {
    void* (*malloc)(std::size_t size);
    void* (*calloc)(std::size_t count, std::size_t size);
    void* (*realloc)(void* block, std::size_t size);
    void* (*aligned_alloc)(std::size_t alignment, std::size_t size);
    int (*posix_memalign)(void** out, std::size_t alignment, std::size_t size);
    void* (*memalign)(std::size_t alignment, std::size_t size);
    /** operator new; an alignment of 0 means the plain form. */
    void* (*create)(std::size_t size, std::size_t alignment);
    /** Sized operator delete, the counterpart of create. */
    void (*destroy)(void* block, std::size_t size, std::size_t alignment);
    void (*free)(void* block);
    std::size_t (*usable_size)(void* block);
    int (*trim)();
    /** Checks the heap's own invariants, 0 when they hold; null where there is no such check. */
    int (*validate)();
};

/** The allocator that this program is linked to, or runs under. */
const Subject& real_subject();

/** Names it: version of HAKMEM, or "not HAKMEM". */
std::string real_subject_name();

/** True when real_subject() is HAKMEM. */
bool real_subject_is_hakmem();

}  // namespace hakmem::model
