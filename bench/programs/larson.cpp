// bench_larson OPERATIONS [--threads N] [--blocks N] [--smallest N] [--largest N] [--generations N]
//
// A server after Larson and Krishnan ("Memory Allocation for Long-Running Server Applications",
// 1998): threads replace random blocks of a set, end, and leave the set to a successor. Most blocks
// are freed by a thread that did not allocate them, and heaps change hands at each generation.
#include "program.hpp"

#include <thread>
#include <vector>

namespace {

struct Sizes {
    std::uint32_t smallest = 8;
    std::uint32_t largest = 1000;
};

void serve(std::vector<char*>& blocks, std::uint64_t operations, Sizes sizes, std::uint64_t seed) {
    programs::Random random(seed);
    const auto count = static_cast<std::uint32_t>(blocks.size());
    for (std::uint64_t operation = 0; operation < operations; ++operation) {
        char*& block = blocks[random.below(count)];
        std::free(block);
        block = programs::allocate(random.between(sizes.smallest, sizes.largest));
        *block = static_cast<char>(operation);
    }
}

}  // namespace

int main(int argc, char** argv) {
    programs::Arguments arguments("bench_larson", "A server whose threads hand their blocks on.");
    std::uint64_t operations = 0;
    std::size_t threads = 2;
    std::size_t blocks = 1000;
    std::uint64_t generations = 10;
    Sizes sizes;
    arguments.required("OPERATIONS", operations,
                       "pairs of free and malloc, of all threads together",
                       programs::operations_range);
    arguments.optional("--threads", threads, "alive at a time (2)", programs::threads_range);
    arguments.optional("--blocks", blocks, "of each thread (1000)", programs::count_range);
    arguments.sizes(sizes.smallest, "block, in bytes (8)", sizes.largest, "block, in bytes (1000)");
    arguments.optional("--generations", generations, "of threads (10)", programs::count_range);
    return arguments.run(argc, argv, [&] {
        std::vector<std::vector<char*>> sets(threads, std::vector<char*>(blocks));
        const std::uint64_t share = operations / (threads * generations) + 1;
        const programs::Meter meter;
        for (std::uint64_t generation = 0; generation < generations; ++generation) {
            std::vector<std::thread> servers;
            for (std::size_t place = 0; place < threads; ++place) {
                servers.emplace_back(serve, std::ref(sets[place]), share, sizes,
                                     generation * threads + place);
            }
            for (std::thread& server : servers) server.join();
        }
        programs::Outcome outcome{share * threads * generations, meter.stop()};
        for (const std::vector<char*>& set : sets) {
            for (char* const block : set) std::free(block);
        }
        return outcome;
    });
}
