// Requests and answers as values, whatever carries them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tstitch::serve {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method, path;  // "POST", "/v1/jobs": without the query
  std::string query;         // behind the "?"
  HttpHeaders headers;       // names in lower case
  std::string body;
  std::string peer;  // the client's address, without its port

  // The first of that name (in lower case), or nothing.
  std::optional<std::string_view> header(std::string_view name) const;
  // Of the query, decoded; nothing where it is not there.
  std::optional<std::string> parameter(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::string body;
  std::string type = "application/json";
  HttpHeaders headers = {};
};

// Answers one request, from any thread and as late as needed.
class HttpReply {
 public:
  virtual ~HttpReply() = default;
  // The whole answer. Once, and not with events.
  virtual void send(HttpResponse response) = 0;
  // Or an answer that goes on: text/event-stream, to which `event` adds and which `end` ends. A client that
  // reads too slowly is left behind: its connection ends.
  virtual void begin_events() = 0;
  virtual void event(std::string text) = 0;
  virtual void end() = 0;
  // Called once when the client goes away before it has the whole answer; at once where it has gone. On a
  // thread of the server, which it must not hold up.
  virtual void when_gone(std::function<void()> call) = 0;
};

// What a server does with requests. Calls come from several threads at once.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  // Asked when the head of a request is there and before its body is read. length: as the head says, else 0.
  virtual std::optional<HttpResponse> refuse(const HttpRequest& head, uint64_t length) = 0;
  // Whether `handle` takes no more than moments, so that it may be called where connections are served.
  virtual bool is_quick(const HttpRequest& request) = 0;
  virtual void handle(HttpRequest request, std::shared_ptr<HttpReply> reply) = 0;
  // What becomes of a request that no HTTP is, or that comes too late: 400, 408, 413, 431, ...
  virtual HttpResponse failure(int status, const std::string& message) = 0;
  // An answer is about to be sent; the last to see it may add headers. seconds: since the head of the request
  // was there.
  virtual void finish(const HttpRequest& request, HttpResponse& response, double seconds) = 0;
};

// "a%20b" as "a b", in queries also "a+b". Nothing for what is no such text.
std::optional<std::string> url_decoded(std::string_view text, bool plus_is_space);

}  // namespace tstitch::serve
