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
    CLI::App app("Threads that replace blocks, each in a work set of its own.",
                 "bench_mid_threads");
    std::uint64_t operations = 0;
    std::size_t threads = 2;
    std::size_t workset = 64;
    Sizes sizes;
    app.add_option("OPERATIONS", operations, "pairs of free and malloc, of all threads together")
        ->required()
        ->check(programs::operations_range);
    app.add_option("--threads", threads, "(2)")->check(programs::threads_range);
    app.add_option("--workset", workset, "blocks of each thread (64)")
        ->check(programs::count_range);
    app.add_option("--smallest", sizes.smallest, "block, in bytes (1024)")
        ->check(programs::size_range);
    app.add_option("--largest", sizes.largest, "block, in bytes (32768)")
        ->check(programs::size_range);
    app.callback([&] {
        if (sizes.smallest > sizes.largest) {
            throw CLI::ValidationError("--smallest", "is larger than --largest");
        }
    });
    return programs::main_of(app, argc, argv, [&] {
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
