// load_options() reads the environment once a process, and abi/lifecycle has called it before main.
// So this file works on a second copy of the box, in which nothing has been read yet, and whose
// kernel can be told to say that the process runs with more rights than its caller.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

namespace {
unsigned long at_secure = 0;
unsigned long fake_getauxval(unsigned long kind) {
    return kind == AT_SECURE ? at_secure : getauxval(kind);
}
}  // namespace

#define hakmem                 hakmem_environment
#define getauxval              fake_getauxval
#define HAKMEM_PROJECT_VERSION "copy"
#include "os/environment.cpp"
#include "os/futex_lock.cpp"
#include "os/lock_counts.cpp"
#include "os/raw_log.cpp"
#undef getauxval
#undef hakmem

#include "tests/os/child.hpp"

namespace {

using namespace hakmem_environment;
using hakmem::tests::in_child;

TEST(EnvironmentLoadDeathTest, TheEnvironmentIsReadOnce) {
    EXPECT_EXIT(in_child([] {
                    setenv("HAKMEM_DECAY", "7s", 1);
                    CHILD_REQUIRE(os::options().decay == 500);
                    CHILD_REQUIRE(os::load_options());
                    CHILD_REQUIRE(os::options().decay == 7000);
                    setenv("HAKMEM_DECAY", "8s", 1);
                    CHILD_REQUIRE(!os::load_options());
                    CHILD_REQUIRE(os::options().decay == 7000);
                }),
                testing::ExitedWithCode(0), "");
}

TEST(EnvironmentLoadDeathTest, WithoutAnEnvironmentReadingIsTriedAgain) {
    EXPECT_EXIT(in_child([] {
                    char** const real = environ;
                    environ = nullptr;
                    CHILD_REQUIRE(!os::load_options());
                    CHILD_REQUIRE(!os::load_options());
                    environ = real;
                    setenv("HAKMEM_DECAY", "9", 1);
                    CHILD_REQUIRE(os::load_options());
                    CHILD_REQUIRE(os::options().decay == 9);
                }),
                testing::ExitedWithCode(0), "");
}

TEST(EnvironmentLoadDeathTest, WithMoreRightsThanItsCallerTheProcessIsNotConfiguredByIt) {
    EXPECT_EXIT(in_child([] {
                    at_secure = 1;
                    setenv("HAKMEM_DECAY", "7s", 1);
                    setenv("HAKMEM_NOSUCH", "1", 1);
                    setenv("HAKMEM_STRICT", "1", 1);
                    setenv("HAKMEM_HELP", "1", 1);
                    CHILD_REQUIRE(os::load_options());
                    CHILD_REQUIRE(os::options().decay == 500);
                    CHILD_REQUIRE(os::options().strict == 0);
                }),
                testing::ExitedWithCode(0), "^$");
}

TEST(EnvironmentLoadDeathTest, OfThreadsThatAskAtOnceOneReads) {
    EXPECT_EXIT(in_child([] {
                    setenv("HAKMEM_DECAY", "7s", 1);
                    std::atomic<unsigned> readers{0};
                    std::vector<std::thread> threads;
                    for (int i = 0; i < 4; i++) {
                        threads.emplace_back([&readers] {
                            if (os::load_options()) readers++;
                        });
                    }
                    for (std::thread& thread : threads) thread.join();
                    CHILD_REQUIRE(readers == 1);
                    CHILD_REQUIRE(os::options().decay == 7000);
                }),
                testing::ExitedWithCode(0), "");
}

TEST(EnvironmentLoadDeathTest, ComplaintsComeOnceAndGoToStandardError) {
    EXPECT_EXIT(in_child([] {
                    setenv("HAKMEM_DECAY", "bad", 1);
                    os::load_options();
                    os::load_options();
                }),
                testing::ExitedWithCode(0), "^hakmem: HAKMEM_DECAY=\"bad\"[^\n]*\n$");
}

}  // namespace
