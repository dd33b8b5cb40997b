#include "back/page_map.hpp"

#include "base/lock_rank.hpp"
#include "os/virtual_memory.hpp"

namespace hakmem::back::page_map {

alignas(base::page_bytes) constinit Map map;

namespace {

constinit os::FutexLock lock{base::LockRank::page_map};
constinit std::atomic<Leaf*> newest_leaf{nullptr};
constexpr std::size_t leaf_mapping_bytes = base::round_up(sizeof(Leaf), base::page_bytes);

// [ensure]
bool ensure_leaf(std::size_t i) {
    if (map.root[i].load(std::memory_order_acquire) != 0) return true;
    os::LockGuard guard(lock);
    if (map.root[i].load(std::memory_order_relaxed) != 0) return true;
    auto* const leaf = static_cast<Leaf*>(os::map(leaf_mapping_bytes));
    if (leaf == nullptr) return false;
    leaf->older = newest_leaf.load(std::memory_order_relaxed);
    newest_leaf.store(leaf, std::memory_order_release);
    map.root[i].store(
        reinterpret_cast<std::uintptr_t>(leaf) - reinterpret_cast<std::uintptr_t>(&map.static_leaf),
        std::memory_order_release);
    return true;
}
// [/ensure]

}  // namespace

bool ensure(const void* start, std::size_t bytes) {
    const auto address = reinterpret_cast<std::uintptr_t>(start);
    if (!is_user_address(address) || !is_user_address(address + bytes - 1)) return false;
    const std::size_t last = (address + bytes - 1) >> base::leaf_shift;
    for (std::size_t i = address >> base::leaf_shift; i <= last; i++) {
        if (!ensure_leaf(i)) return false;
    }
    return true;
}

// [assign]
void assign(const void* start, std::size_t bytes, Entry entry, Slab* slab) {
    auto address = reinterpret_cast<std::uintptr_t>(start);
    for (const std::uintptr_t end = address + bytes; address < end; address += base::unit_bytes) {
        Leaf& leaf = const_cast<Leaf&>(leaf_of(address));  // the one writer
        leaf.slabs[unit_in_leaf(address)].store(slab, std::memory_order_release);
        leaf.entries[unit_in_leaf(address)].store(entry.bits, std::memory_order_relaxed);
    }
}
// [/assign]

void for_each_part(void (*visitor)(const void* start, std::size_t bytes, void* context),
                   void* context) {
    // The static leaf is only ever read: the kernel backs it with its one page of zeros.
    visitor(&map.root, sizeof map.root, context);
    // Reading all of the root would make the kernel map pages of zeros for it.
    for (const Leaf* leaf = newest_leaf.load(std::memory_order_acquire); leaf != nullptr;
         leaf = leaf->older) {
        visitor(leaf, leaf_mapping_bytes, context);
    }
}

const char* validate() {
    for (const auto& entry : map.static_leaf.entries) {
        if (entry.load(std::memory_order_relaxed) != 0) return "page_map I1";
    }
    for (const auto& slab : map.static_leaf.slabs) {
        if (slab.load(std::memory_order_relaxed) != nullptr) return "page_map I1";
    }
    return nullptr;
}

os::FutexLock& fork_lock() { return lock; }

}  // namespace hakmem::back::page_map
