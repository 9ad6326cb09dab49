// What the server says on connections by itself; what it makes of bad requests is server_test.py's.
#include "tstitch/serve/http_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mutex>

namespace tstitch::serve {
namespace {

using namespace std::chrono_literals;

// Begins events for whoever asks, and says nothing more.
class SilentEvents final : public HttpHandler {
 public:
  std::optional<HttpResponse> refuse(const HttpRequest&, uint64_t) override { return std::nullopt; }
  bool is_quick(const HttpRequest&) override { return true; }
  void handle(HttpRequest, std::shared_ptr<HttpReply> reply) override {
    reply->begin_events();
    const std::lock_guard lock(mutex_);
    reply_ = std::move(reply);
  }
  HttpResponse failure(int status, const std::string&) override { return {.status = status}; }
  void finish(const HttpRequest&, HttpResponse&, double) override {}

  void end() {
    const std::lock_guard lock(mutex_);
    reply_->event("event: done\n\n");
    reply_->end();
    reply_ = nullptr;
  }
  void give_up() {
    const std::lock_guard lock(mutex_);
    reply_ = nullptr;
  }

 private:
  std::mutex mutex_;
  std::shared_ptr<HttpReply> reply_;
};

// A client that has asked.
int asking(uint16_t port) {
  const int client = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
  EXPECT_EQ(send(client, kRequest.data(), kRequest.size(), 0), std::ssize(kRequest));
  return client;
}

// Up to where the text ends so, or the connection.
std::string read_until(int client, std::string_view end) {
  std::string text;
  char part[512];
  while (!text.ends_with(end)) {
    const ssize_t bytes = recv(client, part, sizeof part, 0);
    if (bytes <= 0) break;
    text.append(part, static_cast<size_t>(bytes));
  }
  return text;
}

TEST(HttpServer, EventsOnWhichNothingHappensSaySo) {
  SilentEvents handler;
  HttpServer server({.port = 0, .event_pause = 20ms}, handler);
  const int client = asking(server.port());
  const std::string pings = ": still here\n\n: still here\n\n: still here\n\n";
  const std::string begun = read_until(client, pings);
  EXPECT_TRUE(begun.starts_with("HTTP/1.1 200 OK\r\n")) << begun;
  EXPECT_NE(begun.find("\r\n\r\n" + pings), begun.npos) << begun;
  handler.end();
  EXPECT_TRUE(read_until(client, "event: done\n\n").ends_with("event: done\n\n"));
  char rest;
  EXPECT_EQ(recv(client, &rest, 1, 0), 0);
  close(client);
}

// As where there is no memory for saying how a job has ended.
TEST(HttpServer, AStreamThatIsGivenUpEnds) {
  const auto begin = std::chrono::steady_clock::now();
  constexpr auto kPause = 30s;
  {
    SilentEvents handler;
    HttpServer server({.port = 0, .event_pause = kPause}, handler);
    const int client = asking(server.port());
    EXPECT_TRUE(read_until(client, "\r\n\r\n").starts_with("HTTP/1.1 200 OK\r\n"));
    handler.give_up();
    EXPECT_EQ(read_until(client, "more"), "");
    close(client);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, kPause);  // nor does the server wait for its next sign
}

}  // namespace
}  // namespace tstitch::serve
