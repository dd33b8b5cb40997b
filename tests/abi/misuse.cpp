/**
 * @file misuse.cpp
 * @brief One misuse a run: the argument names it. misuse_test.py knows what must happen.
 *
 * A case commits its misuse and then, where the default build may see it later only, goes on until
 * the slow path has seen every block there is. What is written to descriptor 1 tells the driver how
 * far the program came. With MISUSE_TRACE set, the frames of the stack are written when SIGABRT
 * arrives: the name of the function that aborts is part of the contract. With MISUSE_HANDLER set
 * the handler of SIGABRT allocates, frees and forks, as that of a crash reporter may.
 */
#include <array>
#include <cstdlib>

#include <dlfcn.h>
#include <execinfo.h>

#include "check.hpp"
#include "entry_points.hpp"
#include "subject.hpp"
#include "support.hpp"

using namespace entry;

namespace {

void say(const char* text) { check::Line().add(text).put(1); }

/** Enough traffic of one size that every magazine, pending table and slab of it is gone through. */
void provoke(std::size_t size) {
    static std::array<void*, 20000> blocks;
    const std::size_t count = size > 64 * kib ? 64 : blocks.size();
    for (std::size_t i = 0; i < count; ++i) {
        blocks[i] = c_malloc(size);
    }
    for (std::size_t i = 0; i < count; ++i) {
        c_free(blocks[i]);
    }
    c_trim(0);
    c_trim(0);
}

void in_thread(void (*body)()) {
    thread_join(thread_start(
        [](void* function) -> void* {
            reinterpret_cast<void (*)()>(function)();
            return nullptr;
        },
        reinterpret_cast<void*>(body)));
}

/** Says "misuse" before and "survived" after, then gives the slow path its chance. */
template <class Misuse>
void commit(std::size_t size, const void* address, Misuse misuse) {
    check::Line().add("address ").value(address).put(1);
    say("misuse");
    misuse();
    say("survived");
    provoke(size);
    say("unseen");
}

void* shared_block;

void double_free(std::size_t size) {
    void* const block = c_malloc(size);
    std::memset(block, 1, size);
    c_free(block);
    commit(size, block, [=] { c_free(block); });
}

void double_free_after_others(std::size_t size) {
    std::array<void*, 40> blocks;
    for (void*& block : blocks) {
        block = c_malloc(size);
    }
    for (void* const block : blocks) {
        c_free(block);
    }
    commit(size, blocks[7], [&] { c_free(blocks[7]); });
}

void inner_free(std::size_t size, std::size_t offset) {
    char* const block = static_cast<char*>(c_malloc(size));
    void* const next = c_malloc(size);
    std::memset(block, 1, size);
    commit(size, block + offset, [=] { c_free(block + offset); });
    c_free(next);
}

void wild_free(std::uintptr_t value) {
    commit(64, reinterpret_cast<void*>(value), [=] { c_free(reinterpret_cast<void*>(value)); });
}

/** The C library's own malloc, behind whichever one serves. */
template <class Function>
Function* libc_function(const char* name) {
    static void* const libc = dlopen("libc.so.6", RTLD_NOW);
    CHECK(libc != nullptr);
    auto* const function = reinterpret_cast<Function*>(dlsym(libc, name));
    CHECK(function != nullptr);
    CHECK(subject_object_of(reinterpret_cast<void*>(function)) !=
          subject_object_of(dlsym(RTLD_DEFAULT, "malloc")));
    return function;
}

void* libc_malloc(std::size_t size) {
    static auto* const function = libc_function<void*(std::size_t)>("malloc");
    void* const block = function(size);
    CHECK(block != nullptr);
    return block;
}

struct Case {
    const char* name;
    void (*body)();
};

char global_bytes[4096] __attribute__((aligned(64)));

const Case cases[] = {
    {"double_free_tiny", [] { double_free(40); }},
    {"double_free_small", [] { double_free(3000); }},
    {"double_free_mid", [] { double_free(20 * kib); }},
    {"double_free_unit", [] { double_free(100 * kib); }},
    {"double_free_large", [] { double_free(mib); }},
    {"double_free_huge", [] { double_free(8 * mib); }},
    {"double_free_unmapped", [] { double_free(100 * mib); }},
    {"double_free_trimmed",
     [] {
         void* const block = c_malloc(3 * mib);
         c_free(block);
         subject_trim();
         commit(3 * mib, block, [=] { c_free(block); });
     }},
    {"realloc_after_free",
     [] {
         void* const block = c_malloc(100);
         c_free(block);
         // The size fits, so realloc has no need to free. It must see what the next free would.
         commit(100, block, [=] {
             void* const again = c_realloc(block, 104);
             say("survived");
             c_free(again);
         });
     }},
    {"double_free_after_others", [] { double_free_after_others(40); }},
    {"double_free_after_others_mid", [] { double_free_after_others(20 * kib); }},
    {"double_free_aligned",
     [] {
         void* const block = c_aligned_alloc(256, 700);
         c_free(block);
         commit(768, block, [=] { c_free(block); });
     }},
    {"double_free_delete",
     [] {
         void* const block = n_new(48);
         n_delete(block);
         commit(48, block, [=] { n_delete(block); });
     }},
    {"double_free_realloc",
     [] {
         void* const block = c_malloc(48);
         c_free(block);
         commit(48, block, [=] { c_free(c_realloc(block, 4000)); });
     }},
    {"double_free_other_thread",
     [] {
         shared_block = c_malloc(100);
         in_thread([] { c_free(shared_block); });
         commit(100, shared_block, [] { c_free(shared_block); });
     }},
    {"double_free_in_other_thread",
     [] {
         shared_block = c_malloc(100);
         c_free(shared_block);
         commit(100, shared_block, [] { in_thread([] { c_free(shared_block); }); });
     }},
    {"double_free_two_threads",
     [] {
         shared_block = c_malloc(100);
         in_thread([] { c_free(shared_block); });
         commit(100, shared_block, [] { in_thread([] { c_free(shared_block); }); });
     }},
    {"double_free_one_other_thread",
     [] {
         shared_block = c_malloc(100);
         commit(100, shared_block, [] {
             in_thread([] {
                 c_free(shared_block);
                 c_free(shared_block);
             });
         });
     }},
    {"double_free_large_other_thread",
     [] {
         shared_block = c_malloc(mib);
         in_thread([] { c_free(shared_block); });
         commit(mib, shared_block, [] { c_free(shared_block); });
     }},
    {"inner_free_by_one", [] { inner_free(64, 1); }},
    {"inner_free_by_eight", [] { inner_free(64, 8); }},
    {"inner_free_by_16", [] { inner_free(64, 16); }},
    {"inner_free_small", [] { inner_free(3000, 1024); }},
    {"inner_free_mid", [] { inner_free(20 * kib, 4 * kib); }},
    {"inner_free_second_unit", [] { inner_free(200 * kib, 64 * kib); }},
    {"inner_free_large", [] { inner_free(mib, 512 * kib); }},
    {"inner_free_large_by_16", [] { inner_free(mib, 16); }},
    {"inner_free_huge", [] { inner_free(8 * mib, 5 * mib); }},
    {"inner_free_other_thread",
     [] {
         shared_block = static_cast<char*>(c_malloc(64)) + 16;
         commit(64, shared_block, [] { in_thread([] { c_free(shared_block); }); });
     }},
    {"inner_realloc",
     [] {
         char* const block = static_cast<char*>(c_malloc(64));
         commit(64, block + 16, [=] { c_free(c_realloc(block + 16, 5000)); });
     }},
    {"stack_free",
     [] {
         alignas(64) char bytes[512];
         std::memset(bytes, 0, sizeof bytes);
         char* volatile pointer = bytes + 64;
         commit(64, pointer, [=] { c_free(pointer); });
     }},
    {"global_free", [] { commit(64, global_bytes + 64, [] { c_free(global_bytes + 64); }); }},
    {"code_free",
     [] {
         const auto code = reinterpret_cast<std::uintptr_t>(&double_free) | 1;
         wild_free(code);
     }},
    {"wild_16", [] { wild_free(0x10); }},
    {"wild_one", [] { wild_free(1); }},
    {"wild_deadbeef", [] { wild_free(0xdeadbeefdeadbeef); }},
    {"wild_noncanonical", [] { wild_free(0x0000900000000000); }},
    {"wild_kernel", [] { wild_free(0xffff888000000000); }},
    {"wild_minus_16", [] { wild_free(static_cast<std::uintptr_t>(-16)); }},
    {"wild_minus_one", [] { wild_free(static_cast<std::uintptr_t>(-1)); }},
    {"wild_unmapped", [] { wild_free(0x123456780000); }},
    {"wild_realloc",
     [] {
         commit(64, reinterpret_cast<void*>(0x10),
                [] { c_free(c_realloc(reinterpret_cast<void*>(0x10), 100)); });
     }},
    {"sized_delete_small",
     [] {
         void* const block = n_new(4000);
         commit(4000, block, [=] { n_delete_sized(block, 8); });
     }},
    {"sized_delete_large",
     [] {
         void* const block = n_new(24);
         commit(24, block, [=] { n_delete_sized(block, 4000); });
     }},
    {"sized_delete_array",
     [] {
         void* const block = n_new_array(300 * kib);
         commit(300 * kib, block, [=] { n_delete_array_sized(block, 100); });
     }},
    {"sized_delete_aligned",
     [] {
         void* const block = n_new_aligned(1000, 64);
         commit(1000, block, [=] { n_delete_sized_aligned(block, 70000, 64); });
     }},
    {"free_sized_mismatch",
     [] {
         auto* const free_sized = subject_optional(w_free_sized, "free_sized");
         CHECK(free_sized != nullptr);
         void* const block = c_malloc(4000);
         commit(4000, block, [=] { free_sized(block, 70000); });
     }},

    // --- no misuse, or none that is fatal ------------------------------------------------
    {"clean",
     [] {
         c_free(nullptr);
         for (const std::size_t size :
              {std::size_t{1}, std::size_t{48}, 3 * kib, 20 * kib, 200 * kib, 8 * mib}) {
             void* block = c_malloc(size);
             block = c_realloc(block, size + 1);
             c_free(block);
             n_delete_sized(n_new(size), size);
             provoke(size);
         }
         in_thread([] { provoke(100); });
     }},
    {"foreign_free",
     [] {
         for (std::size_t size = 1; size < 300 * kib; size += size / 4 + 1) {
             c_free(libc_malloc(size));
         }
         in_thread([] { c_free(libc_malloc(100)); });
         provoke(100);
     }},
    {"foreign_realloc",
     [] {
         for (std::size_t size = 8; size < 300 * kib; size *= 3) {
             void* block = libc_malloc(size);
             pattern_fill(block, size, size);
             block = c_realloc(block, 5 * size);
             CHECK(block != nullptr);
             CHECK(pattern_holds(block, size, size));
             block = c_realloc(block, size);
             CHECK(block != nullptr);
             CHECK(pattern_holds(block, size, size));
             c_free(block);
         }
     }},
    {"foreign_usable_size",
     [] {
         for (std::size_t size = 1; size < 300 * kib; size *= 3) {
             void* const block = libc_malloc(size);
             CHECK_LE(size, c_usable(block));
             CHECK_LE(c_usable(block), 2 * size + 64);
             c_free(block);
         }
     }},
    {"foreign_delete",
     [] {
         n_delete(libc_malloc(100));
         n_delete_sized(libc_malloc(100), 100);
         n_delete_array(libc_malloc(100));
     }},
    {"foreign_free_once",
     [] {
         void* const block = libc_malloc(100);
         commit(100, block, [=] { c_free(block); });
     }},
    {"foreign_realloc_once",
     [] {
         void* const block = libc_malloc(100);
         commit(100, block, [=] { static_cast<void>(c_realloc(block, 200)); });
     }},
};

void write_frames(int) {
    void* frames[40];
    const int count = backtrace(frames, 40);
    for (int i = 0; i < count; ++i) {
        const char* object = "";
        const void* const start = subject_object_of(frames[i], &object);
        const auto offset =
            reinterpret_cast<std::uintptr_t>(frames[i]) - reinterpret_cast<std::uintptr_t>(start);
        check::Line().add("frame ").add(object).add(" ").value(offset).put(1);
    }
    ::signal(SIGABRT, SIG_DFL);
    ::raise(SIGABRT);
}

/** Uses every layer whose lock the thread may hold that SIGABRT has interrupted. */
void allocate_and_free() {
    std::array<void*, 300> blocks;
    for (const std::size_t size : {std::size_t{40}, std::size_t{3000}, 20 * kib, mib, 3 * mib}) {
        const std::size_t count = size > 64 * kib ? 10 : blocks.size();
        for (std::size_t i = 0; i < count; ++i) {
            blocks[i] = c_malloc(size);
            CHECK(blocks[i] != nullptr);
            std::memset(blocks[i], 1, size);
        }
        blocks[0] = c_realloc(blocks[0], 2 * size);
        for (std::size_t i = 0; i < count; ++i) {
            c_free(blocks[i]);
        }
    }
}

void allocate_and_fork(int) {
    constexpr int child_status = 5;
    allocate_and_free();
    const pid_t child = fork();
    CHECK_NE(child, -1);
    if (child == 0) {
        deadline(10);
        allocate_and_free();
        ::_exit(child_status);
    }
    expect_exit(child, child_status);
    allocate_and_free();
    say("handled");
    ::signal(SIGABRT, SIG_DFL);
    ::raise(SIGABRT);
}

}  // namespace

int main(int argc, char** argv) {
    subject_require();
    deadline(60);
    if (std::getenv("MISUSE_HANDLER") != nullptr) {
        ::signal(SIGABRT, allocate_and_fork);
    }
    if (std::getenv("MISUSE_TRACE") != nullptr) {
        // The first call loads the unwinder; the handler must not.
        void* frame;
        CHECK_EQ(backtrace(&frame, 1), 1);
        ::signal(SIGABRT, write_frames);
    }
    for (const Case& each : cases) {
        if (argc == 2 && std::strcmp(each.name, argv[1]) == 0) {
            each.body();
            say("end");
            return 0;
        }
        if (argc == 2 && std::strcmp(argv[1], "--list") == 0) {
            say(each.name);
        }
    }
    return argc == 2 && std::strcmp(argv[1], "--list") == 0 ? 0 : 2;
}
