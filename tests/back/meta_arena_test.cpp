#include "back/meta_arena.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "tests/back/arena_room.hpp"
#include "tests/os/fault_injection.hpp"

namespace {

using namespace hakmem;
namespace meta_arena = back::meta_arena;
using tests::FaultInjection;
using tests::leave_arena_room;

struct Span {
    const char* start;
    std::size_t bytes;
};

std::vector<Span> chunks() {
    std::vector<Span> found;
    found.reserve(10000);
    meta_arena::for_each_chunk(
        [](const void* start, std::size_t bytes, void* context) {
            static_cast<std::vector<Span>*>(context)->push_back(
                {static_cast<const char*>(start), bytes});
        },
        &found);
    return found;
}

bool lies_in_a_chunk(const void* start, std::size_t bytes) {
    const char* const at = static_cast<const char*>(start);
    const std::vector<Span> all = chunks();
    return std::any_of(all.begin(), all.end(), [=](const Span& chunk) {
        return at >= chunk.start && at + bytes <= chunk.start + chunk.bytes;
    });
}

bool is_zero(const void* start, std::size_t bytes) {
    const char* const at = static_cast<const char*>(start);
    return std::all_of(at, at + bytes, [](char c) { return c == 0; });
}

TEST(MetaArena, RecordsAndPagesAreAlignedZeroDisjointAndInAChunk) {
    std::vector<Span> records;
    const auto enter = [&](void* record, std::size_t bytes, std::size_t alignment) {
        ASSERT_NE(record, nullptr);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(record) % alignment, 0u);
        EXPECT_TRUE(is_zero(record, bytes));
        EXPECT_TRUE(lies_in_a_chunk(record, bytes));
        std::memset(record, 0xff, bytes);
        records.push_back({static_cast<char*>(record), bytes});
    };
    for (int i = 0; i < 10; i++) {
        for (const std::size_t bytes : {1u, 7u, 64u, 1000u, 5000u, 100000u}) {
            enter(meta_arena::allocate(bytes), bytes, base::cache_line_bytes);
            enter(meta_arena::allocate_both(0, bytes).pages,
                  base::round_up(bytes, base::page_bytes), base::page_bytes);
        }
    }
    std::sort(records.begin(), records.end(),
              [](const Span& a, const Span& b) { return a.start < b.start; });
    for (std::size_t i = 1; i < records.size(); i++) {
        EXPECT_GE(records[i].start, records[i - 1].start + records[i - 1].bytes);
    }
    EXPECT_EQ(meta_arena::validate(), nullptr);
}

TEST(MetaArena, RecordsShareAPageThoughPagesAreTakenBetween) {
    const char* last = static_cast<char*>(meta_arena::allocate(64));
    int neighbours = 0;
    for (int i = 0; i < 10; i++) {
        ASSERT_NE(meta_arena::allocate_both(0, base::page_bytes).pages, nullptr);
        const char* const next = static_cast<char*>(meta_arena::allocate(64));
        neighbours += next == last + 64 ? 1 : 0;
        last = next;
    }
    EXPECT_GE(neighbours, 9);  // a new chunk may have begun once
}

TEST(MetaArena, ARecordMayBeLargerThanAnyChunk) {
    constexpr std::size_t bytes = 9 * base::mebibyte;
    void* const record = meta_arena::allocate_both(0, bytes).pages;
    ASSERT_NE(record, nullptr);
    EXPECT_TRUE(lies_in_a_chunk(record, bytes));
    static_cast<char*>(record)[bytes - 1] = 1;
    EXPECT_EQ(meta_arena::validate(), nullptr);
}

TEST(MetaArena, ThreadsGetRecordsOfTheirOwn) {
    constexpr std::size_t bytes = 48;
    std::vector<std::vector<unsigned char*>> records(4);
    std::vector<std::thread> threads;
    for (unsigned char t = 0; t < 4; t++) {
        threads.emplace_back([&mine = records[t], t] {
            for (int i = 0; i < 2000; i++) {
                auto* const record = static_cast<unsigned char*>(meta_arena::allocate(bytes));
                ASSERT_NE(record, nullptr);
                std::memset(record, t + 1, bytes);
                mine.push_back(record);
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    for (unsigned char t = 0; t < 4; t++) {
        for (const unsigned char* record : records[t]) {
            for (std::size_t i = 0; i < bytes; i++) ASSERT_EQ(record[i], t + 1);
        }
    }
}

// Takes records until the newest chunk has no room for another one.
void use_up() {
    FaultInjection faults({.calls = FaultInjection::map});
    while (meta_arena::allocate(4096) != nullptr) {
    }
    while (meta_arena::allocate(64) != nullptr) {
    }
}

TEST(MetaArena, WithoutMemoryTheAnswerIsNullAndLaterAllIsWell) {
    void* const before = meta_arena::allocate(100);
    std::memset(before, 0x5a, 100);
    use_up();
    const std::size_t count = chunks().size();
    {
        FaultInjection faults({.calls = FaultInjection::map});
        for (int i = 0; i < 10; i++) EXPECT_EQ(meta_arena::allocate(64), nullptr);
        EXPECT_EQ(FaultInjection::failed(), 20u);  // each asks for a usual chunk, then a small one
    }
    EXPECT_EQ(chunks().size(), count);
    EXPECT_EQ(meta_arena::validate(), nullptr);
    EXPECT_NE(meta_arena::allocate(64), nullptr);
    EXPECT_EQ(chunks().size(), count + 1);
    EXPECT_EQ(static_cast<unsigned char*>(before)[99], 0x5a);
}

TEST(MetaArena, ARecordAndItsPagesLieInTheSameChunk) {
    const auto [record, pages] = meta_arena::allocate_both(100, 5000);
    EXPECT_TRUE(lies_in_a_chunk(record, 128));
    EXPECT_TRUE(lies_in_a_chunk(pages, 2 * base::page_bytes));
    EXPECT_LT(record, pages);
}

// Of a pair of which one half could be had, that half would be lost with each attempt.
TEST(MetaArena, WhereThereIsRoomForHalfOfAPairNothingIsTaken) {
    const char* const next = leave_arena_room(2048);
    FaultInjection faults({.calls = FaultInjection::map});
    for (int i = 0; i < 5; i++) {
        const auto [record, pages] = meta_arena::allocate_both(64, 1);
        EXPECT_EQ(record, nullptr);
        EXPECT_EQ(pages, nullptr);
    }
    EXPECT_EQ(meta_arena::allocate(64), next);
}

TEST(MetaArena, WhereMemoryIsShortASmallChunkWillDo) {
    use_up();
    {
        FaultInjection faults({.calls = FaultInjection::map, .last = 1});
        EXPECT_NE(meta_arena::allocate(100), nullptr);
        EXPECT_EQ(FaultInjection::failed(), 1u);
    }
    EXPECT_EQ(chunks().front().bytes, base::page_bytes);
    use_up();
    EXPECT_NE(meta_arena::allocate(100), nullptr);
    EXPECT_GT(chunks().front().bytes, base::page_bytes);
}

TEST(MetaArena, ChunksGrowToSevenQuartersOfAMebibyteAndNoFurther) {
    for (int i = 0; i < 8; i++) {
        use_up();
        ASSERT_NE(meta_arena::allocate(64), nullptr);
    }
    EXPECT_EQ(chunks().front().bytes, 7 * base::mebibyte / 4);
    for (const Span& chunk : chunks()) {
        EXPECT_EQ(chunk.bytes % base::page_bytes, 0u);
    }
}

// The beginning of a chunk, as meta_arena.cpp has it.
struct ChunkHeader {
    void* older;
    char* next;
    char* pages;
    char* end;
};

TEST(MetaArena, I1_PointersOutOfOrderAreNoticed) {
    ASSERT_NE(meta_arena::allocate(64), nullptr);
    ASSERT_EQ(meta_arena::validate(), nullptr);
    for (const Span& chunk : chunks()) {
        auto& header = *reinterpret_cast<ChunkHeader*>(const_cast<char*>(chunk.start));
        ASSERT_EQ(header.end, chunk.start + chunk.bytes);
        const ChunkHeader sound = header;
        for (char* const wrong :
             {header.pages + 1, const_cast<char*>(chunk.start), static_cast<char*>(nullptr)}) {
            header.next = wrong;
            EXPECT_STREQ(meta_arena::validate(), "meta_arena I1");
        }
        header.next = header.pages;  // full, which is no fault
        EXPECT_EQ(meta_arena::validate(), nullptr);
        for (char* const wrong : {header.end + 1, header.next - 1}) {
            header.pages = wrong;
            EXPECT_STREQ(meta_arena::validate(), "meta_arena I1");
        }
        header = sound;
    }
    EXPECT_EQ(meta_arena::validate(), nullptr);
}

}  // namespace
