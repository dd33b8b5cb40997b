#include "middle/remote_bits.hpp"

#include <bit>

#include "base/bits.hpp"
#include "base/size_class.hpp"
#include "middle/misuse.hpp"

namespace hakmem::middle {

namespace {

// The first block of some of a word's bits, for messages.
const void* first_block(const back::Slab& slab, unsigned word, std::uint64_t bits) {
    return slab.start + (word * base::word_bits + base::lowest_bit(bits)) * slab.block_bytes;
}

[[noreturn]] HAK_SLOW void report_double_free(const back::Slab& slab, unsigned word,
                                              std::uint64_t bits) {
    hak_abort_double_free(first_block(slab, word, bits), base::index(slab.class_id));
}

// A word of a slab as one number: the records of slabs are aligned to more than a bitmap has words.
static_assert(alignof(back::Slab) >= back::slab_words_max);

std::uintptr_t group_of(const back::Slab& slab, unsigned word) {
    return reinterpret_cast<std::uintptr_t>(&slab) + word;
}
back::Slab& slab_of(std::uintptr_t group) {
    return *reinterpret_cast<back::Slab*>(group / alignof(back::Slab) * alignof(back::Slab));
}
unsigned word_of(std::uintptr_t group) {
    return static_cast<unsigned>(group % alignof(back::Slab));
}

}  // namespace

void PendingFrees::Entry::set(std::uintptr_t new_group, std::uint64_t new_bits) {
    bits.store(0, std::memory_order_relaxed);
    group.store(new_group, std::memory_order_relaxed);
    bits.store(new_bits, std::memory_order_relaxed);
}

// [collect_bits]
void PendingFrees::add(back::Slab& slab, back::BlockIndex index) {
    const std::uintptr_t group = group_of(slab, index.word());
    // Neighbours get places far from each other: the upper bits of the product depend on all of
    // the number, and the factor is the golden section of 2^64 (Knuth 1998, section 6.4).
    Entry& entry = entries_[group * 0x9e3779b97f4a7c15 >> (64 - std::bit_width(entries_max - 1))];
    if (HAK_UNLIKELY(entry.group.load(std::memory_order_relaxed) != group)) {
        return begin(entry, slab, index);
    }
    std::uint64_t bits = entry.bits.load(std::memory_order_relaxed);
    if (HAK_UNLIKELY(base::test_and_set(bits, index.value))) {
        report_double_free(slab, index.word(), index.bit());
    }
    entry.bits.store(bits, std::memory_order_relaxed);
    count(entry);
}

// Its place in the table goes to another group.
HAK_SLOW void PendingFrees::begin(Entry& entry, back::Slab& slab, back::BlockIndex index) {
    send(entry);
    entry.set(group_of(slab, index.word()), index.bit());
    entry.block_bytes = static_cast<std::uint32_t>(slab.block_bytes);
    count(entry);
}

// By the size that the entry has noted: after a double free its slab may be one of another class.
inline void PendingFrees::count(const Entry& entry) {
    pending_bytes_ += entry.block_bytes;
    if (HAK_UNLIKELY(pending_bytes_ > pending_bytes_max)) make_room();
}

// Goes round the table, so that each group has the same time to gather blocks, and stops as soon as
// it may: no free sends the whole table.
HAK_SLOW void PendingFrees::make_room() {
    while (pending_bytes_ > pending_bytes_max) send(entries_[next_++ % entries_max]);
}
// [/collect_bits]

void PendingFrees::send(Entry& entry) {
    const std::uintptr_t group = entry.group.load(std::memory_order_relaxed);
    if (group == 0) return;
    const std::uint64_t bits = entry.bits.load(std::memory_order_relaxed);
    entry.set(0, 0);
    pending_bytes_ -= base::bit_count(bits) * std::size_t{entry.block_bytes};
    remote_bits::free_blocks(slab_of(group), word_of(group), bits);
}

HAK_SLOW void PendingFrees::flush() {
    for (Entry& entry : entries_) {
        // At a thread's end there is seldom more than the block of its own state.
        if (pending_bytes_ == 0) return;
        send(entry);
    }
}

void PendingFrees::discard() {
    for (Entry& entry : entries_) entry.set(0, 0);
    pending_bytes_ = 0;
}

void PendingFrees::for_each(void (*visitor)(back::Slab& slab, unsigned word, std::uint64_t bits,
                                            void* context),
                            void* context) const {
    for (const Entry& entry : entries_) {
        const std::uintptr_t group = entry.group.load(std::memory_order_relaxed);
        const std::uint64_t bits = entry.bits.load(std::memory_order_relaxed);
        if (group == 0 || bits == 0) continue;
        visitor(slab_of(group), word_of(group), bits, context);
    }
}

const char* PendingFrees::validate() const {
    std::size_t bytes = 0;
    for (const Entry& entry : entries_) {
        const bool empty = entry.group.load(std::memory_order_relaxed) == 0;
        const std::uint64_t bits = entry.bits.load(std::memory_order_relaxed);
        if (empty != (bits == 0)) return "remote_bits I1";
        bytes += base::bit_count(bits) * std::size_t{entry.block_bytes};
    }
    return bytes == pending_bytes_ ? nullptr : "remote_bits I2";
}

namespace remote_bits {

namespace {

constexpr unsigned no_bound = ~0u;

std::uint64_t bit_of(base::ClassId id) { return std::uint64_t{1} << base::index(id); }

// Says that there are notices of a class. They are there already.
void mark(back::SlabOwner& owner, base::ClassId id) {
    if ((owner.noticed.load(std::memory_order_seq_cst) & bit_of(id)) != 0) return;
    owner.noticed.fetch_or(bit_of(id), std::memory_order_seq_cst);
}

}  // namespace

// [free]
void free_blocks(back::Slab& slab, unsigned word, std::uint64_t bits) {
    // Read now: once the bits are set, the slab may go out of use.
    const base::ClassId id = slab.class_id;
    // After a double free it may be one of fewer blocks by now, or no slab with blocks. What lies
    // beyond its bitmap is another slab's.
    if (HAK_UNLIKELY(!base::is_small(id) || word >= slab.word_count())) {
        report_double_free(slab, word, bits);
    }
    const std::uint64_t before = slab.remote_bits(word).fetch_or(bits, std::memory_order_release);
    if (HAK_UNLIKELY((before & bits) != 0)) report_double_free(slab, word, before & bits);
    notify(slab, id);
}
// [/free]

// [notify]
void notify(back::Slab& slab, base::ClassId id) {
    while (!slab.dirty.exchange(true, std::memory_order_acq_rel)) {
        if (back::SlabOwner* const owner = slab.owner.load(std::memory_order_acquire)) {
            std::atomic<back::Slab*>& sent = owner->notices[base::index(id)].sent;
            back::Slab* top = sent.load(std::memory_order_relaxed);
            do {
                slab.next_dirty.store(top, std::memory_order_relaxed);
            } while (!sent.compare_exchange_weak(top, &slab, std::memory_order_seq_cst,
                                                 std::memory_order_relaxed));
            mark(*owner, id);
            return;
        }
        // The slab is in the pool, so the notice is late. Before it is dropped: did a heap take the
        // slab meanwhile, and a thread leave its notice to this one?
        slab.dirty.exchange(false, std::memory_order_acq_rel);
        if (slab.owner.load(std::memory_order_acquire) == nullptr) return;
    }
}
// [/notify]

// [collect]
void collect(back::SlabOwner& owner, base::ClassId id, unsigned most, Merged merged,
             void* context) {
    back::SlabOwner::Notices& notices = owner.notices[base::index(id)];
    // What others push meanwhile has a mark, and waits: it would hold the caller up for ever.
    bool taken = false;
    while (most > 0) {
        if (notices.taken == nullptr) {
            if (taken) return;
            taken = true;
            const bool marked = (owner.noticed.load(std::memory_order_relaxed) & bit_of(id)) != 0;
            if (!marked && notices.sent.load(std::memory_order_relaxed) == nullptr) return;
            // In this order: who pushes after the mark was wiped off finds that, or is taken, too.
            owner.noticed.fetch_and(~bit_of(id), std::memory_order_seq_cst);
            notices.taken = notices.sent.exchange(nullptr, std::memory_order_seq_cst);
            // The mark may come late, when the notice has been taken.
            if (notices.taken == nullptr) return;
        }
        back::Slab* const slab = notices.taken;
        notices.taken = slab->next_dirty.load(std::memory_order_relaxed);
        slab->dirty.exchange(false, std::memory_order_acq_rel);
        if (slab->owner.load(std::memory_order_acquire) != &owner) {
            // A late notice of a slab that has moved on. Its new owner must hear of it.
            if (slab->owner.load(std::memory_order_acquire) != nullptr) notify(*slab, id);
            continue;
        }
        bool any = false;
        for (unsigned word = 0; word < slab->word_count(); word++) {
            if (slab->remote_bits(word).load(std::memory_order_relaxed) == 0) continue;
            any = true;
            const std::uint64_t bits =
                slab->remote_bits(word).exchange(0, std::memory_order_acquire);
            if (HAK_UNLIKELY(back::slab::put(*slab, word, bits) == back::slab::Put::twice)) {
                report_double_free(*slab, word, bits & slab->free_bits[word]);
            }
        }
        // A late notice brings nothing, and its slab may have no free block to offer.
        if (!any) continue;
        merged(*slab, context);
        most--;
    }
    if (notices.taken != nullptr) mark(owner, id);
}

void collect_all(back::SlabOwner& owner, Merged merged, void* context) {
    std::uint64_t noticed = owner.noticed.load(std::memory_order_relaxed);
    for (; noticed != 0; noticed &= noticed - 1) {
        const base::ClassId id{static_cast<std::uint8_t>(base::lowest_bit(noticed))};
        collect(owner, id, no_bound, merged, context);
    }
}
// [/collect]

const char* validate(const back::SlabOwner& owner) {
    const std::uint64_t noticed = owner.noticed.load(std::memory_order_relaxed);
    for (unsigned c = 0; c < base::class_count; c++) {
        if (owner.notices[c].taken != nullptr && (noticed >> c & 1) == 0) return "remote_bits I3";
    }
    return nullptr;
}

}  // namespace remote_bits
}  // namespace hakmem::middle
