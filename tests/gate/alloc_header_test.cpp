#include "gate/alloc_header.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstddef>
#include <cstring>
#include <vector>

#include "tests/gate/page_after_nothing.hpp"

namespace {

using namespace hakmem;
using gate::AllocHeader;
using tests::PageAfterNothing;

constexpr std::size_t header_bytes = sizeof(AllocHeader);

// A page of the test's own.
struct Page {
    alignas(base::page_bytes) char bytes[base::page_bytes] = {};
    // Somewhere inside, where a block may be that has a header.
    char* block(std::size_t number = 4) { return bytes + number * base::block_alignment; }
};
constexpr std::size_t blocks_of_a_page = base::page_bytes / base::block_alignment;

TEST(AllocHeader, AStampedBlockHasItsHeader) {
    Page page;
    for (const std::uint32_t offset : {0u, 16u, 4096u, UINT32_MAX}) {
        gate::stamp_header(page.block(), offset);
        const AllocHeader* const header = gate::header_of(page.block());
        ASSERT_NE(header, nullptr) << offset;
        EXPECT_EQ(header + 1, static_cast<void*>(page.block()));
        EXPECT_EQ(header->offset, offset);
    }
}

TEST(AllocHeader, ItEndsWithTheHeaderByte) {
    Page page;
    gate::stamp_header(page.block(), 16);
    EXPECT_TRUE(gate::read_header(page.block()).is_pool());
}

TEST(AllocHeader, StampingTouchesNothingElse) {
    Page page;
    std::memset(page.bytes, 0x55, sizeof page.bytes);
    gate::stamp_header(page.block(), 0);
    const char* const header = page.block() - header_bytes;
    for (const char* at = page.bytes; at < page.bytes + sizeof page.bytes; at++) {
        const bool is_header = at >= header && at < page.block();
        ASSERT_TRUE(is_header || *at == 0x55) << at - page.bytes;
    }
}

// ---- what is not a header -----------------------------------------------------------------------

TEST(AllocHeader, ZeroesAreNone) {
    Page page;
    for (std::size_t i = 0; i < blocks_of_a_page; i++) {
        EXPECT_EQ(gate::header_of(page.block(i)), nullptr);
    }
}

RC_GTEST_PROP(AllocHeaderProperty, RandomBytesAreNone, ()) {
    Page page;
    const auto bytes =
        *rc::gen::container<std::vector<char>>(header_bytes, rc::gen::arbitrary<char>());
    std::memcpy(page.block() - header_bytes, bytes.data(), header_bytes);
    RC_ASSERT(gate::header_of(page.block()) == nullptr);
    // Nor if they end as one does.
    page.block()[-1] = static_cast<char>(gate::pool_magic);
    RC_ASSERT(gate::header_of(page.block()) == nullptr);
}

RC_GTEST_PROP(AllocHeaderProperty, ACopiedHeaderIsNoneAtAnotherAddress, ()) {
    Page page;
    const auto from = *rc::gen::inRange<std::size_t>(1, blocks_of_a_page);
    const auto to = *rc::gen::inRange<std::size_t>(1, blocks_of_a_page);
    const auto offset = *rc::gen::arbitrary<std::uint32_t>();
    RC_PRE(from != to);
    gate::stamp_header(page.block(from), offset);
    std::memcpy(page.block(to) - header_bytes, page.block(from) - header_bytes, header_bytes);
    RC_ASSERT(gate::header_of(page.block(from)) != nullptr);
    RC_ASSERT(gate::header_of(page.block(to)) == nullptr);
}

TEST(AllocHeader, OneBitThatIsOverwrittenIsNoticed) {
    Page page;
    for (std::size_t bit = 0; bit < header_bytes * 8; bit++) {
        const std::size_t byte = bit / 8;
        // The three bytes that mean nothing.
        if (byte >= offsetof(AllocHeader, nothing) && byte < offsetof(AllocHeader, byte)) continue;
        gate::stamp_header(page.block(), 16);
        char& hit = page.block()[static_cast<std::ptrdiff_t>(byte) -
                                 static_cast<std::ptrdiff_t>(header_bytes)];
        hit = static_cast<char>(hit ^ 1 << bit % 8);
        EXPECT_EQ(gate::header_of(page.block()), nullptr) << "bit " << bit;
    }
}

// ---- headers that a page would cut --------------------------------------------------------------

TEST(AllocHeader, ABlockAtThePageStartHasNoneAndNothingBeforeItIsTouched) {
    const PageAfterNothing page;
    gate::stamp_header(page.start(), 16);
    EXPECT_EQ(gate::header_of(page.start()), nullptr);
}

TEST(AllocHeader, AHeaderCutByAPageIsNoneAndIsNotRead) {
    const PageAfterNothing page;
    for (std::size_t at = 0; at < header_bytes; at++) {
        EXPECT_FALSE(gate::has_header_before(page.start() + at)) << at;
        EXPECT_EQ(gate::header_of(page.start() + at), nullptr) << at;
    }
    gate::stamp_header(page.start() + header_bytes, 16);
    EXPECT_NE(gate::header_of(page.start() + header_bytes), nullptr);
}

// The same where both pages are there: the bytes would make sense, and are not believed.
TEST(AllocHeader, AHeaderAcrossTwoPagesIsNone) {
    const PageAfterNothing pages;
    char* const second = pages.start() + base::page_bytes;
    for (std::size_t at = 0; at < header_bytes; at++) {
        auto* const place = second + at - header_bytes;
        AllocHeader header{0, 16, {}, gate::pool_magic};
        header.check = reinterpret_cast<std::uintptr_t>(place) ^ 16 ^ AllocHeader::scramble;
        std::memcpy(place, &header, header_bytes);
        EXPECT_EQ(gate::header_of(second + at), nullptr) << at;
    }
}

TEST(AllocHeader, WhereNoBlockCanBeThereIsNoHeader) {
    const PageAfterNothing page;
    for (std::size_t at = 0; at < 2 * base::page_bytes; at++) {
        const bool may_be =
            at % base::block_alignment == 0 && at % base::page_bytes >= header_bytes;
        ASSERT_EQ(gate::has_header_before(page.start() + at), may_be) << at;
    }
}

}  // namespace
