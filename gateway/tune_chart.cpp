#include "gateway/tune_chart.hpp"

#include <fmt/format.h>

namespace kvasir::gateway {
namespace {

constexpr double kWidth = 420;
constexpr double kHeight = 260;
constexpr double kLeft = 60;
constexpr double kTop = 40;
constexpr double kPanel = kWidth + 80;

double x_of(const TuneCurve& curve, float threshold) {
  const double first = curve.points.front().threshold;
  const double last = curve.points.back().threshold;
  return kLeft + kWidth * (last > first ? (threshold - first) / (last - first) : 0.5);
}

double y_of(double share) {
  return kTop + kHeight * (1 - share);
}

void draw_share(std::string& out, const TuneCurve& curve, cache::Share cache::CurvePoint::*share, const char* color) {
  std::string band;
  std::string line;
  for (const cache::CurvePoint& point : curve.points) {
    const double x = x_of(curve, point.threshold);
    band += fmt::format("{:.1f},{:.1f} ", x, y_of((point.*share).high));
    line += fmt::format("{:.1f},{:.1f} ", x, y_of((point.*share).value()));
  }
  for (auto point = curve.points.rbegin(); point != curve.points.rend(); ++point)
    band += fmt::format("{:.1f},{:.1f} ", x_of(curve, point->threshold), y_of(((*point).*share).low));
  out += fmt::format("<polygon points=\"{}\" fill=\"{}\" fill-opacity=\"0.2\"/>\n", band, color);
  out += fmt::format("<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>\n", line, color);
}

void draw_axes(std::string& out, const TuneCurve& curve) {
  out += fmt::format("<text x=\"{}\" y=\"20\" font-size=\"14\">policy: {}</text>\n", kLeft, curve.policy);
  out += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"#888\"/>\n", kLeft,
                     kTop, kWidth, kHeight);
  for (int percent = 0; percent <= 100; percent += 20) {
    out += fmt::format("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{} %</text>\n", kLeft - 6,
                       y_of(percent / 100.0) + 4, percent);
  }
  const std::size_t step = curve.points.size() < 8 ? 1 : curve.points.size() / 5;
  for (std::size_t i = 0; i < curve.points.size(); i += step) {
    out += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{:.2f}</text>\n",
                       x_of(curve, curve.points[i].threshold), kTop + kHeight + 16, curve.points[i].threshold);
  }
  out += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">threshold (cosine)</text>\n", kLeft + kWidth / 2,
                     kTop + kHeight + 34);
}

}  // namespace

std::string draw_curves(const std::vector<TuneCurve>& curves) {
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" "
      "font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
      kPanel * static_cast<double>(curves.size()) + 40, kTop + kHeight + 70);
  double shift = 0;
  for (const TuneCurve& curve : curves) {
    out += fmt::format("<g transform=\"translate({},0)\">\n", shift);
    shift += kPanel;
    if (!curve.points.empty()) {
      draw_axes(out, curve);
      draw_share(out, curve, &cache::CurvePoint::true_hits, "#1a7f37");
      draw_share(out, curve, &cache::CurvePoint::false_hits, "#cf222e");
      if (curve.chosen) {
        const double x = x_of(curve, *curve.chosen);
        out += fmt::format(
            "<line x1=\"{0:.1f}\" y1=\"{1}\" x2=\"{0:.1f}\" y2=\"{2}\" stroke=\"#0969da\" "
            "stroke-dasharray=\"4 3\"/>\n",
            x, kTop, kTop + kHeight);
        out += fmt::format("<text x=\"{:.1f}\" y=\"{}\" fill=\"#0969da\">chosen: {:.2f}</text>\n", x + 4, kTop + 14,
                           *curve.chosen);
      }
      out += fmt::format(
          "<text x=\"{0}\" y=\"{1}\" fill=\"#1a7f37\">hits of pairs that mean the same</text>\n"
          "<text x=\"{2}\" y=\"{1}\" fill=\"#cf222e\">hits of pairs that do not (bands: 95 %)</text>\n",
          kLeft, kTop + kHeight + 54, kLeft + 190);
    }
    out += "</g>\n";
  }
  return out + "</svg>\n";
}

}  // namespace kvasir::gateway
