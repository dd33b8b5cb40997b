// A page of memory behind one that nobody may touch: who reads or writes the byte before it dies.
#pragma once

#include <gtest/gtest.h>

#include "base/units.hpp"
#include "os/virtual_memory.hpp"

namespace hakmem::tests {

class PageAfterNothing {
public:
    PageAfterNothing()
        : nothing_(static_cast<char*>(os::reserve(2 * base::unit_bytes, base::unit_bytes))) {
        EXPECT_NE(nothing_, nullptr);
        EXPECT_TRUE(os::commit(start(), base::unit_bytes));
    }
    ~PageAfterNothing() { os::unmap(nothing_, 2 * base::unit_bytes); }
    PageAfterNothing(const PageAfterNothing&) = delete;
    PageAfterNothing& operator=(const PageAfterNothing&) = delete;

    /** @return The first byte; it begins a unit, and all of the unit is there. */
    char* start() const { return nothing_ + base::unit_bytes; }

private:
    char* nothing_;
};

}  // namespace hakmem::tests
