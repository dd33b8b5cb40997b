// Allocates and frees in pairs that always hit, for callgrind to count. Each round of pairs is one
// dump of its counters, named after the pair and the size.
#include <valgrind/callgrind.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <new>

namespace {

constexpr std::size_t sizes[] = {16, 24, 32, 64, 256, 1024};
constexpr int warm_up_pairs = 1000;

// The compiler may not know that the block goes straight back.
void* hide(void* block) {
    asm volatile("" : "+r"(block));
    return block;
}

void c_pair(std::size_t bytes) { free(hide(malloc(bytes))); }
void cpp_pair(std::size_t bytes) { ::operator delete(hide(::operator new(bytes))); }
void sized_pair(std::size_t bytes) { ::operator delete(hide(::operator new(bytes)), bytes); }

}  // namespace

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

namespace {

void known(std::size_t) { four_instructions(); }

struct Kind {
    const char* name;
    void (*pair)(std::size_t bytes);
};
constexpr Kind kinds[] = {
    {"known", known}, {"c", c_pair}, {"cpp", cpp_pair}, {"cpp_sized", sized_pair}};

void count(const Kind& kind, std::size_t bytes, int pairs) {
    char label[64];
    std::snprintf(label, sizeof label, "%s %zu", kind.name, bytes);
    for (int i = 0; i < warm_up_pairs; i++) kind.pair(bytes);
    CALLGRIND_ZERO_STATS;
    for (int i = 0; i < pairs; i++) kind.pair(bytes);
    CALLGRIND_DUMP_STATS_AT(label);
}

}  // namespace

int main(int argc, char** argv) {
    const int pairs = argc > 1 ? std::atoi(argv[1]) : 1;
    for (const Kind& kind : kinds) {
        for (const std::size_t bytes : sizes) count(kind, bytes, pairs);
    }
}
