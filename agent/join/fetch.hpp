// Inside agent/join: blobs from several stores at once into the node's own store.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "agent/http/http.hpp"
#include "agent/join/join.hpp"
#include "agent/store/store.hpp"
#include "core/join_file/join_file.hpp"

namespace cloudos::joining {

// Begins when it is made and ends when it goes. The blobs are fetched in their order, each from one of the stores; a store that
// fails is asked again a few times and then left, one that gives wrong bytes is left at once, and both are named.
class Fetcher {
 public:
  struct Options {
    std::vector<join_file::Store> stores;  // at most four of them are asked at once
    std::string token_id;
    Secret token;
    std::vector<store::Blob> missing;
    Milliseconds pause{1'000};
    Milliseconds stall{20'000};
  };
  Fetcher(Options options, const store::Store& into, const Voice& voice);
  ~Fetcher();
  Fetcher(const Fetcher&) = delete;
  Fetcher& operator=(const Fetcher&) = delete;

  // Until all of these are in the store. Errors: that no store is left that has them (retryable when it may pass), io.
  [[nodiscard]] Status await(const std::vector<Digest>& wanted, const std::stop_token& stop);

 private:
  struct Item {
    store::Blob blob;
    std::set<std::size_t> lacking;  // stores that do not have it
  };
  struct Worker {
    join_file::Store store;
    std::optional<http::Client> client;
    int failures = 0;  // one after the other
    bool left = false;
  };

  void work(std::size_t number, const std::stop_token& stop);
  // The next one that this store may have. Waits while others may give one back; nothing: the end.
  [[nodiscard]] std::optional<Item> take(std::size_t number, const std::stop_token& stop);
  [[nodiscard]] Status fetch(Worker& worker, const store::Blob& blob, const std::stop_token& stop);
  void settle(std::size_t number, Item item, const Status& fetched, const std::stop_token& stop);
  void give_back(Item item);
  void leave(std::size_t number, const Error& error);
  void lacks(std::size_t number, Item item);
  void fail_if_nowhere();
  void tell(std::uint64_t bytes);

  Options options_;
  const store::Store& into_;
  const Voice& voice_;
  std::vector<Worker> workers_;

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Item> queue_;
  std::set<std::string> pending_;                       // not here yet, by hex digest
  std::vector<std::pair<std::string, Error>> reasons_;  // why stores were left
  std::optional<Error> failure_;
  std::uint64_t done_ = 0, total_ = 0;
  std::chrono::steady_clock::time_point told_;

  std::stop_source stop_;
  std::vector<std::jthread> threads_;  // last: they use all of the above
};

}  // namespace cloudos::joining
