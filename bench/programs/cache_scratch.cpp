// bench_cache_scratch OPERATIONS [--threads N] [--size N] [--writes N]
//
// After Berger's cache-scratch: one thread allocates small blocks side by side and gives one to
// each thread. A thread writes its block, frees it and asks for another of the same size. Where an
// allocator hands the old line of cache out again, threads that share no block share lines, and
// each write waits for another processor.
#include "program.hpp"

#include <thread>
#include <vector>

namespace {

void scratch(char* block, std::size_t bytes, std::uint64_t operations, std::uint32_t writes) {
    for (std::uint64_t operation = 0; operation < operations; ++operation) {
        for (std::uint32_t written = 0; written < writes; ++written) {
            auto* const byte = static_cast<volatile char*>(block) + written % bytes;
            *byte = static_cast<char>(*byte + 1);
        }
        std::free(block);
        block = programs::allocate(bytes);
    }
    std::free(block);
}

}  // namespace

int main(int argc, char** argv) {
    programs::Arguments arguments("bench_cache_scratch",
                                  "Threads that write small blocks which lay side by side.");
    std::uint64_t operations = 0;
    std::size_t threads = 2;
    std::size_t size = 8;
    std::uint32_t writes = 100;
    arguments.required("OPERATIONS", operations,
                       "pairs of free and malloc, of all threads together",
                       programs::operations_range);
    arguments.optional("--threads", threads, "(2)", programs::threads_range);
    arguments.optional("--size", size, "of a block, in bytes (8)", programs::size_range);
    arguments.optional("--writes", writes, "to each block (100)", programs::count_range);
    return arguments.run(argc, argv, [&] {
        const std::uint64_t share = operations / threads + 1;
        std::vector<char*> blocks(threads);
        for (char*& block : blocks) {
            block = programs::allocate(size);
            *block = 0;
        }
        const programs::Meter meter;
        std::vector<std::thread> workers;
        for (char* const block : blocks) workers.emplace_back(scratch, block, size, share, writes);
        for (std::thread& worker : workers) worker.join();
        return programs::Outcome{share * threads, meter.stop()};
    });
}
