/**
 * @file exit_time.cpp
 * @brief atexit handlers, static destructors and .fini functions that allocate and free.
 *
 * The allocator destroys nothing at exit, since it cannot know who comes after it. The program
 * runs itself as a child, whose last destructor proves by its exit status that all steps ran.
 */
#include <array>
#include <string>
#include <vector>

#include <cstdlib>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

constexpr int all_steps = 6;
constexpr int proven = 42;

bool is_child = false;
int steps = 0;
std::array<Block, 64> carried;

void work() {
    for (std::size_t i = 0; i < carried.size(); ++i) {
        carried[i].release();
        carried[i].make(1 + i * i * 31, i);
    }
    void* large = subject_malloc(2 * mib);
    CHECK(large != nullptr);
    large = subject_realloc(large, 5 * mib);
    CHECK(large != nullptr);
    subject_free(large);
}

struct Holder {
    ~Holder() {
        if (is_child) {
            work();
            ++steps;
        }
    }
    std::vector<std::string> text{100, std::string(200, 'x')};
};

Holder before_main;

void at_exit_one() {
    work();
    ++steps;
    // A handler that is registered while handlers run is run as well.
    CHECK_EQ(std::atexit([] {
                 work();
                 ++steps;
             }),
             0);
}

void at_exit_two() {
    work();
    ++steps;
}

struct ThreadHolder {
    ~ThreadHolder() {
        if (is_child) {
            work();
            ++steps;
        }
    }
};

[[gnu::destructor(101)]] void very_last() {
    if (!is_child) {
        return;
    }
    work();
    for (Block& block : carried) {
        block.release();
    }
    ++steps;
    ::_exit(steps == all_steps ? proven : 1);
}

}  // namespace

int main(int argc, char** argv) {
    subject_require();
    deadline(60);
    if (argc > 1) {
        is_child = true;
        thread_local ThreadHolder of_main_thread;
        static_cast<void>(&of_main_thread);
        CHECK_EQ(std::atexit(at_exit_one), 0);
        CHECK_EQ(std::atexit(at_exit_two), 0);
        work();
        return 0;
    }
    const pid_t child = fork();
    CHECK_NE(child, -1);
    if (child == 0) {
        execl("/proc/self/exe", argv[0], "child", nullptr);
        ::_exit(1);
    }
    expect_exit(child, proven);
    return 0;
}
