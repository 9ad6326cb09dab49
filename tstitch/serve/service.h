// The server without its sockets: who may ask, which route is meant, and what is counted.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "tstitch/serve/access.h"
#include "tstitch/serve/catalog.h"
#include "tstitch/serve/http.h"
#include "tstitch/serve/job_board.h"
#include "tstitch/serve/limits.h"
#include "tstitch/serve/plan.h"
#include "tstitch/serve/route.h"

namespace tstitch::serve {

struct ServiceOptions {
  CatalogOptions catalog;  // `say` is the service's
  Said before;             // what requests mean where they are silent
  BackendOptions device;
  std::shared_ptr<Backend> backend;  // of the device
  Limits limits;
  AccessOptions access;
  // JSON, from any thread: what was answered and what failed; and what its owner should know.
  std::function<void(const std::string&line)> log = [](const std::string&) {},
                                              warn = [](const std::string&) {};
};

class Service final : public HttpHandler {
 public:
  // Throws Error for models that cannot be read, for options of runs that are wrong, and for models that need
  // more than the memory there is.
  explicit Service(ServiceOptions options);
  ~Service() override;

  std::optional<HttpResponse> refuse(const HttpRequest& head, uint64_t length) override;
  bool is_quick(const HttpRequest& request) override;
  void handle(HttpRequest request, std::shared_ptr<HttpReply> reply) override;
  HttpResponse failure(int status, const std::string& message) override;
  void finish(const HttpRequest& request, HttpResponse& response, double seconds) override;

  // From now on new jobs are refused; what runs has so long to end, what waits is handed back.
  void close(std::chrono::milliseconds patience) { board_.close(patience); }
  const Routes& routes() const { return routes_; }
  const JobBoard& board() const { return board_; }

 private:
  struct Match {
    const Route* route = nullptr;
    std::vector<std::string> parts;
    std::string allowed;  // methods of the path, where there is no such route
  };
  Match match(const HttpRequest& request) const;
  void add_routes_of_the_house();
  std::string metrics() const;

  const ServiceOptions options_;
  const Access access_;
  Catalog catalog_;
  const Planner planner_;
  JobBoard board_;
  Routes routes_;
  mutable std::mutex mutex_;
  std::map<int, int64_t> answers_;  // by status
};

}  // namespace tstitch::serve
