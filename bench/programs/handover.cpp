// bench_handover OPERATIONS PRODUCERS CONSUMERS [--smallest N] [--largest N]
//
// Any number of threads allocate blocks, any number of others free them: each block is freed by a
// thread that did not allocate it, and where consumers are fewer than producers one thread frees
// for several heaps at once. Blocks go over in parcels, so that the queue is not what is timed.
//
// After Lever and Boreham ("malloc() Performance in a Multithreaded Linux Environment", 2000). That
// some threads only allocate and others only free is what mimalloc-bench has as xmalloc-test; it is
// also the case by which Berger et al. ("Hoard", 2000) tell allocators apart whose memory
// blows up. producer_consumer is the same for pairs of threads that share nothing with others.
#include "program.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace {

constexpr std::size_t parcel_blocks = 256;
constexpr std::size_t parcels_waiting = 16;
using Parcel = std::vector<char*>;

/** A bounded queue for all threads; an empty parcel says that there will be no more. */
class Market {
public:
    explicit Market(std::size_t producers) : producers_(producers) {}

    void put(Parcel parcel) {
        std::unique_lock lock(mutex_);
        room_.wait(lock, [this] { return parcels_.size() < parcels_waiting; });
        parcels_.push_back(std::move(parcel));
        arrived_.notify_one();
    }
    void leave() {
        const std::lock_guard lock(mutex_);
        if (--producers_ == 0) arrived_.notify_all();
    }
    Parcel take() {
        std::unique_lock lock(mutex_);
        arrived_.wait(lock, [this] { return !parcels_.empty() || producers_ == 0; });
        if (parcels_.empty()) return {};
        Parcel parcel = std::move(parcels_.front());
        parcels_.pop_front();
        room_.notify_one();
        return parcel;
    }

private:
    std::mutex mutex_;
    std::condition_variable room_;
    std::condition_variable arrived_;
    std::deque<Parcel> parcels_;
    std::size_t producers_;
};

struct Sizes {
    std::uint32_t smallest = 16;
    std::uint32_t largest = 256;
};

void produce(Market& market, std::uint64_t parcels, Sizes sizes, std::uint64_t seed) {
    programs::Random random(seed);
    const auto mark = static_cast<char>(seed + 1);
    for (std::uint64_t sent = 0; sent < parcels; ++sent) {
        Parcel parcel(parcel_blocks);
        for (char*& block : parcel) {
            block = programs::allocate(random.between(sizes.smallest, sizes.largest));
            *block = mark;
        }
        market.put(std::move(parcel));
    }
    market.leave();
}

/** Frees what comes, and counts it. */
void consume(Market& market, std::atomic<std::uint64_t>& freed) {
    for (Parcel parcel = market.take(); !parcel.empty(); parcel = market.take()) {
        const char mark = *parcel.front();
        for (char* const block : parcel) {
            if (*block != mark) programs::give_up("a block was changed");
            std::free(block);
        }
        freed += parcel.size();
    }
}

}  // namespace

int main(int argc, char** argv) {
    programs::Arguments arguments("bench_handover", "Threads that allocate, and others that free.");
    std::uint64_t operations = 0;
    std::size_t producers = 0;
    std::size_t consumers = 0;
    Sizes sizes;
    arguments.required("OPERATIONS", operations, "blocks, of all producers together",
                       programs::operations_range);
    arguments.required("PRODUCERS", producers, "threads that allocate", programs::threads_range);
    arguments.required("CONSUMERS", consumers, "threads that free", programs::threads_range);
    arguments.sizes(sizes.smallest, "block, in bytes (16)", sizes.largest, "block, in bytes (256)");
    return arguments.run(argc, argv, [&] {
        const std::uint64_t parcels = operations / (producers * parcel_blocks) + 1;
        Market market(producers);
        std::vector<std::thread> threads;
        std::atomic<std::uint64_t> freed{0};
        const programs::Meter meter;
        for (std::size_t place = 0; place < producers; ++place) {
            threads.emplace_back(produce, std::ref(market), parcels, sizes, place);
        }
        for (std::size_t place = 0; place < consumers; ++place) {
            threads.emplace_back(consume, std::ref(market), std::ref(freed));
        }
        for (std::thread& thread : threads) thread.join();
        return programs::Outcome{freed, meter.stop()};
    });
}
