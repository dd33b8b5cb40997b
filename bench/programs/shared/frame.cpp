#include "frame.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

namespace programs {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const Figures& figures);

struct ToJson {
    template <typename Number>
    Json operator()(Number number) const {
        return number;
    }
    Json operator()(const Figures& figures) const { return json_of(figures); }
    Json operator()(const Written& written) const { return Json::parse(written.json); }
};

Json json_of(const Figures& figures) {
    Json json = Json::object();
    for (const Figure& figure : figures) json[figure.name] = std::visit(ToJson(), figure.value);
    return json;
}

Json json_of(const Usage& usage) {
    return {{"seconds",
             {{"wall", usage.wall_seconds},
              {"user", usage.user_seconds},
              {"system", usage.system_seconds}}},
            {"faults", {{"minor", usage.minor_faults}, {"major", usage.major_faults}}},
            {"peak_rss_kib", usage.peak_rss_kib}};
}

}  // namespace

class Arguments::Parser : public CLI::App {
public:
    using CLI::App::App;

    template <typename Number>
    CLI::Option* number(const char* name, Number& value, const char* about, Range range) {
        CLI::Option* const option = add_option(name, value, about);
        if (range.least > any_range.least || range.most < any_range.most) {
            option->check(CLI::Range(range.least, range.most));
        }
        return option;
    }
};

Arguments::Arguments(const char* program, const char* about)
    : parser_(std::make_unique<Parser>(about, program)) {}

Arguments::~Arguments() = default;

void Arguments::required(const char* name, std::uint64_t& value, const char* about, Range range) {
    parser_->number(name, value, about, range)->required();
}

void Arguments::optional(const char* name, std::uint64_t& value, const char* about, Range range) {
    parser_->number(name, value, about, range);
}

void Arguments::optional(const char* name, std::uint32_t& value, const char* about, Range range) {
    parser_->number(name, value, about, range);
}

void Arguments::optional(const char* name, double& value, const char* about, Range range) {
    parser_->number(name, value, about, range);
}

void Arguments::flag(const char* name, bool& value, const char* about) {
    parser_->add_flag(name, value, about);
}

void Arguments::choice(const char* name, std::size_t& value, const char* about,
                       const std::vector<std::string>& words) {
    std::vector<std::pair<std::string, std::size_t>> places;
    for (const std::string& word : words) places.emplace_back(word, places.size());
    parser_->add_option(name, value, about)
        ->required()
        ->transform(CLI::CheckedTransformer(std::move(places)));
}

void Arguments::sizes(std::uint32_t& smallest, const char* about_smallest, std::uint32_t& largest,
                      const char* about_largest) {
    optional("--smallest", smallest, about_smallest, size_range);
    optional("--largest", largest, about_largest, size_range);
    parser_->callback([&smallest, &largest] {
        if (smallest > largest) {
            throw CLI::ValidationError("--smallest", "is larger than --largest");
        }
    });
}

int Arguments::run(int argc, char** argv, const std::function<Outcome()>& workload) {
    CLI11_PARSE(*parser_, argc, argv);
    const Outcome outcome = workload();
    Json line = {{"program", parser_->get_name()}, {"arguments", Json::array()}};
    for (int place = 1; place < argc; ++place) line["arguments"].push_back(argv[place]);
    line["ops"] = outcome.operations;
    line.update(json_of(outcome.usage));
    line.update(json_of(outcome.more));
    std::puts(line.dump().c_str());
    return 0;
}

}  // namespace programs
