/**
 * @file
 * Draws the steps of a bulk run.
 *
 * A run that only wanders never empties a slab, fills a cache or drains a pool. So the generator
 * has weather: for some thousand steps it heads for one number of live blocks, with one habit of
 * sizes and one order of frees, and then for another.
 */
#pragma once

#include "random.hpp"
#include "sizes.hpp"
#include "trace.hpp"

namespace hakmem::model {

/** What kind of run is generated. */
struct Profile {
    unsigned workers = 1;  // more than one: blocks are given away
    std::size_t live_blocks_max = 20000;
    std::size_t live_bytes_max = std::size_t{48} << 20U;
    std::uint64_t trim_every = 25000;  // operations, on average; 0 for never
    std::uint64_t fork_every = 100000;
};

class Generator {
public:
    Generator(std::uint64_t seed, unsigned worker, const Profile& profile, const SizeMix& sizes);

    /** The next step; the state allows it. */
    Step next(const TraceState& state);

private:
    enum class Habit { mixed, one_size, tiny };
    enum class Order { random, newest, sweep };

    void change_weather();
    std::size_t draw_size(const TraceState& state);
    std::uint32_t pick(const TraceState& state);
    Step allocation(const TraceState& state);
    Step reallocation(const TraceState& state, std::uint32_t slot);
    Step visit(const TraceState& state);

    Random random_;
    unsigned worker_;
    Profile profile_;
    const SizeMix& sizes_;
    std::uint64_t weather_left_ = 0;
    std::size_t live_target_ = 0;
    std::size_t one_size_ = 0;
    std::size_t sweep_ = 0;
    Habit habit_ = Habit::mixed;
    Order order_ = Order::random;
};

}  // namespace hakmem::model
