/**
 * @file memory_back.cpp
 * @brief After a burst, memory comes back.
 *
 * 300 MB of blocks of mixed sizes are made by the main thread and by others, and all are freed.
 * With `trim`, malloc_trim(0) must bring the resident set back to within 10 % and 1 MiB of what it
 * was before, and take all but a live block where that is the only one in a huge page. With
 * `decay` time and a little ordinary traffic must do; with `idle` time alone (that is for the
 * purge thread). With `large` all blocks are large and one thread's, the little traffic too: that
 * thread has no heap of small blocks, whose slow paths look at the clock. The second argument is
 * how long to wait at most, in milliseconds.
 */
#include <array>
#include <cstdlib>
#include <iterator>

#include <time.h>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

constexpr std::size_t burst_bytes = 300 * 1000 * 1000;
constexpr std::size_t threads = 3;
constexpr std::size_t each_max = 120000;

struct Share {
    std::array<Block, each_max> blocks;
    std::size_t used;
    std::size_t wanted;
};

// Touched before the start, so that the tables count in both figures.
Share shares[threads + 1];

void make_share(Share& share, std::uint64_t seed) {
    Random random(seed);
    std::size_t bytes = 0;
    share.used = 0;
    while (bytes < share.wanted && share.used < each_max) {
        // Blocks of every kind: many small ones, some of units, some with mappings of their own.
        const std::size_t kind = random.below(200);
        const std::size_t size = random.size(kind == 0 ? 6 * mib : kind < 5 ? 500 * kib : 8 * kib);
        share.blocks[share.used++].make(size, random.next());
        bytes += size;
    }
    CHECK(bytes >= share.wanted / 2);
}

void free_share(Share& share) {
    for (std::size_t i = 0; i < share.used; ++i) {
        share.blocks[i].release();
    }
    share.used = 0;
}

void* burst_in_thread(void* argument) {
    const auto self = reinterpret_cast<std::uintptr_t>(argument);
    make_share(shares[self], self);
    // Half of each thread's blocks are left to the main thread.
    for (std::size_t i = 0; i < shares[self].used; i += 2) {
        shares[self].blocks[i].release();
    }
    return nullptr;
}

void burst(std::size_t bytes) {
    std::array<pthread_t, threads> running;
    for (Share& share : shares) {
        share.wanted = bytes / (threads + 1);
    }
    for (std::size_t i = 0; i < threads; ++i) {
        running[i] = thread_start(burst_in_thread, reinterpret_cast<void*>(i));
    }
    make_share(shares[threads], 99);
    for (const pthread_t thread : running) {
        thread_join(thread);
    }
    for (std::size_t i = 0; i < threads; ++i) {
        for (std::size_t j = 1; j < shares[i].used; j += 2) {
            shares[i].blocks[j].release();
        }
    }
}

void sleep_milliseconds(long milliseconds) {
    const timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&time, nullptr);
}

/** What an ordinary program does between bursts: a few blocks of a few sizes. */
void light_traffic() {
    constexpr std::array<std::size_t, 8> sizes = {16, 24, 48, 100, 256, 700, 2000, 100 * kib};
    for (int i = 0; i < 30; ++i) {
        for (const std::size_t size : sizes) {
            Block block;
            block.make(size, size);
            block.release();
        }
    }
}

/** Says what was measured, and fails when too much is resident still. */
void check_back(std::size_t before, std::size_t full, long waited, std::size_t allowed) {
    check::Line()
        .add("resident at the peak: ")
        .value(full / kib)
        .add(" KiB; waited ms: ")
        .value(waited)
        .put(1);
    check_growth("resident after the burst", before, process_resident_bytes(), allowed);
}

/** Large blocks, some within superslabs and some with mappings of their own, and nothing else. */
void* large_alone(void* argument) {
    const long patience = *static_cast<const long*>(argument);
    constexpr std::size_t sizes[] = {mib, 3 * mib, 100 * kib};
    const std::size_t before = process_resident_bytes();
    Share& share = shares[0];
    std::size_t bytes = 0;
    while (bytes < burst_bytes) {
        const std::size_t size = sizes[share.used % std::size(sizes)];
        share.blocks[share.used++].make(size, bytes);
        bytes += size;
    }
    const std::size_t full = process_resident_bytes();
    free_share(share);
    const std::size_t allowed = before / 10 + mib;
    long waited = 0;
    while (process_resident_bytes() > before + allowed && waited < patience) {
        sleep_milliseconds(100);
        waited += 100;
        for (int i = 0; i < 10; ++i) {
            Block block;
            block.make(100 * kib, 1);
            block.release();
        }
    }
    check_back(before, full, waited, allowed);
    return nullptr;
}

/** Blocks that live on leave nothing resident but themselves, whatever pages they lie in. */
void trim_beside_live_blocks() {
    std::array<Block, 16> blocks;
    for (Block& block : blocks) {
        constexpr std::size_t size = 800 * kib;
        const std::size_t before = process_resident_bytes();
        block.make(size, size);
        subject_trim();
        check_growth("resident beside a live block", before, process_resident_bytes(),
                     size + 512 * kib);
    }
    for (Block& block : blocks) {
        block.release();
    }
}

}  // namespace

int main(int argc, char** argv) {
    subject_require();
    deadline(100);
    const bool trims = argc > 1 && std::strcmp(argv[1], "trim") == 0;
    const bool decays = argc > 1 && std::strcmp(argv[1], "decay") == 0;
    const bool idles = argc > 1 && std::strcmp(argv[1], "idle") == 0;
    const bool large = argc > 1 && std::strcmp(argv[1], "large") == 0;
    long patience = argc > 2 ? std::strtol(argv[2], nullptr, 10) : 3000;
    CHECK(trims || decays || idles || large);
    std::memset(static_cast<void*>(shares), 0, sizeof shares);
    if (large) {
        thread_join(thread_start(large_alone, &patience));
        subject_validate();
        return 0;
    }
    burst(mib);  // the C library's stacks, and the code of all this
    free_share(shares[threads]);
    subject_trim();

    const std::size_t before = process_resident_bytes();
    burst(burst_bytes);
    const std::size_t full = process_resident_bytes();
    free_share(shares[threads]);
    if (trims) {
        subject_trim();
    }
    const std::size_t allowed = before / 10 + mib;
    long waited = 0;
    while (!trims && process_resident_bytes() > before + allowed && waited < patience) {
        sleep_milliseconds(100);
        waited += 100;
        if (decays) {
            light_traffic();
        }
    }
    check_back(before, full, waited, allowed);
    if (trims) {
        trim_beside_live_blocks();
    }
    subject_validate();
    return 0;
}
