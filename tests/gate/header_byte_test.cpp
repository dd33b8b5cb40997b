#include "gate/header_byte.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <cstring>

#include "tests/gate/page_after_nothing.hpp"
#include "tests/os/child.hpp"

namespace {

using namespace hakmem;
using gate::HeaderByte;
using tests::PageAfterNothing;

unsigned char byte_before(const char* block) { return static_cast<unsigned char>(block[-1]); }

TEST(HeaderByte, AStampedBlockSaysItsClass) {
    alignas(base::page_bytes) char page[base::page_bytes] = {};
    char* const block = page + 64;
    for (unsigned k = 1; k < base::headerless_class; k++) {
        gate::stamp_tiny(block, k);
        const HeaderByte header = gate::read_header(block);
        EXPECT_TRUE(header.is_tiny());
        EXPECT_FALSE(header.is_pool());
        EXPECT_EQ(header.tiny_class(), k);
        EXPECT_EQ(byte_before(block), 0xa0 | k);
    }
}

TEST(HeaderByte, StampingWritesOneByteInFrontAndNoOther) {
    alignas(base::page_bytes) char page[base::page_bytes];
    std::memset(page, 0x55, sizeof page);
    gate::stamp_tiny(page + 128, 3);
    for (std::size_t i = 0; i < sizeof page; i++) {
        ASSERT_EQ(page[i] != 0x55, i == 127) << i;
    }
}

TEST(HeaderByte, ABlockOfTheHeaderlessClassIsNotStamped) {
    alignas(base::page_bytes) char page[base::page_bytes] = {};
    gate::stamp_tiny(page + 1024, base::headerless_class);
    EXPECT_EQ(byte_before(page + 1024), 0);
}

TEST(HeaderByte, EveryByteSaysTinyOrPoolOrNothing) {
    for (unsigned value = 0; value < 256; value++) {
        const HeaderByte header{static_cast<std::uint8_t>(value)};
        // The class that a byte names has a header, and a slab.
        EXPECT_EQ(header.is_tiny(), value >= 0xa1 && value <= 0xa6) << value;
        EXPECT_EQ(header.is_pool(), value == 0xb0) << value;
    }
}

// ---- page-aligned pointers ----------------------------------------------------------------------

TEST(HeaderByte, ThePageInFrontMayNotBeRead) {
    EXPECT_EXIT(tests::in_child([] {
                    std::signal(SIGSEGV, [](int) { _exit(42); });
                    const PageAfterNothing page;
                    const volatile char* const start = page.start();
                    static_cast<void>(start[-1]);
                }),
                testing::ExitedWithCode(42), "");
}

TEST(HeaderByte, TheByteBeforeAPageAlignedPointerIsNeverRead) {
    const PageAfterNothing page;
    EXPECT_FALSE(gate::has_byte_before(page.start()));
    EXPECT_EQ(gate::read_header(page.start()).value, 0);
    EXPECT_FALSE(gate::read_header(page.start()).is_tiny());
    EXPECT_FALSE(gate::read_header(page.start()).is_pool());
}

TEST(HeaderByte, TheByteBeforeAPageAlignedPointerIsNeverWritten) {
    const PageAfterNothing page;
    for (unsigned k = 0; k < base::recorded_class_count; k++) gate::stamp_tiny(page.start(), k);
}

TEST(HeaderByte, OnlyPageAlignedPointersHaveNoByteBefore) {
    const PageAfterNothing page;
    for (std::size_t at = 0; at < 3 * base::page_bytes; at++) {
        ASSERT_EQ(gate::has_byte_before(page.start() + at), at % base::page_bytes != 0) << at;
    }
    EXPECT_FALSE(gate::has_byte_before(nullptr));
}

}  // namespace
