/**
 * @file
 * The reference allocator: which addresses are in use.
 *
 * It allocates nothing; it is the plainest possible statement of what malloc promises, an ordered
 * map of live intervals in which no two may overlap. The map is cut into shards by address so that
 * threads rarely meet: an interval is entered piece by piece, each piece within one chunk.
 *
 *     address    |<------ chunk ------>|<------ chunk ------>|
 *     block            [======================)
 *     pieces           [---------------)[-----)      each in the shard of its chunk
 *
 * A block must be removed before it is given back to the subject and entered after it came from it:
 * otherwise another thread's block at the same address would be called an overlap.
 */
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory_resource>
#include <mutex>

namespace hakmem::model {

class Reference {
public:
    Reference();

    /** Enters [start, start + bytes); a violation when any of it is in use. */
    void enter(const void* start, std::size_t bytes);

    /** Removes what was entered with the same arguments. */
    void remove(const void* start, std::size_t bytes);

    /** Number of pieces; only when no other thread uses the reference. */
    std::size_t pieces() const;

private:
    static constexpr std::size_t chunk_bytes = std::size_t{256} * 1024;
    static constexpr std::size_t shard_count = 256;

    struct alignas(64) Shard {
        Shard();
        mutable std::mutex mutex;
        std::pmr::unsynchronized_pool_resource memory;
        std::pmr::map<std::uintptr_t, std::uintptr_t> pieces;  // start -> end
    };

    Shard& shard_of(std::uintptr_t address);
    template <typename Visit>
    void for_each_piece(const void* start, std::size_t bytes, Visit visit);

    std::array<Shard, shard_count> shards_;
};

}  // namespace hakmem::model
