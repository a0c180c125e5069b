// Template text to a syntax tree. (Jinja documentation, "Template Designer Documentation")
#pragma once

#include "engine/jinja_ast.hpp"

#include <string_view>

namespace kvasir::engine::jinja {

// Nesting is bounded. Throws TemplateError (syntax) with line and construct.
Template parse(std::string_view source);

}  // namespace kvasir::engine::jinja
