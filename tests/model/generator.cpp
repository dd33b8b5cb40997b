#include "generator.hpp"

#include <algorithm>
#include <array>

namespace hakmem::model {

Generator::Generator(std::uint64_t seed, unsigned worker, const Profile& profile,
                     const SizeMix& sizes)
    : random_(scramble(seed) + worker), worker_(worker), profile_(profile), sizes_(sizes) {}

void Generator::change_weather() {
    weather_left_ = random_.between(2000, 40000);
    const std::array<std::size_t, 6> targets = {0,
                                                8,
                                                200,
                                                profile_.live_blocks_max / 8,
                                                profile_.live_blocks_max / 2,
                                                profile_.live_blocks_max};
    live_target_ = targets[random_.below(targets.size())];
    constexpr std::array habits = {Habit::mixed, Habit::mixed, Habit::one_size, Habit::tiny};
    habit_ = habits[random_.below(habits.size())];
    constexpr std::array orders = {Order::random, Order::newest, Order::sweep};
    order_ = orders[random_.below(orders.size())];
    one_size_ = std::min<std::size_t>(sizes_.draw(random_), 40000);
}

std::size_t Generator::draw_size(const TraceState& state) {
    const std::size_t size = habit_ == Habit::tiny       ? random_.below(129)
                             : habit_ == Habit::one_size ? one_size_
                                                         : sizes_.draw(random_);
    const bool fits = state.live_bytes() + size <= profile_.live_bytes_max;
    return fits ? size : size % 1024;
}

std::uint32_t Generator::pick(const TraceState& state) {
    const auto& live = state.live();
    switch (order_) {
        case Order::newest:
            return live.back();
        case Order::sweep:
            return live[sweep_++ % live.size()];
        case Order::random:
        default:
            return live[random_.below(live.size())];
    }
}

Step Generator::allocation(const TraceState& state) {
    Step step{Operation::malloc, 0, state.free_slot(), draw_size(state), 0};
    const std::uint64_t roll = random_.below(100);
    if (roll < 60) {
        return step;
    }
    if (roll < 75) {
        step.operation = Operation::calloc;
        step.parameter = random_.below(4) == 0 ? random_.between(1, 64) : 1;
        step.size /= step.parameter;
        return step;
    }
    if (roll < 88) {
        constexpr std::array family = {Operation::aligned_alloc, Operation::posix_memalign,
                                       Operation::memalign};
        step.operation = family[random_.below(family.size())];
        step.parameter = SizeMix::draw_alignment(random_);
        return step;
    }
    step.operation = Operation::create;
    step.parameter = random_.below(4) == 0 ? SizeMix::draw_alignment(random_) : 0;
    return step;
}

Step Generator::reallocation(const TraceState& state, std::uint32_t slot) {
    Step step{Operation::realloc, 0, slot, 0, 0};
    const std::size_t old_size = state.slot(slot).size;
    const std::uint64_t roll = random_.below(100);
    if (roll < 2) {
        return step;  // to 0: a free
    }
    if (roll < 40) {
        step.size = draw_size(state);
    } else if (roll < 75) {
        step.size = old_size + random_.below(old_size + 32);  // as a growing container does
    } else {
        step.size = random_.below(old_size + 1);
    }
    const bool fits = state.live_bytes() + step.size <= profile_.live_bytes_max;
    step.size = std::max<std::size_t>(fits ? step.size : std::min(step.size, old_size), 1);
    return step;
}

// A step on a block that is there.
Step Generator::visit(const TraceState& state) {
    Step step{Operation::free, 0, pick(state), 0, 0};
    const std::uint64_t roll = random_.below(1000);
    const bool created = state.slot(step.slot).created;
    if (roll < 140 && !created) {
        return reallocation(state, step.slot);
    }
    if (roll < 180) {
        step.operation = Operation::usable_size;
    } else if (roll < 230) {
        step.operation = Operation::check;
    } else if (roll < 234 && !created) {
        step.operation = Operation::impossible;
        step.parameter = random_.below(impossible_kinds);
    } else if (roll < 430 && profile_.workers > 1) {
        step.operation = Operation::give;
        const std::uint64_t other = random_.below(profile_.workers - 1);
        step.parameter = other + (other >= worker_ ? 1 : 0);
    }
    return step;
}

Step Generator::next(const TraceState& state) {
    if (weather_left_-- == 0) {
        change_weather();
    }
    if (random_.once_in(profile_.trim_every)) {
        return {Operation::trim, 0, 0, 0, 0};
    }
    if (random_.once_in(profile_.fork_every)) {
        return {Operation::fork, 0, 0, 0, 0};
    }
    const std::size_t live = state.live().size();
    const std::uint64_t growth_percent = live < live_target_ ? 75 : 25;
    const bool grows = live < profile_.live_blocks_max * 2 && random_.below(100) < growth_percent;
    return live == 0 || grows ? allocation(state) : visit(state);
}

}  // namespace hakmem::model
