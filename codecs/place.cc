#include "codecs/place.h"

#include "absl/strings/str_cat.h"

namespace tally {

std::string PlaceName(const Place& place) {
  return place.half == 0 ? absl::StrCat("round ", place.round)
                         : absl::StrCat("round ", place.round, ", half ", place.half);
}

Place PlaceOf(const v1::ResultHeader& header) { return {header.round(), header.half()}; }

Place PlaceAfter(const v1::ResultHeader& header) {
  const v1::ExchangeDescriptor& exchange = header.exchange();
  if (exchange.has_sketch() && !exchange.sketch().with_estimates()) return {header.round(), 1};
  return {header.round() + 1, 0};
}

}  // namespace tally
