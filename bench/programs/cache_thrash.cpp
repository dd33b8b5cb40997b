// bench_cache_thrash OPERATIONS [--threads N] [--size N] [--writes N]
//
// After cache-thrash of Berger, McKinley, Blumofe and Wilson ("Hoard: A Scalable Memory Allocator
// for Multithreaded Applications", 2000): each thread allocates a small block, writes it many times
// and frees it. Where an allocator gives threads blocks of one cache line, each write waits for
// another processor, though no block is ever shared. cache_scratch is the same for blocks that were
// passed on; here the allocator alone is at fault.
#include "program.hpp"

#include <thread>
#include <vector>

namespace {

void thrash(std::size_t bytes, std::uint64_t operations, std::uint32_t writes) {
    for (std::uint64_t operation = 0; operation < operations; ++operation) {
        char* const block = programs::allocate(bytes);
        for (std::uint32_t written = 0; written < writes; ++written) {
            auto* const byte = static_cast<volatile char*>(block) + written % bytes;
            *byte = static_cast<char>(written);
        }
        std::free(block);
    }
}

}  // namespace

int main(int argc, char** argv) {
    programs::Arguments arguments("bench_cache_thrash",
                                  "Threads that write small blocks of their own.");
    std::uint64_t operations = 0;
    std::size_t threads = 2;
    std::size_t size = 8;
    std::uint32_t writes = 100;
    arguments.required("OPERATIONS", operations,
                       "pairs of malloc and free, of all threads together",
                       programs::operations_range);
    arguments.optional("--threads", threads, "(2)", programs::threads_range);
    arguments.optional("--size", size, "of a block, in bytes (8)", programs::size_range);
    arguments.optional("--writes", writes, "to each block (100)", programs::count_range);
    return arguments.run(argc, argv, [&] {
        const std::uint64_t share = operations / threads + 1;
        std::vector<std::thread> workers;
        const programs::Meter meter;
        for (std::size_t place = 0; place < threads; ++place) {
            workers.emplace_back(thrash, size, share, writes);
        }
        for (std::thread& worker : workers) worker.join();
        return programs::Outcome{share * threads, meter.stop()};
    });
}
