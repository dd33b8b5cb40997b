// bench_operations ROUNDS [--blocks N]
//
// Every kind of operation that threads do to each other's memory, to be traced and not to be timed:
// of all threads only one runs at a time, so that each access of a trace has its thread. The
// functions below say whose turn it is; a trace shows that they were called, and the line of JSON
// says where they lie.
#include "program.hpp"

#include <pthread.h>

#include <barrier>
#include <functional>
#include <thread>
#include <vector>

namespace {

// What they contain keeps the linker from taking them for one function.
[[gnu::noinline]] void scene_begins() { asm volatile("# a scene"); }
[[gnu::noinline]] void scene_ends() { asm volatile("# no scene"); }
[[gnu::noinline]] void first_runs() { asm volatile("# first"); }
[[gnu::noinline]] void second_runs() { asm volatile("# second"); }
[[gnu::noinline]] void another_runs() { asm volatile("# another"); }

constexpr std::size_t usual_bytes = 64;
constexpr std::size_t mapped_bytes = std::size_t{4} << 20U;
using Blocks = std::vector<char*>;

void fill(Blocks& blocks, std::size_t bytes = usual_bytes) {
    for (char*& block : blocks) block = programs::allocate(bytes);
}

void empty(const Blocks& blocks) {
    for (char* const block : blocks) std::free(block);
}

/** A thread that does what it is told, while who tells it waits. */
class Second {
public:
    Second()
        : thread_([this] {
              for (;;) {
                  turn_.arrive_and_wait();
                  if (!work_) return;
                  second_runs();
                  work_();
                  turn_.arrive_and_wait();
              }
          }) {}
    Second(const Second&) = delete;
    Second& operator=(const Second&) = delete;
    ~Second() {
        work_ = nullptr;
        turn_.arrive_and_wait();
        thread_.join();
    }

    void run(std::function<void()> work) {
        work_ = std::move(work);
        turn_.arrive_and_wait();
        turn_.arrive_and_wait();
        first_runs();
    }

private:
    std::barrier<> turn_{2};
    std::function<void()> work_;
    std::thread thread_;
};

/** A thread that begins when the one before has ended, and frees what that one left. */
void* succeed(void* left) {
    another_runs();
    auto& blocks = *static_cast<Blocks*>(left);
    empty(blocks);
    fill(blocks);
    return nullptr;
}

void play(std::uint64_t rounds, std::size_t count) {
    Second second;
    Blocks mine(count);
    Blocks its(count);
    const auto scene = [&](const std::function<void()>& round) {
        round();  // once for what happens the first time only
        scene_begins();
        for (std::uint64_t i = 0; i < rounds; ++i) round();
        scene_ends();
    };
    first_runs();
    // Each for itself: hits, refills and flushes, and a mapping.
    const auto own = [](Blocks& blocks) {
        fill(blocks);
        empty(blocks);
        std::free(programs::allocate(mapped_bytes));
    };
    scene([&] {
        own(mine);
        second.run([&] { own(its); });
    });
    // One allocates, the other one frees half of it.
    Blocks kept(count);
    scene([&] {
        fill(mine);
        fill(kept);
        second.run([&] { empty(mine); });
        empty(kept);
    });
    // Each grows and shrinks: memory comes from what all share, and goes back to it.
    scene([&] {
        Blocks more(8 * count);
        fill(more);
        second.run([&] {
            Blocks as_much(more.size());
            fill(as_much);
            empty(as_much);
        });
        empty(more);
    });
    // Of a size that was not used before, so that magazines have not grown as yet.
    constexpr std::size_t largest_bytes = std::size_t{16} << 10U;  // after which it begins again
    std::size_t unused_bytes = 0;
    Blocks some(100);
    scene([&] {
        unused_bytes = unused_bytes % largest_bytes + 2 * usual_bytes;
        fill(some, unused_bytes);
        empty(some);
    });
    // Threads follow each other.
    fill(mine);
    scene([&] {
        pthread_t thread{};
        if (pthread_create(&thread, nullptr, succeed, &mine) != 0) programs::give_up("no thread");
        pthread_join(thread, nullptr);
        first_runs();
    });
    empty(mine);
}

std::uint64_t place_of(void (*function)()) { return reinterpret_cast<std::uint64_t>(function); }

}  // namespace

int main(int argc, char** argv) {
    programs::Arguments arguments("bench_operations",
                                  "Operations on memory that threads share, in turns.");
    std::uint64_t rounds = 0;
    std::size_t blocks = 512;
    arguments.required("ROUNDS", rounds, "of each scene", programs::operations_range);
    arguments.optional("--blocks", blocks, "that change hands in a round (512)",
                       programs::count_range);
    return arguments.run(argc, argv, [&] {
        const programs::Meter meter;
        play(rounds, blocks);
        programs::Outcome outcome{rounds, meter.stop()};
        const programs::Figures marks = {{"malloc", reinterpret_cast<std::uint64_t>(&std::malloc)},
                                         {"scene", place_of(scene_begins)},
                                         {"no_scene", place_of(scene_ends)},
                                         {"first", place_of(first_runs)},
                                         {"second", place_of(second_runs)},
                                         {"another", place_of(another_runs)}};
        outcome.more = {{"marks", marks}};
        return outcome;
    });
}
