#include "agent/join/fetch.hpp"

#include <algorithm>
#include <format>
#include <ranges>

#include "agent/join/stores.hpp"
#include "core/base/text.hpp"

namespace cloudos::joining {
namespace {

constexpr std::size_t most_workers = 4;
constexpr int most_failures = 3;
constexpr auto told_every = std::chrono::milliseconds(500);

std::uint64_t left_of(const store::Blob& blob) { return blob.size - blob.offset; }

}  // namespace

Fetcher::Fetcher(Options options, const store::Store& into, const Voice& voice) : options_(std::move(options)), into_(into), voice_(voice) {
  for (const auto& blob : options_.missing) {
    queue_.push_back({.blob = blob, .lacking = {}});
    pending_.insert(blob.digest.hex());
    total_ += left_of(blob);
  }
  if (queue_.empty()) return;
  for (const auto& each : options_.stores | std::views::take(most_workers)) workers_.push_back({.store = each, .client = {}});
  if (workers_.empty()) failure_ = Error{.kind = ErrorKind::trust, .message = "no store is left that can be believed"};
  for (std::size_t i = 0; i < workers_.size(); ++i) threads_.emplace_back([this, i] { work(i, stop_.get_token()); });
}

Fetcher::~Fetcher() {
  stop_.request_stop();
  changed_.notify_all();
}

Status Fetcher::await(const std::vector<Digest>& wanted, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  const auto here = [&] { return std::ranges::none_of(wanted, [&](const auto& digest) { return pending_.contains(digest.hex()); }); };
  changed_.wait(lock, stop, [&] { return failure_ || here(); });
  if (here()) return {};
  return failure_ ? fail(*failure_) : fail(ErrorKind::cancelled, "stopped while fetching");
}

void Fetcher::work(std::size_t number, const std::stop_token& stop) {
  while (auto item = take(number, stop)) {
    const auto fetched = fetch(workers_[number], item->blob, stop);
    settle(number, std::move(*item), fetched, stop);
  }
}

std::optional<Fetcher::Item> Fetcher::take(std::size_t number, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  const auto next = [&] { return std::ranges::find_if(queue_, [&](const Item& item) { return !item.lacking.contains(number); }); };
  const auto over = [&] { return failure_ || pending_.empty() || workers_[number].left; };
  if (!changed_.wait(lock, stop, [&] { return over() || next() != queue_.end(); }) || over()) return std::nullopt;
  const auto at = next();
  auto item = std::move(*at);
  queue_.erase(at);
  return item;
}

// Into the store as it comes; nothing is written before the first byte is here.
Status Fetcher::fetch(Worker& worker, const store::Blob& blob, const std::stop_token& stop) {
  std::optional<store::Incoming> incoming;
  const auto begin = [&]() -> Status {
    if (incoming) return {};
    CLOUDOS_ASSIGN(auto begun, into_.begin(blob));
    incoming.emplace(std::move(begun));
    return {};
  };
  if (left_of(blob) > 0) {
    if (!worker.client) {
      CLOUDOS_ASSIGN(auto client,
                     http::Client::make({.url = "https://" + worker.store.address, .trust = {.ca = {}, .spki = {worker.store.spki}}}));
      worker.client.emplace(std::move(client));
    }
    auto request = request_for("/v1/blobs/" + blob.digest.hex(), options_.token);
    if (blob.offset > 0) request.headers["Range"] = std::format("bytes={}-", blob.offset);
    const auto write = [&](std::span<const std::byte> bytes) -> Status {
      CLOUDOS_TRY(begin());
      CLOUDOS_TRY(incoming->write(bytes));
      tell(bytes.size());
      return {};
    };
    CLOUDOS_ASSIGN(const auto response, worker.client->stream(request, write, options_.stall, stop));
    if (response.status == 404) return fail(ErrorKind::input, "it does not have it");
    if (response.status != 200 && response.status != 206) return fail(refusal(response, "a blob"));
  }
  CLOUDOS_TRY(begin());
  return incoming->finish();
}

void Fetcher::settle(std::size_t number, Item item, const Status& fetched, const std::stop_token& stop) {
  auto& worker = workers_[number];
  std::unique_lock lock(mutex_);
  if (fetched) {
    worker.failures = 0;
    pending_.erase(item.blob.digest.hex());
    changed_.notify_all();
    return;
  }
  if (stop.stop_requested()) return;
  const auto& error = fetched.error();
  // What lay here before a power cut may be what was wrong: from the beginning, before the store is blamed.
  const bool resumed = item.blob.offset > 0;
  switch (error.kind) {
    case ErrorKind::trust:
      item.blob.offset = 0;
      give_back(std::move(item));
      if (!resumed) leave(number, error);
      return;
    case ErrorKind::input: lacks(number, std::move(item)); return;
    case ErrorKind::network:
    case ErrorKind::timeout:
    case ErrorKind::failed:
    case ErrorKind::auth: {
      const auto missing = into_.missing({item.blob});
      if (!missing.empty()) item.blob = missing.front();
      give_back(std::move(item));
      if (error.kind == ErrorKind::auth || ++worker.failures >= most_failures) leave(number, error);
      else {
        voice_.log.warning("store {}: {}; asking it again", worker.store.address, error.message);
        changed_.wait_for(lock, stop, options_.pause * worker.failures, [&] { return failure_.has_value(); });
      }
      return;
    }
    default:  // this machine's own: no other store would help
      failure_ = error;
      changed_.notify_all();
  }
}

void Fetcher::give_back(Item item) {
  queue_.push_front(std::move(item));
  changed_.notify_all();
}

void Fetcher::leave(std::size_t number, const Error& error) {
  auto& worker = workers_[number];
  worker.left = true;
  reasons_.emplace_back(worker.store.address, error);
  if (std::ranges::all_of(workers_, &Worker::left)) failure_ = together(reasons_, options_.token_id);
  else voice_.log.warning("store {} is left: {}", worker.store.address, error.message);
  fail_if_nowhere();
  changed_.notify_all();
}

void Fetcher::lacks(std::size_t number, Item item) {
  item.lacking.insert(number);
  give_back(std::move(item));
  fail_if_nowhere();
}

void Fetcher::fail_if_nowhere() {
  const auto nowhere = [&](const Item& item) {
    for (std::size_t i = 0; i < workers_.size(); ++i)
      if (!workers_[i].left && !item.lacking.contains(i)) return false;
    return true;
  };
  const auto item = std::ranges::find_if(queue_, nowhere);
  if (failure_ || item == queue_.end()) return;
  failure_ = Error{.kind = ErrorKind::failed,
                   .message = std::format("no store has the blob {}", item->blob.digest.hex()),
                   .hint = "run `cloudos install` on that cluster once more: its nodes then have all of their bundle",
                   .retryable = true};
  changed_.notify_all();
}

void Fetcher::tell(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  done_ += bytes;
  const auto now = std::chrono::steady_clock::now();
  if (now - told_ < told_every) return;
  told_ = now;
  voice_.status(std::format("fetching: {} of {}", human(Bytes{std::min(done_, total_)}), human(Bytes{total_})));
}

}  // namespace cloudos::joining
