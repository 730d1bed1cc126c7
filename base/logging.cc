#include "base/logging.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace tally {
namespace {

constexpr std::pair<absl::string_view, spdlog::level::level_enum> kLevels[] = {
    {"debug", spdlog::level::debug},  {"info", spdlog::level::info},
    {"warning", spdlog::level::warn}, {"error", spdlog::level::err},
    {"off", spdlog::level::off},
};

// Never destroyed: threads and destructors may log until the very end.
spdlog::logger& Logger() {
  static spdlog::logger& logger = *[] {
    auto* created = new spdlog::logger("tally", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    created->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l [%t] %v");
    return created;
  }();
  return logger;
}

void Write(spdlog::level::level_enum level, absl::string_view message) {
  Logger().log(level, spdlog::string_view_t(message.data(), message.size()));
}

}  // namespace

absl::Status InitLogging(absl::string_view level) {
  for (const auto& [name, value] : kLevels) {
    if (name == level) {
      Logger().set_level(value);
      return absl::OkStatus();
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("log level `", level, "`, must be debug, info, warning, error or off"));
}

void LogDebug(absl::string_view message) { Write(spdlog::level::debug, message); }
void LogInfo(absl::string_view message) { Write(spdlog::level::info, message); }
void LogWarning(absl::string_view message) { Write(spdlog::level::warn, message); }
void LogError(absl::string_view message) { Write(spdlog::level::err, message); }

}  // namespace tally
