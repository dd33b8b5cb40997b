/**
 * @file early_init.cpp
 * @brief malloc before the constructors and in them.
 *
 * The dynamic linker runs the functions of .preinit_array before any constructor but that of a
 * library which asks to be the first, as the shared one does. With the archive the first malloc
 * comes before the allocator had a chance to initialise itself. Blocks of each stage must live on
 * into main, and be freed there.
 */
#include <array>
#include <string>
#include <vector>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

constexpr std::size_t stage_blocks = 40;

struct Stage {
    std::array<Block, stage_blocks> blocks;

    void fill(std::uint64_t seed) {
        for (std::size_t i = 0; i < blocks.size(); ++i) {
            blocks[i].make(i * i * 97 + 1, seed + i);
        }
        // Every second one goes back at once, and its place is taken again.
        for (std::size_t i = 0; i < blocks.size(); i += 2) {
            blocks[i].release();
            blocks[i].make(3 * i + 1, seed + i);
        }
    }

    void release() {
        for (Block& block : blocks) {
            CHECK(block.start != nullptr);
            block.release();
        }
    }
};

Stage preinit_stage;
Stage first_stage;
Stage default_stage;
Stage last_stage;

[[maybe_unused]] void preinit(int, char**, char**) { preinit_stage.fill(100); }

[[gnu::constructor(101)]] void first_constructor() { first_stage.fill(200); }
[[gnu::constructor]] void default_constructor() { default_stage.fill(300); }
[[gnu::constructor(65535)]] void last_constructor() { last_stage.fill(400); }

/** Ordinary static objects, which allocate by operator new. */
const std::vector<std::string> words(1000, std::string(100, 'w'));

}  // namespace

#ifndef HAKMEM_TEST_API
// A sanitizer's own runtime is not initialised at this point: only interposition can show it.
[[gnu::section(".preinit_array"), gnu::used]] void (*preinit_entry)(int, char**, char**) = preinit;
#endif

int main() {
    subject_require();
    deadline(60);
    if (subject_is_interposed) {
        preinit_stage.release();
    }
    first_stage.release();
    default_stage.release();
    last_stage.release();
    CHECK_EQ(words.size(), 1000);
    for (const std::string& word : words) {
        CHECK(word == std::string(100, 'w'));
    }
    subject_validate();
    return 0;
}
