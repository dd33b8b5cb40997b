// A translation unit as programs have them: containers, algorithms, streams, regular expressions,
// and templates of its own. Only the compiler works on it; nothing runs it.
#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

namespace inventory {

struct Article {
    std::string name;
    std::set<std::string> labels;
    std::map<std::string, std::variant<int, double, std::string>> properties;
};

template <typename Key, typename Value>
class Index {
public:
    using Visitor = std::function<bool(const Key&, const std::vector<Value>&)>;

    void add(const Key& key, Value value) { entries_[key].push_back(std::move(value)); }

    std::size_t visit(const Visitor& visitor) const {
        std::size_t visited = 0;
        for (const auto& [key, values] : entries_) {
            ++visited;
            if (!visitor(key, values)) {
                break;
            }
        }
        return visited;
    }

    template <typename Projection>
    auto gather(Projection projection) const {
        std::vector<std::pair<Key, std::invoke_result_t<Projection, const Value&>>> result;
        for (const auto& [key, values] : entries_) {
            for (const Value& value : values) {
                result.emplace_back(key, projection(value));
            }
        }
        std::sort(result.begin(), result.end());
        return result;
    }

private:
    std::map<Key, std::vector<Value>> entries_;
};

template <int Depth>
struct Tower {
    using Lower = Tower<Depth - 1>;
    static auto build(int seed) {
        return std::tuple_cat(std::make_tuple(seed * Depth, std::to_string(seed)),
                              Lower::build(seed + 1));
    }
};

template <>
struct Tower<0> {
    static auto build(int seed) { return std::make_tuple(seed); }
};

std::vector<Article> parse(const std::string& text) {
    static const std::regex line(R"((\w+)\s*:\s*([^;]*);\s*((?:\w+=\w+,?)*))");
    static const std::regex property(R"((\w+)=(\w+))");
    std::vector<Article> articles;
    for (std::sregex_iterator it(text.begin(), text.end(), line), end; it != end; ++it) {
        Article article;
        article.name = (*it)[1];
        std::istringstream words((*it)[2]);
        for (std::string word; words >> word;) {
            article.labels.insert(word);
        }
        const std::string rest = (*it)[3];
        for (std::sregex_iterator p(rest.begin(), rest.end(), property); p != end; ++p) {
            article.properties[(*p)[1]] = (*p)[2].str();
        }
        articles.push_back(std::move(article));
    }
    return articles;
}

std::string render(const std::vector<Article>& articles) {
    std::ostringstream out;
    for (const Article& article : articles) {
        out << article.name;
        for (const auto& [name, value] : article.properties) {
            out << ' ' << name << '=';
            std::visit([&](const auto& held) { out << held; }, value);
        }
        out << '\n';
    }
    return out.str();
}

class Store {
public:
    std::size_t load(const std::string& text) {
        for (Article& article : parse(text)) {
            const std::lock_guard lock(mutex_);
            for (const std::string& label : article.labels) {
                by_label_.add(label, std::make_shared<Article>(article));
            }
            recent_.push_front(std::move(article));
        }
        return recent_.size();
    }

    std::unordered_map<std::string, std::size_t> count() const {
        std::unordered_map<std::string, std::size_t> counts;
        by_label_.visit([&](const std::string& label, const auto& articles) {
            counts[label] = std::accumulate(
                articles.begin(), articles.end(), std::size_t{0},
                [](std::size_t sum, const auto& article) { return sum + article->labels.size(); });
            return counts.size() < 1000;
        });
        return counts;
    }

    auto names() const {
        return by_label_.gather([](const std::shared_ptr<Article>& article) {
            return article->name;
        });
    }

private:
    mutable std::mutex mutex_;
    Index<std::string, std::shared_ptr<Article>> by_label_;
    std::deque<Article> recent_;
};

std::size_t use(Store& store, const std::string& text) {
    const std::size_t loaded = store.load(text);
    const auto tower = Tower<6>::build(static_cast<int>(loaded));
    const auto names = store.names();
    return loaded + std::tuple_size_v<decltype(tower)> + names.size() + store.count().size() +
           static_cast<std::size_t>(std::get<0>(tower)) + render(parse(text)).size();
}

}  // namespace inventory
