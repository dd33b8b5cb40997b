// bench_producer_consumer OPERATIONS [--pairs N] [--smallest N] [--largest N]
//
// In each pair one thread allocates and writes blocks, and another reads and frees them: every free
// is one of another thread's block. Blocks go over in parcels, so that the queue is not what is
// timed.
#include "program.hpp"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

namespace {

constexpr std::size_t parcel_blocks = 256;
constexpr std::size_t parcels_waiting = 16;
using Parcel = std::vector<char*>;

/** A bounded queue of parcels. */
class Channel {
public:
    void put(Parcel parcel) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return parcels_.size() < parcels_waiting; });
        parcels_.push_back(std::move(parcel));
        changed_.notify_all();
    }
    Parcel take() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !parcels_.empty(); });
        Parcel parcel = std::move(parcels_.front());
        parcels_.pop_front();
        changed_.notify_all();
        return parcel;
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Parcel> parcels_;
};

struct Sizes {
    std::uint32_t smallest = 16;
    std::uint32_t largest = 256;
};

void produce(Channel& channel, std::uint64_t parcels, Sizes sizes, std::uint64_t seed) {
    programs::Random random(seed);
    for (std::uint64_t sent = 0; sent < parcels; ++sent) {
        Parcel parcel(parcel_blocks);
        for (char*& block : parcel) {
            block = programs::allocate(random.between(sizes.smallest, sizes.largest));
            *block = static_cast<char>(sent);
        }
        channel.put(std::move(parcel));
    }
}

void consume(Channel& channel, std::uint64_t parcels) {
    for (std::uint64_t received = 0; received < parcels; ++received) {
        for (char* const block : channel.take()) {
            if (*block != static_cast<char>(received)) programs::give_up("a block was changed");
            std::free(block);
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    programs::Arguments arguments("bench_producer_consumer",
                                  "Blocks that one thread allocates and another frees.");
    std::uint64_t operations = 0;
    std::size_t pairs = 1;
    Sizes sizes;
    arguments.required("OPERATIONS", operations, "blocks, of all pairs together",
                       programs::operations_range);
    arguments.optional("--pairs", pairs, "of threads (1)", programs::threads_range);
    arguments.sizes(sizes.smallest, "block, in bytes (16)", sizes.largest, "block, in bytes (256)");
    return arguments.run(argc, argv, [&] {
        const std::uint64_t parcels = operations / (pairs * parcel_blocks) + 1;
        std::vector<Channel> channels(pairs);
        std::vector<std::thread> threads;
        const programs::Meter meter;
        for (std::size_t place = 0; place < pairs; ++place) {
            threads.emplace_back(produce, std::ref(channels[place]), parcels, sizes, place);
            threads.emplace_back(consume, std::ref(channels[place]), parcels);
        }
        for (std::thread& thread : threads) thread.join();
        return programs::Outcome{parcels * pairs * parcel_blocks, meter.stop()};
    });
}
