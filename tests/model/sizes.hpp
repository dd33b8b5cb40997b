/**
 * @file
 * The sizes that are asked for.
 *
 * Faults live at boundaries, and the boundaries are the subject's own: they are found by asking it
 * for usable sizes, so that whatever its size classes are, each edge and its two neighbours are
 * drawn. The rest is a mix from tiny to some MiB, weighted as programs are, towards the small.
 */
#pragma once

#include <cstddef>
#include <vector>

#include "random.hpp"
#include "subject.hpp"

namespace hakmem::model {

class SizeMix {
public:
    /** Finds the boundaries by allocating from the subject. */
    explicit SizeMix(const Subject& subject);

    std::size_t draw(Random& random) const;
    /** A boundary, or one of its two neighbours. */
    std::size_t draw_at_boundary(Random& random) const;
    static std::size_t draw_alignment(Random& random);
    const std::vector<std::size_t>& boundaries() const { return boundaries_; }

private:
    std::vector<std::size_t> boundaries_;
};

}  // namespace hakmem::model
