#include "os/lock_counts.hpp"

namespace hakmem::os {

namespace {

constinit LockCounts counts[base::lock_ranks] = {};

}  // namespace

LockCounts& lock_counts(base::LockRank rank) { return counts[static_cast<unsigned>(rank)]; }

}  // namespace hakmem::os
