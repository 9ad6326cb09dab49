// HTTP/1.1 on a TCP socket: parsing, deadlines, limits. What requests mean is the handler's business.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "tstitch/serve/http.h"

namespace tstitch::serve {

struct HttpServerOptions {
  std::string address = "127.0.0.1";  // of this machine, as a number; not a name
  uint16_t port = 7860;               // 0: any that is free

  size_t body_bytes = 16 << 20;
  size_t connections = 256;
  size_t connections_per_address = 64;  // of addresses that are not of this machine
  // To the end of a request's head, whatever comes meanwhile; also how long an idle connection is kept.
  std::chrono::milliseconds head_deadline{10'000};
  // To the end of its body, and to the end of an answer: so long, and a second for each of so many bytes.
  std::chrono::milliseconds transfer_deadline{30'000};
  size_t slowest_bytes_per_second = 64 << 10;
  size_t most_unread_event_bytes = 1 << 20;  // of a client that watches events, before the last one
  // Streams of events on which nothing happens for so long say a comment: whoever stands between them and the
  // client ends what is silent.
  std::chrono::milliseconds event_pause{15'000};
};

// Serves from its constructor on, on threads of its own, and ends with its destructor, which waits for calls
// of the handler. What clients send is never trusted to be complete, small, fast, or HTTP.
class HttpServer {
 public:
  class Impl;

  // Throws Error{device} where the address cannot be listened on.
  HttpServer(const HttpServerOptions& options, HttpHandler& handler);
  ~HttpServer();

  uint16_t port() const;
  void stop_accepting();  // connections that are there go on
  size_t connections() const;

 private:
  std::shared_ptr<Impl> impl_;
};

// Whether only this machine can reach it: 127.0.0.0/8 or ::1. Throws Error{usage} for what is no address.
bool is_loopback(const std::string& address);

}  // namespace tstitch::serve
