// cache.store of the YAML file: where the response cache keeps its answers.
#pragma once

#include "gateway/config_section.hpp"
#include "gateway/settings.hpp"

namespace kvasir::gateway {

void read_store(ConfigSection section, const ServerSettings& server, cache::CacheSettings& cache);
void print_store(YAML::Emitter& out, const cache::CacheSettings& cache);

}  // namespace kvasir::gateway
