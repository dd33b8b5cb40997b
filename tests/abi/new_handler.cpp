/**
 * @file new_handler.cpp
 * @brief operator new when there is nothing left: the handler's loop, then std::bad_alloc.
 *
 * The allocator links the C library only. The handler and the exception are found through weak
 * references; the exception must be the real one, whichever compiler and library the program uses.
 */
#include <array>
#include <new>
#include <typeinfo>
#include <vector>

#include <sys/resource.h>

#include "check.hpp"
#include "entry_points.hpp"
#include "subject.hpp"
#include "support.hpp"

using namespace entry;

namespace {

constexpr std::size_t impossible = std::size_t{1} << 62;

int calls = 0;
void* reserve = nullptr;

struct OwnException {
    int code;
};

struct OwnBadAlloc : std::bad_alloc {};

void gives_up_after_three() {
    if (++calls == 3) {
        std::set_new_handler(nullptr);
    }
}

void throws_own() {
    ++calls;
    throw OwnException{17};
}

void throws_bad_alloc() {
    ++calls;
    throw OwnBadAlloc();
}

void frees_the_reserve() {
    ++calls;
    if (reserve == nullptr) {
        throw std::bad_alloc();
    }
    c_free(reserve);
    reserve = nullptr;
}

/** The eight forms of new, as one type; those without alignment or nothrow ignore it. */
using Form = void* (*)(std::size_t);

constexpr std::array<Form, 4> throwing = {{
    [](std::size_t size) { return n_new(size); },
    [](std::size_t size) { return n_new_array(size); },
    [](std::size_t size) { return n_new_aligned(size, 64); },
    [](std::size_t size) { return n_new_array_aligned(size, 4096); },
}};

constexpr std::array<Form, 4> silent = {{
    [](std::size_t size) { return n_new_nothrow(size, std::nothrow); },
    [](std::size_t size) { return n_new_array_nothrow(size, std::nothrow); },
    [](std::size_t size) { return n_new_aligned_nothrow(size, 64, std::nothrow); },
    [](std::size_t size) { return n_new_array_aligned_nothrow(size, 4096, std::nothrow); },
}};

void without_handler() {
    std::set_new_handler(nullptr);
    for (const Form form : throwing) {
        bool caught = false;
        try {
            static_cast<void>(form(impossible));
        } catch (const std::exception& error) {
            caught = typeid(error) == typeid(std::bad_alloc);
            CHECK(std::strlen(error.what()) > 0);
        }
        CHECK(caught);
    }
    for (const Form form : silent) {
        CHECK(form(impossible) == nullptr);
    }
}

void the_loop() {
    for (const Form form : throwing) {
        calls = 0;
        std::set_new_handler(gives_up_after_three);
        bool caught = false;
        try {
            static_cast<void>(form(impossible));
        } catch (const std::bad_alloc&) {
            caught = true;
        }
        CHECK(caught);
        CHECK_EQ(calls, 3);
    }
    for (const Form form : silent) {
        calls = 0;
        std::set_new_handler(gives_up_after_three);
        CHECK(form(impossible) == nullptr);
        CHECK_EQ(calls, 3);
    }
}

void exceptions_of_the_handler() {
    for (const Form form : throwing) {
        calls = 0;
        std::set_new_handler(throws_own);
        int code = 0;
        try {
            static_cast<void>(form(impossible));
        } catch (const OwnException& error) {
            code = error.code;
        }
        CHECK_EQ(code, 17);
        std::set_new_handler(throws_bad_alloc);
        bool caught = false;
        try {
            static_cast<void>(form(impossible));
        } catch (const OwnBadAlloc&) {
            caught = true;
        }
        CHECK(caught);
        CHECK_EQ(calls, 2);
    }
    // The nothrow forms turn the handler's exception into null.
    for (const Form form : silent) {
        calls = 0;
        std::set_new_handler(throws_bad_alloc);
        CHECK(form(impossible) == nullptr);
        CHECK_EQ(calls, 1);
    }
    std::set_new_handler(nullptr);
}

/** Objects between the throw and the catch are destroyed: the frames of the allocator unwind. */
void unwinding() {
    struct Guard {
        int& count;
        ~Guard() { ++count; }
    };
    int destroyed = 0;
    bool caught = false;
    try {
        const Guard outer{destroyed};
        std::vector<Guard> none;
        const Guard inner{destroyed};
        none.reserve(std::size_t{1} << 58);
    } catch (const std::bad_alloc&) {
        caught = true;
    }
    CHECK(caught);
    CHECK_EQ(destroyed, 2);
}

void a_handler_that_frees() {
    reserve = c_malloc(256 * mib);
    CHECK(reserve != nullptr);
    rlimit limit;
    CHECK_EQ(getrlimit(RLIMIT_AS, &limit), 0);
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = process_virtual_bytes() + 16 * mib;
    CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
    // What the kernel refuses, malloc refuses; new asks the handler, and then has it.
    errno = 0;
    CHECK(c_malloc(200 * mib) == nullptr);
    CHECK_EQ(errno, ENOMEM);
    calls = 0;
    std::set_new_handler(frees_the_reserve);
    void* const block = n_new(200 * mib);
    CHECK(block != nullptr);
    CHECK_EQ(calls, 1);
    CHECK(reserve == nullptr);
    std::memset(block, 1, mib);
    // The second time the handler has nothing to give.
    bool caught = false;
    try {
        static_cast<void>(n_new(200 * mib));
    } catch (const std::bad_alloc&) {
        caught = true;
    }
    CHECK(caught);
    CHECK_EQ(calls, 2);
    CHECK(n_new_nothrow(200 * mib, std::nothrow) == nullptr);
    CHECK_EQ(calls, 3);
    n_delete(block);
    std::set_new_handler(nullptr);
    limit.rlim_cur = before;
    CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
    n_delete(n_new(200 * mib));
}

}  // namespace

int main() {
    subject_require();
    deadline(60);
    without_handler();
    the_loop();
    exceptions_of_the_handler();
    unwinding();
    a_handler_that_frees();
    subject_validate();
    return 0;
}
