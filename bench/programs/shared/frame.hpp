// What stands around a workload: the arguments before it, and the line of JSON after it.
//
// Only frame.cpp includes the libraries that read the one and write the other. They are templates
// through and through, and take far longer to compile than a workload does.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace programs {

struct Figure;
/** In the order in which they are printed. */
using Figures = std::vector<Figure>;

/** JSON that a program has written itself. */
struct Written {
    std::string json;
};

/** One of the figures that a program prints. */
struct Figure {
    std::string name;
    std::variant<std::int64_t, std::uint64_t, double, Figures, Written> value;
};

/** What was used between two moments. */
struct Usage {
    double wall_seconds;
    double user_seconds;
    double system_seconds;
    std::int64_t minor_faults;
    std::int64_t major_faults;
    std::int64_t peak_rss_kib;
};

/** What a program did: its operations, and what its meter said of them. */
struct Outcome {
    std::uint64_t operations;
    Usage usage;
    Figures more = {};
};

/** What an argument may be, both ends included. */
struct Range {
    double least;
    double most;
};

// Ranges of arguments that more than one program takes.
inline constexpr Range operations_range = {1.0, 1e12};
inline constexpr Range size_range = {1.0, static_cast<double>(1U << 30U)};
inline constexpr Range count_range = {1.0, static_cast<double>(1U << 24U)};
inline constexpr Range threads_range = {1.0, 256.0};
inline constexpr Range any_range = {-std::numeric_limits<double>::infinity(),
                                    std::numeric_limits<double>::infinity()};

/** The arguments of a program. They are stored where they belong, and checked, by run. */
class Arguments {
public:
    Arguments(const char* program, const char* about);
    Arguments(const Arguments&) = delete;
    Arguments& operator=(const Arguments&) = delete;
    ~Arguments();

    void required(const char* name, std::uint64_t& value, const char* about, Range range);
    void optional(const char* name, std::uint64_t& value, const char* about, Range range);
    void optional(const char* name, std::uint32_t& value, const char* about, Range range);
    void optional(const char* name, double& value, const char* about, Range range);
    void flag(const char* name, bool& value, const char* about);
    /** A required word, which is stored as its place among all that may be said. */
    void choice(const char* name, std::size_t& value, const char* about,
                const std::vector<std::string>& words);
    /** --smallest and --largest, of which the first must not be larger. */
    void sizes(std::uint32_t& smallest, const char* about_smallest, std::uint32_t& largest,
               const char* about_largest);

    /** Parses the arguments, runs the workload and prints its outcome as one line of JSON. */
    int run(int argc, char** argv, const std::function<Outcome()>& workload);

private:
    class Parser;
    std::unique_ptr<Parser> parser_;
};

}  // namespace programs
