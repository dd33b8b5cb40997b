// bench_latency OPERATIONS [--threads N] [--blocks N] [--repetitions N]
//
// What single calls cost, and not their mean: a server answers when its slowest malloc has
// returned. Each operation frees a random block of a set and allocates another one; now and then a
// block is swapped with a shelf that all threads share, so that some frees are of foreign blocks.
// Sizes are those of a server: most below 128 bytes, few up to 64 KiB. Both calls are timed by the
// processor's time-stamp counter, the cost of reading it is taken off, and a histogram that never
// allocates counts them. Each percentile is printed as the median over the repetitions, after one
// that does not count; the least of them stands beside it (..._least), since whatever else the
// machine does only adds. Threads are bound to processors.
//
// The sizes and the replacement of random blocks are after Larson and Krishnan ("Memory Allocation
// for Long-Running Server Applications", 1998); that tails rather than means are what a service is
// made of is Dean and Barroso's ("The Tail at Scale", 2013); buckets of equal relative width are
// those of Tene's HdrHistogram.
#include "program.hpp"

#include <sched.h>
#include <x86intrin.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <latch>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace {

using Cycles = std::uint64_t;

/** Cycles by their order of magnitude and five bits below: no figure is off by more than 3 %. */
class Histogram {
public:
    void add(Cycles cycles) { ++counts_[place(cycles)]; }
    void add(const Histogram& other) {
        for (std::size_t at = 0; at < bucket_count; ++at) counts_[at] += other.counts_[at];
    }
    void clear() { counts_.fill(0); }

    /** The cycles that this share of all calls does not exceed. */
    [[nodiscard]] Cycles percentile(double share) const {
        std::uint64_t all = 0;
        for (const std::uint64_t count : counts_) all += count;
        const double wanted = share * static_cast<double>(all);
        std::uint64_t seen = 0;
        std::size_t last = 0;
        for (std::size_t at = 0; at < bucket_count; ++at) {
            if (counts_[at] == 0) continue;
            last = at;
            seen += counts_[at];
            if (static_cast<double>(seen) >= wanted) break;
        }
        return middle(last);
    }

private:
    static constexpr unsigned fine_bits = 5;
    static constexpr std::size_t fine = std::size_t{1} << fine_bits;
    static constexpr std::size_t bucket_count = (64 - fine_bits + 1) * fine;

    static std::size_t place(Cycles cycles) {
        if (cycles < fine) return cycles;
        const auto magnitude = static_cast<unsigned>(std::bit_width(cycles)) - fine_bits - 1;
        return magnitude * fine + (cycles >> magnitude);
    }
    static Cycles middle(std::size_t place) {
        if (place < 2 * fine) return place;
        const std::size_t magnitude = place / fine - 1;
        return ((place % fine + fine) << magnitude) + (Cycles{1} << (magnitude - 1));
    }

    std::array<std::uint64_t, bucket_count> counts_{};
};

/** The counter, read when all before it is done and before anything after it begins. */
Cycles now() {
    unsigned processor = 0;
    const Cycles cycles = __rdtscp(&processor);
    _mm_lfence();
    return cycles;
}

/** What two readings cost with nothing between them: the least, as only that is always there. */
Cycles cost_of_reading() {
    Cycles least = ~Cycles{0};
    for (int turn = 0; turn < 10'000; ++turn) {
        const Cycles begin = now();
        least = std::min(least, now() - begin);
    }
    return least;
}

double nanoseconds_of_a_cycle() {
    const auto begin = std::chrono::steady_clock::now();
    const Cycles first = now();
    std::chrono::duration<double, std::nano> passed{};
    while (passed < std::chrono::milliseconds(50)) {
        passed = std::chrono::steady_clock::now() - begin;
    }
    return passed.count() / static_cast<double>(now() - first);
}

/** Binds this thread to one of the processors that the process may use; the last come first, as
 * the first one is where most of the rest of the machine runs. */
void bind(std::size_t thread) {
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    auto left = thread % static_cast<std::size_t>(CPU_COUNT(&allowed));
    for (std::size_t processor = CPU_SETSIZE; processor-- > 0;) {
        if (!CPU_ISSET(processor, &allowed) || left-- > 0) continue;
        CPU_ZERO(&allowed);
        CPU_SET(processor, &allowed);
        sched_setaffinity(0, sizeof allowed, &allowed);
        return;
    }
}

/** 80 % up to 128 bytes, 15 % up to 1 KiB, 4.5 % up to 16 KiB, the rest up to 64 KiB. */
std::uint32_t some_size(programs::Random& random) {
    const std::uint32_t kind = random.below(1000);
    if (kind < 800) return random.between(8, 128);
    if (kind < 950) return random.between(129, 1024);
    if (kind < 995) return random.between(1025, 16 * 1024);
    return random.between(16 * 1024 + 1, 64 * 1024);
}

constexpr std::size_t shelf_places = 1024;
constexpr std::uint64_t swaps_every = 8;
using Shelf = std::array<std::atomic<char*>, shelf_places>;

struct Worker {
    Histogram mallocs;
    Histogram frees;
};

void serve(Worker& worker, Shelf& shelf, std::size_t count, std::uint64_t operations,
           std::uint64_t seed) {
    const Cycles reading = cost_of_reading();
    std::vector<char*> blocks(count);
    programs::Random random(seed);
    const auto net = [&](Cycles begin, Cycles end) {
        return end - begin > reading ? end - begin - reading : 0;
    };
    for (std::uint64_t operation = 0; operation < operations + count; ++operation) {
        // The first ones fill the set; they have nothing to free.
        const bool filling = operation < count;
        char*& block =
            blocks[filling ? operation : random.below(static_cast<std::uint32_t>(count))];
        if (operation % swaps_every == 0) {
            block = shelf[random.below(shelf_places)].exchange(block, std::memory_order_acq_rel);
        }
        const std::uint32_t bytes = some_size(random);
        const Cycles start = now();
        std::free(block);
        const Cycles freed = now();
        block = programs::allocate(bytes);
        const Cycles allocated = now();
        *block = 1;
        if (filling) continue;
        worker.frees.add(net(start, freed));
        worker.mallocs.add(net(freed, allocated));
    }
    for (char* const block : blocks) std::free(block);
}

struct Percentile {
    const char* name;
    double share;
};
constexpr std::array percentiles = {Percentile{"p50", 0.5},      Percentile{"p90", 0.9},
                                    Percentile{"p99", 0.99},     Percentile{"p999", 0.999},
                                    Percentile{"p9999", 0.9999}, Percentile{"p99999", 0.99999},
                                    Percentile{"max", 1.0}};
constexpr std::array calls = {"malloc", "free"};

/** For each call and percentile, what each repetition found. */
using Found = std::array<std::array<std::vector<double>, percentiles.size()>, calls.size()>;

void note(Found& found, const std::vector<Worker>& workers, double unit) {
    auto all = std::make_unique<Worker>();
    for (const Worker& worker : workers) {
        all->mallocs.add(worker.mallocs);
        all->frees.add(worker.frees);
    }
    for (std::size_t at = 0; at < percentiles.size(); ++at) {
        const double share = percentiles[at].share;
        found[0][at].push_back(static_cast<double>(all->mallocs.percentile(share)) * unit);
        found[1][at].push_back(static_cast<double>(all->frees.percentile(share)) * unit);
    }
}

programs::Figures figures(Found& found) {
    programs::Figures line;
    for (std::size_t call = 0; call < calls.size(); ++call) {
        for (std::size_t at = 0; at < percentiles.size(); ++at) {
            std::vector<double>& values = found[call][at];
            std::sort(values.begin(), values.end());
            const std::string name = std::string(calls[call]) + "_" + percentiles[at].name;
            const std::size_t half = values.size() / 2;
            const double median =
                values.size() % 2 != 0 ? values[half] : (values[half - 1] + values[half]) / 2;
            line.push_back({name, median});
            line.push_back({name + "_least", values.front()});
        }
    }
    return line;
}

}  // namespace

int main(int argc, char** argv) {
    programs::Arguments arguments("bench_latency", "The time of single calls, by percentile.");
    std::uint64_t operations = 0;
    std::size_t threads = 1;
    std::size_t blocks = 10'000;
    std::size_t repetitions = 7;
    arguments.required("OPERATIONS", operations, "of each repetition, of all threads together",
                       programs::operations_range);
    arguments.optional("--threads", threads, "(1)", programs::threads_range);
    arguments.optional("--blocks", blocks, "of each thread (10000)", programs::count_range);
    arguments.optional("--repetitions", repetitions, "that count (7)", {1.0, 1000.0});
    return arguments.run(argc, argv, [&] {
        const double unit = nanoseconds_of_a_cycle();
        const std::uint64_t share = operations / threads + 1;
        std::vector<Worker> workers(threads);
        auto shelf = std::make_unique<Shelf>();
        Found found;
        const programs::Meter meter;
        for (std::size_t repetition = 0; repetition <= repetitions; ++repetition) {
            std::latch ready(static_cast<std::ptrdiff_t>(threads));
            std::vector<std::thread> running;
            for (std::size_t place = 0; place < threads; ++place) {
                workers[place].mallocs.clear();
                workers[place].frees.clear();
                running.emplace_back([&, place] {
                    bind(place);
                    ready.arrive_and_wait();
                    serve(workers[place], *shelf, blocks, share, repetition * threads + place);
                });
            }
            for (std::thread& thread : running) thread.join();
            if (repetition > 0) note(found, workers, unit);
        }
        programs::Outcome outcome{share * threads * (repetitions + 1), meter.stop(),
                                  figures(found)};
        for (std::atomic<char*>& block : *shelf) std::free(block.load());
        return outcome;
    });
}
