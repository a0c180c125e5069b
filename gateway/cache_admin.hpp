// What the admin API says about the cache: entries, the last look-ups, and what these would come to under another
// policy. Reads only; each answers a GET.
#pragma once

#include "cache/response_cache.hpp"
#include "gateway/http_message.hpp"

namespace kvasir::gateway {

HttpResponse cache_stats(const cache::ResponseCache& cache);
// ?tenant=&model=&tag=&document=&text=&offset=0&limit=50
HttpResponse cache_entries(const cache::ResponseCache& cache, const HttpRequest& request);
// Question and answer of one entry, whole.
HttpResponse cache_entry(const cache::Entry& entry);
// ?limit=100, newest first.
HttpResponse cache_lookups(const cache::ResponseCache& cache, const HttpRequest& request);
// ?threshold=0.9&policy=guarded|threshold&limit=1000
HttpResponse cache_replay(const cache::ResponseCache& cache, const HttpRequest& request);

}  // namespace kvasir::gateway
