#include "paths.hpp"

#include <cstdlib>
#include <stdexcept>

namespace mcalc {
namespace {

const Path* const kPaths[] = {&kAvx2, &kBaseline, &kScalar};  // best first

}  // namespace

std::vector<std::string> supported_paths() {
    std::vector<std::string> names;
    for (const Path* path : kPaths)
        if (path->is_supported()) names.emplace_back(path->name);
    return names;
}

const Path& chosen_path() {
    const char* wanted = std::getenv("MCALC_INSTRUCTIONS");
    for (const Path* path : kPaths)
        if (path->is_supported() && (!wanted || !*wanted || path->name == std::string(wanted)))
            return *path;
    std::string message = "MCALC_INSTRUCTIONS is '" + std::string(wanted) + "'; this machine has ";
    for (const std::string& name : supported_paths()) message += name + ", ";
    throw std::invalid_argument(message + "or leave it unset for the best of them.");
}

}  // namespace mcalc
