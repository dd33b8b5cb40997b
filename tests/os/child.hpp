// Where a test needs a state that the process cannot have back (a ruined heap, a pristine one, a
// lock held for ever), it runs in a child:
//
//     EXPECT_EXIT(in_child([] { …; CHILD_REQUIRE(condition); }), testing::ExitedWithCode(0), "");
//
// gtest's assertions in a child are seen by nobody; CHILD_REQUIRE ends the child with a message
// that is.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>

#define CHILD_REQUIRE(condition)                                                           \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1);                                                                      \
        }                                                                                  \
    } while (false)

#if defined(__has_feature)
#define HAKMEM_HAS_FEATURE(name) __has_feature(name)
#else
#define HAKMEM_HAS_FEATURE(name) 0
#endif

namespace hakmem::tests {

#if defined(__SANITIZE_THREAD__) || HAKMEM_HAS_FEATURE(thread_sanitizer)
constexpr bool under_thread_sanitizer = true;
#else
constexpr bool under_thread_sanitizer = false;
#endif

#if defined(__SANITIZE_ADDRESS__) || HAKMEM_HAS_FEATURE(address_sanitizer)
constexpr bool under_sanitizer = true;
#else
constexpr bool under_sanitizer = under_thread_sanitizer;
#endif

constexpr unsigned child_seconds_max = 100;  // a child that hangs is ended by SIGALRM

template <typename Body>
[[noreturn]] void in_child(Body body) {
    alarm(child_seconds_max);
    body();
    std::fflush(nullptr);
    _exit(0);
}

/** Starts the children of a test as programs of their own: nothing has happened in them yet. */
class Pristine : public testing::Test {
protected:
    Pristine() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
    ~Pristine() override { GTEST_FLAG_SET(death_test_style, "fast"); }
};

}  // namespace hakmem::tests
