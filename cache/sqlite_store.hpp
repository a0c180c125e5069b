// The embedded store: one SQLite file in WAL mode.
//
// synchronous=NORMAL: what was committed survives a killed process; a power cut may lose the last moments and never
// damages the file. One process at a time owns the folder.
#pragma once

#include "cache/store.hpp"

#include <memory>
#include <string>

namespace kvasir::cache {

// Makes `folder` if need be. On failure: null, and in `error` what is wrong, without a full stop.
std::unique_ptr<Store> open_sqlite_store(const std::string& folder, std::string& error);

}  // namespace kvasir::cache
