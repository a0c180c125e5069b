// Runs a template: syntax tree and variables to text.
#pragma once

#include "engine/jinja_ast.hpp"
#include "engine/jinja_operations.hpp"

#include <string>

namespace kvasir::engine::jinja {

// Throws TemplateError: evaluation (with the line), or raised (with the template's own words).
std::string evaluate(const Template& parsed, Dict variables, Budget budget);

}  // namespace kvasir::engine::jinja
