/**
 * @file first_operation.cpp
 * @brief Threads whose first operation is anything but malloc.
 *
 * A thread has no heap until its first slow path. That path is entered by free as well as by
 * malloc, and by every other call: each must cope with a thread that has nothing yet.
 */
#include <array>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

Block given;

struct Case {
    const char* name;
    void* (*body)(void*);
};

void* free_it(void*) {
    given.release();
    return nullptr;
}

void* realloc_up(void*) {
    given.start = subject_realloc(given.start, given.bytes * 2 + 1);
    CHECK(given.start != nullptr);
    given.verify();
    return nullptr;
}

void* realloc_down(void*) {
    given.start = subject_realloc(given.start, given.bytes / 2 + 1);
    CHECK(given.start != nullptr);
    CHECK(pattern_holds(given.start, (given.bytes / 2 + 1) / 8 * 8, given.seed));
    given.bytes = 0;
    return nullptr;
}

void* realloc_zero(void*) {
    CHECK(subject_realloc(given.start, 0) == nullptr);
    given.start = nullptr;
    return nullptr;
}

void* calloc_it(void*) {
    void* const block = subject_calloc(given.bytes, 1);
    CHECK(block != nullptr);
    for (std::size_t i = 0; i < given.bytes; ++i) {
        CHECK_EQ(static_cast<int>(static_cast<char*>(block)[i]), 0);
    }
    subject_free(block);
    return nullptr;
}

void* aligned_it(void*) {
    void* const block = subject_aligned_alloc(4096, given.bytes);
    CHECK(block != nullptr);
    CHECK_EQ(reinterpret_cast<std::uintptr_t>(block) % 4096, 0);
    subject_free(block);
    return nullptr;
}

void* usable_it(void*) {
    CHECK_LE(given.bytes, subject_usable_size(given.start));
    return nullptr;
}

void* trim_it(void*) {
    subject_trim();
    return nullptr;
}

void* free_null(void*) {
    subject_free(nullptr);
    return nullptr;
}

void* nothing(void*) { return nullptr; }

constexpr std::array<Case, 10> cases = {{{"free", free_it},
                                         {"realloc up", realloc_up},
                                         {"realloc down", realloc_down},
                                         {"realloc to zero", realloc_zero},
                                         {"calloc", calloc_it},
                                         {"aligned_alloc", aligned_it},
                                         {"usable_size", usable_it},
                                         {"trim", trim_it},
                                         {"free null", free_null},
                                         {"nothing", nothing}}};

}  // namespace

int main() {
    subject_require();
    deadline(60);
    const int rounds = subject_scaled(50);
    for (int round = 0; round < rounds; ++round) {
        for (const Case& each : cases) {
            for (const std::size_t size :
                 {std::size_t{1}, std::size_t{100}, 10 * kib, 100 * kib, 3 * mib}) {
                given.make(size, size);
                thread_join(thread_start(each.body));
                if (given.bytes != 0) {
                    given.release();
                } else if (given.start != nullptr) {
                    subject_free(given.start);
                    given.start = nullptr;
                }
            }
        }
    }
    subject_validate();
    return 0;
}
