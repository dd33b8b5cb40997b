#include "os/real_libc.hpp"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

namespace {

using namespace hakmem;

// The allocator that real_libc speaks to. In a sanitizer's program `malloc` may be another one.
void* next_malloc(std::size_t bytes) {
    static const auto function =
        reinterpret_cast<void* (*)(std::size_t)>(dlsym(RTLD_NEXT, "malloc"));
    return function != nullptr ? function(bytes) : nullptr;
}

TEST(RealLibc, ABlockOfTheCLibraryCanBeFreed) {
    void* const block = next_malloc(100);
    ASSERT_NE(block, nullptr);
    EXPECT_TRUE(os::libc_free(block));
}

TEST(RealLibc, ReallocKeepsTheContents) {
    void* const block = next_malloc(100);
    ASSERT_NE(block, nullptr);
    std::memset(block, 0x5a, 100);
    void* result = nullptr;
    ASSERT_TRUE(os::libc_realloc(block, 100000, result));
    ASSERT_NE(result, nullptr);
    for (std::size_t i = 0; i < 100; i++) ASSERT_EQ(static_cast<unsigned char*>(result)[i], 0x5a);
    EXPECT_TRUE(os::libc_free(result));
}

TEST(RealLibc, TheUsableSizeIsAtLeastTheRequest) {
    for (const std::size_t request : {1u, 24u, 1000u, 1000000u}) {
        void* const block = next_malloc(request);
        std::size_t usable = 0;
        ASSERT_TRUE(os::libc_usable_size(block, usable));
        EXPECT_GE(usable, request);
        EXPECT_TRUE(os::libc_free(block));
    }
}

TEST(RealLibc, AFunctionIsFoundInALibraryThatIsOpenAndNoneIsOpenedForIt) {
    EXPECT_EQ(os::function_of("libc.so.6", "getpid"), dlsym(RTLD_DEFAULT, "getpid"));
    EXPECT_EQ(os::function_of("libc.so.6", "no_such_function"), nullptr);
    EXPECT_EQ(os::function_of("libresolv.so.2", "res_query"), nullptr);
    EXPECT_EQ(dlopen("libresolv.so.2", RTLD_LAZY | RTLD_NOLOAD), nullptr);
}

TEST(RealLibc, ThreadsThatLookUpAtOnceGetTheSameAnswer) {
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; t++) {
        threads.emplace_back([] {
            for (int i = 0; i < 200; i++) {
                void* const block = next_malloc(64);
                std::size_t usable = 0;
                EXPECT_TRUE(os::libc_usable_size(block, usable));
                EXPECT_GE(usable, 64u);
                EXPECT_TRUE(os::libc_free(block));
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
}

}  // namespace
