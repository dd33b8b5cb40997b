// Uses the arena of records up but for a few bytes, so that a test may see what a failure takes.
#pragma once

#include <cstddef>

#include "back/meta_arena.hpp"
#include "base/units.hpp"

namespace hakmem::tests {

/**
 * @param bytes What is to be left, a multiple of a cache line.
 * @return Where the next record will lie.
 */
inline char* leave_arena_room(std::size_t bytes) {
    namespace meta_arena = back::meta_arena;
    for (;;) {
        char* const record = static_cast<char*>(meta_arena::allocate(base::cache_line_bytes));
        char* const page = static_cast<char*>(meta_arena::allocate_both(0, base::page_bytes).pages);
        char* const next = record + base::cache_line_bytes;
        if (page < next + bytes) continue;  // too little in this chunk, or another one began
        const auto rest = static_cast<std::size_t>(page - next) - bytes;
        if (rest == 0 || meta_arena::allocate(rest) == next) return page - bytes;
    }
}

}  // namespace hakmem::tests
