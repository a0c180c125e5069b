#include "engine/json_formats.hpp"

#include <map>
#include <string>

namespace kvasir::engine {
namespace {

std::string whole(const std::string& expression) {
  return "^(?:" + expression + ")$";
}

std::map<std::string, std::string, std::less<>> make_formats() {
  const std::string year = "(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})";
  const std::string leap_year = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)";
  const std::string date = "(?:" + year +
                           "-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|"
                           "(?:0[13578]|1[02])-31)|" +
                           leap_year + "-02-29)";
  const std::string clock = "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,6})?";
  const std::string time = clock + "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])";
  const std::string label = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
  const std::string hostname = label + "(?:\\." + label + "){0,3}";
  const std::string byte = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
  const std::string ipv4 = byte + "(?:\\." + byte + "){3}";
  const std::string group = "[0-9A-Fa-f]{1,4}";
  std::string ipv6 = "(?:" + group + ":){7}" + group + "|:(?:(?::" + group + "){1,7}|:)|(?:" + group + ":){1,7}:";
  for (int before = 1; before <= 6; ++before) {
    ipv6.append("|(?:").append(group).append(":){").append(std::to_string(before)).append("}(?::");
    ipv6.append(group).append("){1,").append(std::to_string(7 - before)).append("}");
  }
  const std::string atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,20}";
  const std::string days = "[0-9]{1,4}D";
  const std::string seconds = "[0-9]{1,4}S";
  const std::string minutes = "[0-9]{1,4}M(?:" + seconds + ")?";
  const std::string hours = "[0-9]{1,4}H(?:" + minutes + ")?";
  const std::string clock_time = "T(?:" + hours + "|" + minutes + "|" + seconds + ")";
  const std::string months = "[0-9]{1,4}M(?:" + days + ")?";
  const std::string years = "[0-9]{1,4}Y(?:" + months + ")?";
  const std::string duration =
      "P(?:(?:" + days + "|" + months + "|" + years + ")(?:" + clock_time + ")?|" + clock_time + "|[0-9]{1,4}W)";
  const std::string path = "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2})";
  return {
      {"date", whole(date)},
      {"time", whole(time)},
      {"date-time", whole(date + "T" + time)},
      {"duration", whole(duration)},
      {"email", whole(atom + "(?:\\." + atom + "){0,2}@(?:" + label + "\\.){1,3}[A-Za-z]{2,12}")},
      {"hostname", whole(hostname)},
      {"ipv4", whole(ipv4)},
      {"ipv6", whole(ipv6)},
      {"uuid", whole("[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}")},
      {"uri", whole("[a-z][a-z0-9+.-]+://[A-Za-z0-9]+(?:[.-][A-Za-z0-9]+)*(?::[1-9][0-9]{0,3})?(?:/" + path +
                    "*)*(?:\\?(?:" + path + "|[/?])*)?")},
  };
}

}  // namespace

std::string_view pattern_of_format(std::string_view format) {
  static const auto formats = make_formats();
  const auto found = formats.find(format);
  return found == formats.end() ? std::string_view() : std::string_view(found->second);
}

}  // namespace kvasir::engine
