// bench_thread_churn THREADS [--alive N] [--blocks N]
//
// Short-lived threads. Each allocates some blocks, frees every other one and leaves the rest to be
// freed by a thread that comes after it: the cost of making a heap, of ending it, and of blocks
// that outlive it.
#include "program.hpp"

#include <thread>
#include <vector>

namespace {

void live(std::vector<char*>& blocks, std::uint64_t seed) {
    programs::Random random(seed);
    for (char* const left : blocks) std::free(left);
    for (char*& block : blocks) {
        block = programs::allocate(random.between(16, 512));
        *block = static_cast<char>(seed);
    }
    for (std::size_t place = 0; place < blocks.size(); place += 2) {
        std::free(blocks[place]);
        blocks[place] = nullptr;
    }
}

}  // namespace

int main(int argc, char** argv) {
    programs::Arguments arguments("bench_thread_churn",
                                  "Short-lived threads that leave blocks behind.");
    std::uint64_t count = 0;
    std::size_t alive = 2;
    std::size_t blocks = 200;
    arguments.required("THREADS", count, "in all", programs::operations_range);
    arguments.optional("--alive", alive, "threads alive at a time (2)", programs::threads_range);
    arguments.optional("--blocks", blocks, "that each thread allocates (200)",
                       programs::count_range);
    return arguments.run(argc, argv, [&] {
        std::vector<std::vector<char*>> sets(alive, std::vector<char*>(blocks));
        const std::uint64_t generations = count / alive + 1;
        const programs::Meter meter;
        for (std::uint64_t generation = 0; generation < generations; ++generation) {
            std::vector<std::thread> threads;
            for (std::size_t place = 0; place < alive; ++place) {
                threads.emplace_back(live, std::ref(sets[place]), generation * alive + place);
            }
            for (std::thread& thread : threads) thread.join();
        }
        programs::Outcome outcome{generations * alive, meter.stop()};
        for (const std::vector<char*>& set : sets) {
            for (char* const block : set) std::free(block);
        }
        return outcome;
    });
}
