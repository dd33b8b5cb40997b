/**
 * @file report.cpp
 * @brief A program with a heap worth reporting; report_test.py reads what is said of it.
 *
 * `exit` leaves a known heap behind and ends, after it has written what the kernel says: the
 * resident bytes of all anonymous mappings that have no name, which are the allocator's but for a
 * few pages. `signal` sends itself SIGUSR2, from quiet and from busy threads. `running` ends while
 * its threads still allocate.
 */
#include <array>
#include <atomic>
#include <cstdlib>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

// 40 MB live in many sizes, as much freed in between.
std::array<Block, 30000> blocks;
std::array<Block, 30000> others;
std::atomic<bool> stop{false};

void* other_heap(void*) {
    Random random(2);
    for (Block& block : others) {
        block.make(random.size(4 * kib), random.next());
    }
    for (std::size_t i = 0; i < others.size(); i += 2) {
        others[i].release();
    }
    return nullptr;
}

void build_heap() {
    Random random(1);
    for (Block& block : blocks) {
        block.make(random.size(random.below(500) == 0 ? 3 * mib : 8 * kib), random.next());
    }
    thread_join(thread_start(other_heap));
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        if (i % 3 != 0) {
            blocks[i].release();
        }
        if (i % 4 == 1) {
            others[i].release();
        }
    }
    // Live but never touched: not resident.
    CHECK(subject_malloc(256 * mib) != nullptr);
}

/** Sums Rss over the mappings of smaps that are anonymous, private and without a name. */
std::size_t anonymous_resident_bytes() {
    static char text[2 * mib];
    CHECK(read_file("/proc/self/smaps", text, sizeof text) > 0);
    std::size_t bytes = 0;
    bool counts = false;
    for (char* line = text; line != nullptr && *line != '\0';) {
        char* const next = std::strchr(line, '\n');
        if (next != nullptr) {
            *next = '\0';
        }
        const char* const dash = std::strchr(line, '-');
        const char* const space = std::strchr(line, ' ');
        if (dash != nullptr && space != nullptr && dash < space) {
            counts = std::strstr(line, " 00:00 0") != nullptr && std::strchr(line, '[') == nullptr;
        } else if (counts && std::strncmp(line, "Rss:", 4) == 0) {
            bytes += number_after(line, "Rss:") * kib;
        }
        line = next == nullptr ? nullptr : next + 1;
    }
    return bytes;
}

void* work(void* argument) {
    Random random(reinterpret_cast<std::uintptr_t>(argument));
    std::array<Block, 64> own;
    while (!stop.load(std::memory_order_relaxed)) {
        Block& block = own[random.below(own.size())];
        block.release();
        block.make(random.size(random.below(20) == 0 ? 400 * kib : 2 * kib), random.next());
    }
    for (Block& block : own) {
        block.release();
    }
    return nullptr;
}

void say(const char* text) { check::Line().add(text).put(1); }

}  // namespace

int main(int argc, char** argv) {
    subject_require();
    deadline(60);
    CHECK_EQ(argc, 2);
    if (std::strcmp(argv[1], "exit") == 0) {
        static char warm[64];
        read_file("/proc/self/smaps", warm, sizeof warm);
        build_heap();
        check::Line().add("kernel ").value(anonymous_resident_bytes()).put(1);
        return 0;
    }
    std::array<pthread_t, 4> threads;
    if (std::strcmp(argv[1], "signal") == 0) {
        build_heap();
        say("quiet");
        ::kill(getpid(), SIGUSR2);
        subject_free(subject_malloc(100));
        say("busy");
        for (std::size_t i = 0; i < threads.size(); ++i) {
            threads[i] = thread_start(work, reinterpret_cast<void*>(i));
        }
        for (int i = 0; i < 20; ++i) {
            usleep(5000);
            CHECK_EQ(pthread_kill(threads[static_cast<std::size_t>(i) % 4], SIGUSR2), 0);
        }
        usleep(50000);
        stop.store(true);
        for (const pthread_t thread : threads) {
            thread_join(thread);
        }
        say("end");
        return 0;
    }
    if (std::strcmp(argv[1], "running") == 0) {
        for (std::size_t i = 0; i < threads.size(); ++i) {
            threads[i] = thread_start(work, reinterpret_cast<void*>(i));
        }
        usleep(20000);
        return 0;
    }
    return 2;
}
