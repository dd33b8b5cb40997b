// Rounds of pairs for callgrind to count. Each round is one dump of its counters, named after the
// pair and the size.
#pragma once

#include <valgrind/callgrind.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>

// Four instructions, whatever the compiler: what the counting itself is measured by.
asm(".text\n"
    ".type four_instructions, @function\n"
    "four_instructions:\n"
    "    nop\n"
    "    nop\n"
    "    nop\n"
    "    ret\n"
    ".size four_instructions, .-four_instructions\n");
extern "C" void four_instructions();

namespace counted {

/** A kind of pair; it allocates and frees one block that the compiler knows nothing of. */
struct Kind {
    const char* name;
    void (*pair)(std::size_t bytes);
};

constexpr Kind known = {"known", [](std::size_t) { four_instructions(); }};

// The compiler may not know that the block goes straight back.
inline void* hide(void* block) {
    asm volatile("" : "+r"(block));
    return block;
}

inline void count(const Kind& kind, std::size_t bytes, int pairs) {
    constexpr int warm_up_pairs = 1000;
    char label[64];
    std::snprintf(label, sizeof label, "%s %zu", kind.name, bytes);
    for (int i = 0; i < warm_up_pairs; i++) kind.pair(bytes);
    CALLGRIND_ZERO_STATS;
    for (int i = 0; i < pairs; i++) kind.pair(bytes);
    CALLGRIND_DUMP_STATS_AT(label);
}

/** @return How many pairs the command line asks for. */
inline int pairs(int argc, char** argv) { return argc > 1 ? std::atoi(argv[1]) : 1; }

}  // namespace counted
