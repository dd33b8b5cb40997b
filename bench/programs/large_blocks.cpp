// bench_large_blocks OPERATIONS [--workset N] [--smallest N] [--largest N]
//
// Replaces random blocks of 64 KiB to 8 MiB and writes each page of them: what it costs to get
// large memory, and whether that of a freed block is used again.
#include "program.hpp"

#include <vector>

namespace {

constexpr std::size_t page_bytes = 4096;

}  // namespace

int main(int argc, char** argv) {
    programs::Arguments arguments("bench_large_blocks", "Replaces large blocks at random.");
    std::uint64_t operations = 0;
    std::size_t workset = 16;
    std::uint32_t smallest = 64U << 10U;
    std::uint32_t largest = 8U << 20U;
    arguments.required("OPERATIONS", operations, "pairs of free and malloc",
                       programs::operations_range);
    arguments.optional("--workset", workset, "blocks alive at a time (16)", programs::count_range);
    arguments.sizes(smallest, "block, in bytes (64 KiB)", largest, "block, in bytes (8 MiB)");
    return arguments.run(argc, argv, [&] {
        std::vector<char*> blocks(workset);
        programs::Random random(1);
        const programs::Meter meter;
        for (std::uint64_t operation = 0; operation < operations; ++operation) {
            char*& block = blocks[random.below(static_cast<std::uint32_t>(workset))];
            const std::size_t bytes = random.between(smallest, largest);
            std::free(block);
            block = programs::allocate(bytes);
            for (std::size_t at = 0; at < bytes; at += page_bytes) {
                block[at] = static_cast<char>(operation);
            }
        }
        programs::Outcome outcome{operations, meter.stop()};
        for (char* const block : blocks) std::free(block);
        return outcome;
    });
}
