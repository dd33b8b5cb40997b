// bench_mid_threads OPERATIONS [--threads N] [--workset N] [--smallest N] [--largest N]
//
// Threads that replace random blocks of 1 to 32 KiB, or of other sizes, each in a work set of its
// own. Each page of a block is written once: blocks of this size are asked for to be filled.
#include "program.hpp"

#include <thread>
#include <vector>

namespace {

struct Sizes {
    std::uint32_t smallest = 1024;
    std::uint32_t largest = 32 * 1024;
};
constexpr std::size_t page_bytes = 4096;

void replace(std::size_t workset, std::uint64_t operations, Sizes sizes, std::uint64_t seed) {
    std::vector<char*> blocks(workset);
    programs::Random random(seed);
    for (std::uint64_t operation = 0; operation < operations; ++operation) {
        char*& block = blocks[random.below(static_cast<std::uint32_t>(workset))];
        const std::size_t bytes = random.between(sizes.smallest, sizes.largest);
        std::free(block);
        block = programs::allocate(bytes);
        for (std::size_t at = 0; at < bytes; at += page_bytes) {
            block[at] = static_cast<char>(operation);
        }
    }
    for (char* const block : blocks) std::free(block);
}

}  // namespace

int main(int argc, char** argv) {
    programs::Arguments arguments("bench_mid_threads",
                                  "Threads that replace blocks, each in a work set of its own.");
    std::uint64_t operations = 0;
    std::size_t threads = 2;
    std::size_t workset = 64;
    Sizes sizes;
    arguments.required("OPERATIONS", operations,
                       "pairs of free and malloc, of all threads together",
                       programs::operations_range);
    arguments.optional("--threads", threads, "(2)", programs::threads_range);
    arguments.optional("--workset", workset, "blocks of each thread (64)", programs::count_range);
    arguments.sizes(sizes.smallest, "block, in bytes (1024)", sizes.largest,
                    "block, in bytes (32768)");
    return arguments.run(argc, argv, [&] {
        const std::uint64_t share = operations / threads + 1;
        const programs::Meter meter;
        std::vector<std::thread> workers;
        for (std::size_t place = 0; place < threads; ++place) {
            workers.emplace_back(replace, workset, share, sizes, place);
        }
        for (std::thread& worker : workers) worker.join();
        return programs::Outcome{share * threads, meter.stop()};
    });
}
