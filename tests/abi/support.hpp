/**
 * @file support.hpp
 * @brief What many scenarios need: patterns in blocks, numbers at random, figures of the process.
 *
 * Like check.hpp, none of it allocates, so that a figure that is read here is the allocator's.
 */
#ifndef HAKMEM_TESTS_ABI_SUPPORT_HPP
#define HAKMEM_TESTS_ABI_SUPPORT_HPP

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.hpp"
#include "subject.hpp"

inline constexpr std::size_t kib = 1024;
inline constexpr std::size_t mib = 1024 * kib;
inline constexpr std::size_t gib = 1024 * mib;

/** SplitMix64 (Steele, Lea, Flood 2014): small, and any seed is a good one. */
class Random {
public:
    explicit constexpr Random(std::uint64_t seed) : state_(seed) {}

    std::uint64_t next() {
        state_ += 0x9E3779B97F4A7C15u;
        std::uint64_t z = state_;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        return z ^ (z >> 31);
    }

    /** A number from 0 to `limit - 1`. */
    std::size_t below(std::size_t limit) { return static_cast<std::size_t>(next() % limit); }

    /** A size whose logarithm is evenly spread: as many small ones as programs have. */
    std::size_t size(std::size_t at_most) {
        const auto bits = static_cast<unsigned>(64 - __builtin_clzll(at_most));
        const std::size_t ceiling = std::size_t{1} << below(bits + 1u);
        return std::min(at_most, 1 + below(ceiling));
    }

private:
    std::uint64_t state_;
};

/**
 * Fills a block with a pattern that depends on its seed, each byte of it. Here and below the
 * compiler may know memcpy, which -fno-builtin makes a call for each word otherwise: most of the
 * time of most scenarios.
 */
inline void pattern_fill(void* block, std::size_t bytes, std::uint64_t seed) {
    auto* const out = static_cast<unsigned char*>(block);
    std::uint64_t word = seed * 0x9E3779B97F4A7C15u + 1;
    std::size_t at = 0;
    for (; at + 8 <= bytes; at += 8) {
        __builtin_memcpy(out + at, &word, 8);
        word += 0x0101010101010101u;
    }
    std::memcpy(out + at, &word, bytes - at);
}

/** Whether the pattern is still there. */
inline bool pattern_holds(const void* block, std::size_t bytes, std::uint64_t seed) {
    const auto* const in = static_cast<const unsigned char*>(block);
    std::uint64_t word = seed * 0x9E3779B97F4A7C15u + 1;
    std::uint64_t differences = 0;
    std::size_t at = 0;
    for (; at + 8 <= bytes; at += 8) {
        std::uint64_t found;
        __builtin_memcpy(&found, in + at, 8);
        differences |= found ^ word;
        word += 0x0101010101010101u;
    }
    return differences == 0 && std::memcmp(in + at, &word, bytes - at) == 0;
}

/** A block that knows what it should contain. */
struct Block {
    void* start = nullptr;
    std::size_t bytes = 0;
    std::uint64_t seed = 0;

    /**
     * Takes over a block that any entry point made; fails on null and on bad alignment. Below 16
     * bytes other allocators align to 8 only; that HAKMEM does not, conformance.cpp shows.
     */
    void adopt(void* made, std::size_t size, std::uint64_t pattern) {
        CHECK(made != nullptr);
        CHECK_EQ(reinterpret_cast<std::uintptr_t>(made) % (size < 16 ? 8 : 16), 0);
        start = made;
        bytes = size;
        seed = pattern;
        pattern_fill(start, bytes, seed);
    }

    void make(std::size_t size, std::uint64_t pattern) {
        adopt(subject_malloc(size), size, pattern);
    }

    /** Like make, where memory may be short: then malloc says so, and the answer is false. */
    bool try_make(std::size_t size, std::uint64_t pattern) {
        errno = 0;
        void* const made = subject_malloc(size);
        if (made == nullptr) {
            CHECK_EQ(errno, ENOMEM);
            return false;
        }
        adopt(made, size, pattern);
        return true;
    }

    void verify() const {
        if (start != nullptr && !pattern_holds(start, bytes, seed)) {
            check::Line().add("block ").value(start).add(" of ").value(bytes).add(" bytes").put(2);
            check::fail(__FILE__, __LINE__, "the block holds what was written into it");
        }
    }

    void release() {
        verify();
        subject_free(start);
        start = nullptr;
        bytes = 0;
    }
};

/** Reads a file of /proc without allocating; returns the bytes read, 0 when it cannot. */
inline std::size_t read_file(const char* path, char* buffer, std::size_t buffer_bytes) {
    const int file = ::open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return 0;
    }
    std::size_t length = 0;
    for (;;) {
        const ssize_t count = ::read(file, buffer + length, buffer_bytes - 1 - length);
        if (count <= 0) {
            break;
        }
        length += static_cast<std::size_t>(count);
    }
    ::close(file);
    buffer[length] = '\0';
    return length;
}

/** The number behind a label such as "Rss:". */
inline std::size_t number_after(const char* text, const char* label) {
    const char* at = std::strstr(text, label);
    if (at == nullptr) {
        return 0;
    }
    at += std::strlen(label);
    while (*at == ' ' || *at == '\t') {
        ++at;
    }
    std::size_t value = 0;
    while (*at >= '0' && *at <= '9') {
        value = value * 10 + static_cast<std::size_t>(*at++ - '0');
    }
    return value;
}

/**
 * Resident bytes of the process. From smaps_rollup, which counts pages; the counters behind statm
 * are kept per CPU and may be off by more than the bounds of these tests.
 */
inline std::size_t process_resident_bytes() {
    char text[4096];
    CHECK(read_file("/proc/self/smaps_rollup", text, sizeof text) > 0);
    return number_after(text, "Rss:") * kib;
}

/** Address space of the process, what RLIMIT_AS limits. */
inline std::size_t process_virtual_bytes() {
    char text[512];
    CHECK(read_file("/proc/self/statm", text, sizeof text) > 0);
    return number_after(text, "") * 4 * kib;
}

/** Allows the process so many bytes of address space beyond what it has. */
inline void limit_address_space(std::size_t room) {
    rlimit limit;
    CHECK_EQ(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur = process_virtual_bytes() + room;
    CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
}

inline void lift_address_space_limit() {
    rlimit limit;
    CHECK_EQ(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
}

/**
 * Resident bytes for which the allocator answers: those of the process, or HAKMEM's own figure in
 * a sanitizer build, where shadow memory and quarantine would drown it.
 */
inline std::size_t subject_resident_bytes() {
    if constexpr (subject_is_interposed) {
        return process_resident_bytes();
    } else {
        hakmem_statistics statistics;
        CHECK_EQ(hakmem_statistics_get(&statistics, sizeof statistics), 0);
        return statistics.resident;
    }
}

/**
 * Resident bytes once the allocator has given back what it can: what a leak leaves behind. Without
 * this a figure also holds what is dirty at the moment, which comes and goes with the decay time.
 */
inline std::size_t trimmed_resident_bytes() {
    subject_trim();
    return subject_resident_bytes();
}

/** Prints a figure and its bound, and fails when it is above. */
inline void check_growth(const char* what, std::size_t before, std::size_t after,
                         std::size_t allowed) {
    check::Line()
        .add(what)
        .add(": ")
        .value(before / kib)
        .add(" KiB before, ")
        .value(after / kib)
        .add(" KiB after, ")
        .value(allowed / kib)
        .add(" KiB growth allowed")
        .put(1);
    CHECK_LE(after, before + allowed);
}

/** Waits for a child and demands that it ended by itself, with this status. */
inline void expect_exit(pid_t child, int wanted) {
    int status = 0;
    pid_t ended;
    do {
        ended = ::waitpid(child, &status, 0);
    } while (ended < 0 && errno == EINTR);
    CHECK_EQ(ended, child);
    if (WIFSIGNALED(status)) {
        CHECK_EQ(WTERMSIG(status), 0);
    }
    CHECK_EQ(WEXITSTATUS(status), wanted);
}

/** A deadlock is a failure too: it ends after `seconds` by SIGALRM rather than by patience. */
inline void deadline(unsigned seconds) {
    ::signal(SIGALRM, SIG_DFL);
    ::alarm(seconds);
}

/** pthread_create that must succeed. */
inline pthread_t thread_start(void* (*body)(void*), void* argument = nullptr,
                              const pthread_attr_t* attributes = nullptr) {
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, attributes, body, argument), 0);
    return thread;
}

inline void thread_join(pthread_t thread) { CHECK_EQ(pthread_join(thread, nullptr), 0); }

/** What ctest takes for "skipped". */
inline constexpr int skipped_status = 77;

#endif
