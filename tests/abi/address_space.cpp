/**
 * @file address_space.cpp
 * @brief Small address spaces: RLIMIT_AS (`ulimit -v`) and RLIMIT_DATA, in force from the start.
 *
 * An allocator that reserves a giant range first cannot even start here. The limit is what the
 * bare process maps, plus a given room; half of that room must be usable as blocks, time and
 * again, by one thread and by four.
 */
#include <array>
#include <cstdio>
#include <cstdlib>

#include <sys/resource.h>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

std::array<Block, 40000> blocks;

/** Fills a share of the table until so many bytes are live, checks them, and frees them. */
void fill_and_free(std::size_t first, std::size_t count, std::size_t bytes, std::size_t largest) {
    Random random(largest + first);
    std::size_t live = 0;
    std::size_t used = 0;
    while (live < bytes && used < count) {
        const std::size_t size = std::min(largest, bytes - live + 1);
        blocks[first + used].make(random.size(size), random.next());
        live += blocks[first + used].bytes;
        ++used;
    }
    for (std::size_t i = 0; i < used; ++i) {
        blocks[first + i].release();
    }
}

std::size_t room;

void* fill_in_thread(void* argument) {
    const auto self = reinterpret_cast<std::uintptr_t>(argument);
    fill_and_free(self * 10000, 10000, room / 16, 4 * kib);
    return nullptr;
}

int under_limit() {
    deadline(60);
    for (const std::size_t largest : {std::size_t{256}, 4 * kib, 100 * kib, mib, 4 * kib}) {
        fill_and_free(0, blocks.size(), room / 2, largest);
    }
    pthread_attr_t attributes;
    CHECK_EQ(pthread_attr_init(&attributes), 0);
    CHECK_EQ(pthread_attr_setstacksize(&attributes, 128 * kib), 0);
    std::array<pthread_t, 4> threads;
    for (std::size_t i = 0; i < threads.size(); ++i) {
        threads[i] = thread_start(fill_in_thread, reinterpret_cast<void*>(i), &attributes);
    }
    for (const pthread_t thread : threads) {
        thread_join(thread);
    }
    // What cannot be had is refused, and what was there is still there afterwards.
    errno = 0;
    CHECK(subject_malloc(4 * room) == nullptr);
    CHECK_EQ(errno, ENOMEM);
    fill_and_free(0, blocks.size(), room / 2, 20 * kib);
    return 9;
}

/** The bare process, as far as its maps are not the allocator's: files, stack and the table. */
std::size_t bare_bytes() {
    static char text[64 * kib];
    CHECK(read_file("/proc/self/maps", text, sizeof text) > 0);
    std::size_t bytes = 0;
    for (char* line = text; line != nullptr && *line != '\0';) {
        char* const next = std::strchr(line, '\n');
        if (next != nullptr) {
            *next = '\0';
        }
        char* end = nullptr;
        const unsigned long start_address = std::strtoul(line, &end, 16);
        const unsigned long end_address = std::strtoul(end + 1, nullptr, 16);
        if (std::strchr(line, '/') != nullptr || std::strchr(line, '[') != nullptr) {
            bytes += end_address - start_address;
        }
        line = next == nullptr ? nullptr : next + 1;
    }
    return bytes + sizeof blocks + mib;
}

}  // namespace

int main(int argc, char** argv) {
    subject_require();
    if (argc > 1) {
        room = std::strtoul(argv[1], nullptr, 10) * mib;
        return under_limit();
    }
    const std::size_t bare = bare_bytes();
    for (const auto resource : {RLIMIT_AS, RLIMIT_DATA}) {
        for (const std::size_t mebibytes : {32u, 64u, 100u, 256u}) {
            const pid_t child = fork();
            CHECK_NE(child, -1);
            if (child == 0) {
                const rlimit limit = {bare + mebibytes * mib, bare + mebibytes * mib};
                CHECK_EQ(setrlimit(resource, &limit), 0);
                char text[16];
                std::snprintf(text, sizeof text, "%zu", mebibytes);
                execl("/proc/self/exe", argv[0], text, nullptr);
                ::_exit(1);
            }
            check::Line()
                .add(resource == RLIMIT_AS ? "RLIMIT_AS, MiB of room: "
                                           : "RLIMIT_DATA, MiB of room: ")
                .value(mebibytes)
                .put(1);
            expect_exit(child, 9);
        }
    }
    return 0;
}
