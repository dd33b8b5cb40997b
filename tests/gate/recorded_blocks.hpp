// Blocks as the recorded phases have them, for the gates to be asked about.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>

#include "back/large.hpp"
#include "back/page_map.hpp"
#include "back/shared_pool.hpp"
#include "base/units.hpp"
#include "gate/alloc_header.hpp"

namespace hakmem::tests {

/** A slab of the shared pool; its memory is there, and its entries are set. */
class PoolSlab {
public:
    explicit PoolSlab(base::ClassId id) {
        static constinit back::SlabOwner owner{};
        owner.tag = 1;
        slab_ = back::shared_pool::acquire_slab(id, owner, back::shared_pool::Growth::allowed);
        EXPECT_NE(slab_, nullptr);
    }
    ~PoolSlab() { back::shared_pool::release_slab(*slab_); }
    PoolSlab(const PoolSlab&) = delete;
    PoolSlab& operator=(const PoolSlab&) = delete;
    unsigned count() const { return slab_->block_count; }
    char* block(unsigned i) const { return slab_->start + i * slab_->block_bytes; }

private:
    back::Slab* slab_;
};

/** A large block, behind the header at the start of its memory. */
class LargeBlock {
public:
    explicit LargeBlock(std::size_t bytes) {
        bool zero = false;
        start_ = static_cast<char*>(back::large::allocate(bytes, base::block_alignment, zero));
        EXPECT_NE(start_, nullptr);
        gate::stamp_header(block(), sizeof(gate::AllocHeader));
    }
    ~LargeBlock() { back::large::release(record()); }
    LargeBlock(const LargeBlock&) = delete;
    LargeBlock& operator=(const LargeBlock&) = delete;
    char* block() const { return start_ + sizeof(gate::AllocHeader); }
    back::Slab& record() const { return *back::page_map::slab_of(start_); }

private:
    char* start_;
};

}  // namespace hakmem::tests
