/**
 * @file page_map.hpp
 * @box page_map — what is at this address?
 *
 * free gets a pointer and nothing else. Older phases looked for the answer beside the block: a
 * header byte, a header struct, a probe whether that memory may be read at all. The page map
 * answers for *any* 64-bit value without touching the memory it points to. It holds one 32-bit
 * entry for each 64 KiB unit:
 *
 *     entry   31 ………………………… 10 | 9 …… 4 | 3 … 0
 *             heap tag (22 bits) |  class |   0
 *
 * Class and tag stand so that `entry - my tag` is, for a block of my own, sixteen times its class:
 * the byte offset of its magazine. One load, one subtraction and one compare thus answer whether
 * the block is ours, whether it is mine, and which class it is (gate/page_gate).
 *
 * Two levels keep the map small:
 *
 *     address  63 … 47 | 46 …………… 32 | 31 ………… 16 | 15 …… 0
 *               zero   |  root index  |    unit     |  offset
 *                             │              │
 *     root (32,768 words) ────┘              │
 *       word = leaf − static leaf            │
 *         └─▶ leaf: entries[65,536] ─────────┘   and slabs[65,536]
 *
 * A root word is the *distance* of its leaf from a static leaf whose entries are all zero. A zeroed
 * root is thus valid and says "external" everywhere: there is no initialisation, and no test for
 * null. Both indices come from 32-bit halves of the address, so neither needs a mask.
 *
 * Beside its entry each unit has a pointer to its slab, which only slow paths read.
 *
 * @owns      root, static leaf, leaves
 * @calls     base/attributes base/lock_rank base/size_class base/units os/futex_lock
 *            os/virtual_memory
 * @threads   look-ups: any; of entries relaxed, since whoever holds a pointer got it after its
 *            entry was written. Entries are written by whoever owns the unit. Leaves are made under
 *            a lock and live for ever
 * @invariant I1 the static leaf is all zero
 * @failure   ensure() returns false when there is no memory for a leaf
 * @cost      look-up: two loads; bench: page_map
 * @phase     introduced in 16
 */
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/attributes.hpp"
#include "base/size_class.hpp"
#include "base/units.hpp"
#include "os/futex_lock.hpp"

namespace hakmem::back {

struct Slab;

namespace page_map {

constexpr unsigned tag_shift = 10;  ///< Where an entry's heap tag begins.
constexpr std::uint32_t tag_max = (1u << (32 - tag_shift)) - 1;  ///< Largest heap tag.

/** What is known about a unit. */
struct Entry {
    std::uint32_t bits;  ///< Tag and class.

    /**
     * @param tag Heap tag, or 0 for memory that belongs to no heap.
     * @param id The class.
     * @return The entry of both.
     */
    static constexpr Entry of(std::uint32_t tag, base::ClassId id) {
        return Entry{tag << tag_shift | base::index(id) << base::class_shift};
    }
    /** @return The class. */
    constexpr base::ClassId class_id() const {
        return base::ClassId{static_cast<std::uint8_t>(bits >> base::class_shift & 63)};
    }
    /** @return The heap tag. */
    constexpr std::uint32_t tag() const { return bits >> tag_shift; }
};

/** What one root word leads to: 4 GiB of address space. */
struct Leaf {
    static constexpr std::size_t units = base::leaf_bytes / base::unit_bytes;  ///< 65,536.
    std::atomic<std::uint32_t> entries[units];  ///< Hot: read by each free.
    std::atomic<Slab*> slabs[units];            ///< Warm: read by slow paths.
    Leaf* older = nullptr;                      ///< const: the leaf made before.
};

/** The map; both parts are zero at first and lie in .bss. */
struct Map {
    static constexpr std::size_t roots = std::size_t{1}
                                         << (base::address_bits - base::leaf_shift);  ///< 32,768.
    std::atomic<std::uintptr_t> root[roots];  ///< Distance of each leaf from static_leaf.
    Leaf static_leaf;                         ///< Zero for ever.
};

/** The one map of the process. */
extern Map map;

// [lookup]
/**
 * @param address Any value.
 * @return Its index in the root, if it is a user address.
 */
HAK_FAST std::uintptr_t root_index(std::uintptr_t address) {
    std::uintptr_t index = address >> base::leaf_shift;
    // The compiler must not derive a second shift from the comparison with Map::roots.
    asm("" : "+r"(index));
    return index;
}

/**
 * @param address Any value below 2^47; see is_user_address().
 * @return The leaf that covers it.
 */
HAK_FAST const Leaf& leaf_of(std::uintptr_t address) {
    auto place = reinterpret_cast<std::uintptr_t>(&map);
    // A relaxed load and an addition: compilers do not make one instruction of an atomic load and
    // something else.
    asm("addq %1, %0" : "+r"(place) : "m"(map.root[root_index(address)]) : "cc");
    return reinterpret_cast<const Map*>(place)->static_leaf;
}

/**
 * @param address Any value.
 * @return Its unit within its leaf.
 */
HAK_FAST std::uint32_t unit_in_leaf(std::uintptr_t address) {
    auto low_half = static_cast<std::uint32_t>(address);
    asm("" : "+r"(low_half));  // a shift of 32 bits needs no mask
    return low_half >> base::unit_shift;
}
// [/lookup]

/**
 * @param address Any value.
 * @return Whether the root has a word for it. Addresses of the kernel and non-canonical ones have
 *         none.
 */
HAK_FAST bool is_user_address(std::uintptr_t address) {
    return HAK_LIKELY(root_index(address) < Map::roots);
}

/** Where the map keeps what it knows of an address. */
struct Place {
    const Leaf* leaf;    ///< The leaf that covers it.
    std::uint32_t unit;  ///< Its unit within the leaf.
    /** @return Its entry. */
    HAK_FAST Entry entry() const {
        return Entry{leaf->entries[unit].load(std::memory_order_relaxed)};
    }
    /** @return Its slab; null if it is not HAKMEM's, or inside a free unit. */
    HAK_FAST Slab* slab() const { return leaf->slabs[unit].load(std::memory_order_acquire); }
};

/**
 * @param address A user address.
 * @return Its place. To ask both for entry and slab of one place spares half of the way.
 */
HAK_FAST Place place_of(std::uintptr_t address) {
    return {&leaf_of(address), unit_in_leaf(address)};
}

/**
 * @param pointer Any value.
 * @return Its entry; EXTERNAL for whatever is not HAKMEM's.
 */
HAK_FAST Entry entry_of(const void* pointer) {
    const auto address = reinterpret_cast<std::uintptr_t>(pointer);
    return is_user_address(address) ? place_of(address).entry() : Entry{0};
}

/**
 * @param pointer A pointer whose entry is not EXTERNAL.
 * @return Its slab; null inside a free unit.
 */
inline Slab* slab_of(const void* pointer) {
    return place_of(reinterpret_cast<std::uintptr_t>(pointer)).slab();
}

/**
 * Makes the leaves of a range.
 * @param start Start of the range, a user address.
 * @param bytes Its length.
 * @return Whether all leaves exist now.
 */
bool ensure(const void* start, std::size_t bytes);

/**
 * Writes the entries of units that the caller owns and whose leaves exist.
 * @param start Unit-aligned start.
 * @param bytes Length; the last unit may be partly covered.
 * @param entry Entry of each unit.
 * @param slab Slab of each unit, or null.
 */
void assign(const void* start, std::size_t bytes, Entry entry, Slab* slab);

/**
 * Visits the memory of the map that may be resident.
 * @param visitor Called with start and length of each part.
 * @param context Passed through.
 */
void for_each_part(void (*visitor)(const void* start, std::size_t bytes, void* context),
                   void* context);

/** @return The name of the first invariant that does not hold, or null. */
const char* validate();

/** @return This box's lock, for fork. */
os::FutexLock& fork_lock();

}  // namespace page_map
}  // namespace hakmem::back
