// The only file that knows Boost: Beast parses and writes HTTP, Asio waits for sockets. One thread serves all
// connections and never does work that takes long; handlers run on a few others.
#include "tstitch/serve/http_server.h"

#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>

#include "tstitch/base/ascii.h"
#include "tstitch/base/clock.h"
#include "tstitch/base/error.h"

namespace tstitch::serve {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr uint32_t kMostHeadBytes = 16 << 10;
constexpr size_t kMostTargetBytes = 8 << 10;
constexpr int kMostHeaders = 64;
constexpr size_t kMostDrained = 64 << 20;
constexpr int kHandlerThreads = 4;

// The status for what the parser does not accept; 0 where there is nobody to tell.
int status_of(const error_code& error) {
  if (error == http::error::body_limit) return 413;
  if (error == http::error::header_limit) return 431;
  if (error == http::error::bad_version) return 505;
  if (error == http::error::end_of_stream || error == http::error::partial_message) return 0;
  return error.category() == http::make_error_code(http::error::bad_field).category() ? 400 : 0;
}

}  // namespace

// All that connections share. Lives on the thread that serves them, but for what says otherwise.
class HttpServer::Impl : public std::enable_shared_from_this<Impl> {
 public:
  Impl(const HttpServerOptions& o, HttpHandler& h)
      : options(o), handler(h), workers(kHandlerThreads), acceptor_(io), pause_(io) {}

  void listen();
  void start() {
    accept();
    thread_ = std::thread([this] { serve(); });
  }
  void stop_accepting() {
    asio::post(io, [self = shared_from_this()] {
      error_code ignored;
      self->acceptor_.close(ignored);
      self->pause_.cancel();
    });
  }
  void end();
  uint16_t port() const { return port_; }

  const HttpServerOptions options;
  HttpHandler& handler;
  asio::io_context io{1};
  asio::thread_pool workers;
  std::atomic<size_t> connections = 0;

 private:
  friend class Connection;
  void accept();
  // A connection that runs out of memory ends alone.
  void serve() {
    while (true) try {
        io.run();
        return;
      } catch (const std::exception&) {
      }
  }

  asio::executor_work_guard<asio::io_context::executor_type> alive_{io.get_executor()};
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  uint16_t port_ = 0;
  std::map<std::string, size_t> of_address_;
  std::map<const void*, std::weak_ptr<class Connection>> all_;
  std::thread thread_;
};

// One connection and, at a time, one request of it.
class Connection : public std::enable_shared_from_this<Connection> {
  // A step of the connection, called when what it waited for is there: one that fails for want of memory ends
  // this connection, and with it the job that it waits for.
  template <class F>
  auto guarded(F step) {
    return [self = shared_from_this(), step = std::move(step)](const error_code& error,
                                                               size_t bytes = 0) mutable {
      try {
        if constexpr (std::is_invocable_v<F&, const error_code&, size_t>)
          step(error, bytes);
        else
          step(error);
      } catch (const std::exception&) {
        self->abort();
      }
    };
  }

 public:
  Connection(std::shared_ptr<HttpServer::Impl> server, tcp::socket socket, std::string peer)
      : server_(std::move(server)),
        socket_(std::move(socket)),
        timer_(socket_.get_executor()),
        peer_(std::move(peer)) {
    ++server_->of_address_[peer_];
    ++server_->connections;
  }
  ~Connection() { leave(); }

  void read_head() {
    parser_.emplace();
    parser_->header_limit(kMostHeadBytes);
    parser_->body_limit(server_->options.body_bytes);
    request_ = {};
    begin_ = std::nullopt;
    set_deadline(server_->options.head_deadline);
    http::async_read_header(socket_, buffer_, *parser_,
                            guarded([this](const error_code& error) { head_read(error); }));
  }

  // On the server's thread, as all below.
  void respond(HttpResponse response);
  void begin_events();
  void add_event(std::string text);
  void end_events();
  void abort() {
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_both, ignored);
    socket_.close(ignored);
    clear_deadline();
    gone();
  }
  void when_gone(std::function<void()> call) {
    if (gone_) return call();
    on_gone_.push_back(std::move(call));
  }
  HttpServer::Impl& server() { return *server_; }

 private:
  void head_read(const error_code& error);
  void read_body();
  void body_read(const error_code& error);
  void dispatch();
  void refuse(int status, const std::string& message) {
    closes_ = true;
    respond(server_->handler.failure(status, message));
  }
  // A response that ends the connection while the client may still be sending: what it sends is read for a
  // moment, for a socket that is closed on unread bytes takes the answer back.
  void close_after_answer();
  void drain();
  void watch_client();
  // Ends what is waited for when so much time has passed, whatever came meanwhile.
  void set_deadline(std::chrono::milliseconds time) {
    timed_out_ = false;
    timer_.expires_after(time);
    timer_.async_wait(guarded([this, number = ++deadlines_](const error_code& error) {
      if (error || number != deadlines_) return;
      timed_out_ = true;
      error_code ignored;
      socket_.cancel(ignored);
    }));
  }
  void clear_deadline() {
    ++deadlines_;
    timer_.cancel();
  }
  // Says so after a while in which nothing else was to be said; the timer is free between events.
  void ping_later() {
    timer_.expires_after(server_->options.event_pause);
    timer_.async_wait(guarded([this, number = ++deadlines_](const error_code& error) {
      if (!error && number == deadlines_ && !writing_) add_event(": still here\n\n");
    }));
  }
  void gone() {
    if (std::exchange(gone_, true)) return;
    leave();
    for (const auto& call : std::exchange(on_gone_, {})) call();
  }
  // Is counted no more: at its end and not when it is destroyed, for who still has an answer for it holds it,
  // and clients that come and go must not keep others out.
  void leave() {
    if (std::exchange(left_, true)) return;
    --server_->connections;
    const auto count = server_->of_address_.find(peer_);
    if (--count->second == 0) server_->of_address_.erase(count);
    server_->all_.erase(this);
  }
  void write_next_event();
  HttpRequest head() const;
  std::optional<std::pair<int, std::string>> wrong_head() const;
  std::chrono::milliseconds time_for(uint64_t bytes) const {
    return server_->options.transfer_deadline +
           std::chrono::milliseconds(1000 * bytes / server_->options.slowest_bytes_per_second);
  }

  const std::shared_ptr<HttpServer::Impl> server_;
  tcp::socket socket_;
  asio::steady_timer timer_;
  uint64_t deadlines_ = 0;  // set so far: only the last one counts
  bool timed_out_ = false;  // what was waited for since then did not come
  const std::string peer_;
  beast::flat_buffer buffer_{kMostHeadBytes + (1 << 16)};
  std::optional<http::request_parser<http::string_body>> parser_;
  HttpRequest request_;
  std::optional<Stopwatch> begin_;
  std::optional<http::response<http::string_body>> response_;
  bool closes_ = false, gone_ = false, left_ = false, watching_ = false;
  std::vector<std::function<void()>> on_gone_;
  char discarded_[4096];
  size_t drained_ = 0;

  bool streams_ = false, last_event_ = false, writing_ = false;
  std::deque<std::string> events_;
  size_t event_bytes_ = 0;
};

namespace {

// What a handler holds: passes everything on to the thread of the connection.
class Reply final : public HttpReply {
 public:
  explicit Reply(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}
  // Also what it holds goes where connections live; one that was never answered ends. Where there is no
  // memory for saying so, it ends when its client leaves.
  ~Reply() override {
    try {
      asio::io_context& io = connection_->server().io;
      asio::post(io, [connection = std::move(connection_), answered = answered_.load()] {
        if (!answered) connection->abort();
      });
    } catch (const std::exception&) {
    }
  }
  // What could not be passed on for want of memory is no answer, nor is a stream without its end.
  void send(HttpResponse response) override {
    post([response = std::move(response)](Connection& c) mutable { c.respond(std::move(response)); });
    answered_ = true;
  }
  void begin_events() override {
    post([](Connection& c) { c.begin_events(); });
  }
  void event(std::string text) override {
    post([text = std::move(text)](Connection& c) mutable { c.add_event(std::move(text)); });
  }
  void end() override {
    post([](Connection& c) { c.end_events(); });
    answered_ = true;
  }
  void when_gone(std::function<void()> call) override {
    post([call = std::move(call)](Connection& c) mutable { c.when_gone(std::move(call)); });
  }

 private:
  template <class F>
  void post(F work) {
    asio::post(connection_->server().io, [connection = connection_, work = std::move(work)]() mutable {
      try {
        work(*connection);
      } catch (const std::exception&) {
        connection->abort();
      }
    });
  }
  std::shared_ptr<Connection> connection_;
  std::atomic<bool> answered_ = false;
};

}  // namespace

void HttpServer::Impl::listen() {
  error_code error;
  const auto address = asio::ip::make_address(options.address, error);
  check(!error, ErrorKind::usage, "\"", printable(options.address),
        "\" is no address, expected one as 127.0.0.1 or ::1");
  const tcp::endpoint endpoint(address, options.port);
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  check(!error, ErrorKind::device, "cannot listen on ", options.address, " port ", options.port, ": ",
        error.message());
  port_ = acceptor_.local_endpoint().port();
}

void HttpServer::Impl::accept() {
  acceptor_.async_accept([self = shared_from_this()](const error_code& error, tcp::socket socket) {
    if (!self->acceptor_.is_open()) return;
    if (error) {  // no more descriptors, perhaps: soon there are some again
      self->pause_.expires_after(std::chrono::milliseconds(100));
      self->pause_.async_wait([self](const error_code&) {
        if (self->acceptor_.is_open()) self->accept();
      });
      return;
    }
    self->accept();
    error_code ignored;
    const auto address = socket.remote_endpoint(ignored).address();
    const std::string peer = address.to_string();
    const bool too_many =
        self->connections >= self->options.connections ||
        (!address.is_loopback() && self->of_address_[peer] >= self->options.connections_per_address);
    if (!too_many) {
      socket.set_option(tcp::no_delay(true), ignored);
      const auto connection = std::make_shared<Connection>(self, std::move(socket), peer);
      self->all_[connection.get()] = connection;
      connection->read_head();
    } else if (self->of_address_[peer] == 0) {
      self->of_address_.erase(peer);
    }
  });
}

void HttpServer::Impl::end() {
  stop_accepting();
  workers.join();  // no handler is called any more
  asio::post(io, [self = shared_from_this()] {
    for (const auto& [key, connection] : std::map(self->all_))
      if (const auto there = connection.lock()) there->abort();
    self->alive_.reset();
  });
  // Answers that are written end, or their connections are gone: nothing is left to wait for.
  thread_.join();
}

HttpRequest Connection::head() const {
  const auto& message = parser_->get();
  HttpRequest request{.method = std::string(message.method_string()),
                      .path = {},
                      .query = {},
                      .headers = {},
                      .body = {},
                      .peer = peer_};
  const std::string target(message.target());
  const size_t question = std::min(target.find('?'), target.size());
  request.path = target.substr(0, question);
  request.query = target.substr(std::min(question + 1, target.size()));
  for (const auto& field : message)
    request.headers.emplace_back(ascii_lowered(field.name_string()), std::string(field.value()));
  return request;
}

std::optional<std::pair<int, std::string>> Connection::wrong_head() const {
  const auto& message = parser_->get();
  const auto count = [&](http::field field) {
    return std::distance(message.equal_range(field).first, message.equal_range(field).second);
  };
  if (message.version() != 11 && message.version() != 10) return {{505, "expected HTTP/1.1"}};
  if (message.target().size() > kMostTargetBytes)
    return {{414, concat("the target is longer than ", kMostTargetBytes, " bytes")}};
  if (std::distance(message.begin(), message.end()) > kMostHeaders)
    return {{431, concat("more than ", kMostHeaders, " headers")}};
  if (count(http::field::host) > 1 || (message.version() == 11 && count(http::field::host) == 0))
    return {{400, "expected one Host"}};
  if (count(http::field::authorization) > 1) return {{400, "expected one Authorization at most"}};
  if (count(http::field::transfer_encoding) > 0 && !parser_->chunked())
    return {{501, "expected the transfer encoding chunked, or none"}};
  if (count(http::field::content_encoding) > 0)
    return {{415, "requests with a content encoding are not read"}};
  if (!message.target().starts_with('/') && message.target() != "*")
    return {{400, "expected a target that begins with /"}};
  return std::nullopt;
}

void Connection::head_read(const error_code& error) {
  if (error) {
    if (!parser_->got_some()) return abort();  // it ended between requests, or said nothing for long
    if (timed_out_) return refuse(408, "the head of the request did not come in time");
    const int status = status_of(error);
    return status ? refuse(status, error.message()) : abort();
  }
  begin_.emplace();
  request_ = head();
  if (const auto wrong = wrong_head()) return refuse(wrong->first, wrong->second);
  const uint64_t length = parser_->content_length().value_or(0);
  if (auto refusal = server_->handler.refuse(request_, length)) {
    closes_ = closes_ || !parser_->is_done();
    return respond(std::move(*refusal));
  }
  if (length > server_->options.body_bytes)
    return refuse(413, concat("the body is longer than ", server_->options.body_bytes, " bytes"));
  if (const auto expect = request_.header("expect")) {
    if (ascii_lowered(*expect) != "100-continue") return refuse(417, "expected Expect: 100-continue");
    static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    asio::async_write(socket_, asio::buffer(kContinue), guarded([this](const error_code& failed) {
                        if (failed) return abort();
                        read_body();
                      }));
    return;
  }
  read_body();
}

void Connection::read_body() {
  set_deadline(time_for(parser_->content_length().value_or(server_->options.body_bytes)));
  http::async_read(socket_, buffer_, *parser_,
                   guarded([this](const error_code& failed) { body_read(failed); }));
}

void Connection::body_read(const error_code& error) {
  if (error) {
    if (timed_out_) return refuse(408, "the body of the request did not come in time");
    const int status = status_of(error);
    if (status == 0) return abort();
    return refuse(status, status == 413
                              ? concat("the body is longer than ", server_->options.body_bytes, " bytes")
                              : error.message());
  }
  request_.body = std::move(parser_->get().body());
  dispatch();
}

void Connection::dispatch() {
  clear_deadline();
  watch_client();
  auto call = [&handler = server_->handler, reply = std::make_shared<Reply>(shared_from_this()),
               request = request_]() mutable {
    try {
      handler.handle(std::move(request), std::move(reply));
    } catch (const std::exception&) {  // no memory even for saying so: what was never answered ends
    }
  };
  request_.body.clear();
  request_.body.shrink_to_fit();
  if (server_->handler.is_quick(request_))
    call();
  else
    asio::post(server_->workers, std::move(call));
}

// A client that waits sends nothing: what becomes readable is its next request, or its end.
void Connection::watch_client() {
  if (watching_ || gone_) return;
  watching_ = true;
  socket_.async_wait(tcp::socket::wait_read, guarded([this](const error_code& error) {
                       watching_ = false;
                       if (error || gone_) return;
                       char one;
                       const auto there = ::recv(socket_.native_handle(), &one, 1, MSG_PEEK | MSG_DONTWAIT);
                       const bool ended = there == 0 || (there < 0 && errno != EAGAIN &&
                                                         errno != EWOULDBLOCK && errno != EINTR);
                       const bool waits = begin_ && !response_;
                       if (ended && waits) return abort();
                       if (there < 0 && waits) watch_client();
                     }));
}

void Connection::respond(HttpResponse response) {
  if (gone_ || response_) return;
  if (streams_) return abort();  // it went wrong behind the head
  const bool head_only = request_.method == "HEAD";
  response_.emplace(static_cast<http::status>(response.status), parser_->get().version() == 10 ? 10 : 11);
  server_->handler.finish(request_, response, begin_ ? begin_->seconds() : 0);
  if (!response.type.empty()) response_->set(http::field::content_type, response.type);
  for (const auto& [name, value] : response.headers) response_->set(name, value);
  closes_ = closes_ || !begin_ || !parser_->get().keep_alive();
  response_->keep_alive(!closes_);
  const size_t bytes = response.body.size();
  response_->body() = std::move(response.body);
  response_->prepare_payload();
  if (head_only) {
    response_->body().clear();
    response_->content_length(bytes);
  }
  set_deadline(time_for(bytes));
  http::async_write(socket_, *response_, guarded([this](const error_code& error) {
                      if (error) return abort();
                      response_.reset();
                      if (closes_) return close_after_answer();
                      on_gone_.clear();
                      read_head();
                    }));
}

void Connection::close_after_answer() {
  on_gone_.clear();
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  set_deadline(std::chrono::seconds(2));
  drain();
}

void Connection::drain() {
  socket_.async_read_some(asio::buffer(discarded_), guarded([this](const error_code& error, size_t bytes) {
                            drained_ += bytes;
                            if (error || drained_ > kMostDrained) return abort();
                            drain();
                          }));
}

void Connection::begin_events() {
  if (gone_ || response_ || streams_) return;
  streams_ = true;
  closes_ = true;
  HttpResponse response{.status = 200, .body = {}, .type = "text/event-stream"};
  server_->handler.finish(request_, response, begin_->seconds());
  std::string head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: " + response.type + "\r\n";
  for (const auto& [name, value] : response.headers) head += name + ": " + value + "\r\n";
  events_.push_back(head + "\r\n");
  last_event_ = request_.method == "HEAD";
  write_next_event();
}

void Connection::add_event(std::string text) {
  if (gone_ || !streams_ || last_event_) return;
  // One alone may be larger: pictures are.
  if (event_bytes_ > server_->options.most_unread_event_bytes) return abort();
  event_bytes_ += text.size();
  events_.push_back(std::move(text));
  write_next_event();
}

void Connection::end_events() {
  if (gone_ || !streams_) return;
  last_event_ = true;
  write_next_event();
}

void Connection::write_next_event() {
  if (writing_ || gone_) return;  // gone: what was written last may arrive behind its end
  if (events_.empty()) return last_event_ ? close_after_answer() : ping_later();
  writing_ = true;
  set_deadline(time_for(events_.front().size()));
  asio::async_write(socket_, asio::buffer(events_.front()), guarded([this](const error_code& error) {
                      writing_ = false;
                      if (error) return abort();
                      event_bytes_ -= std::min(event_bytes_, events_.front().size());
                      events_.pop_front();
                      clear_deadline();
                      write_next_event();
                    }));
}

HttpServer::HttpServer(const HttpServerOptions& options, HttpHandler& handler)
    : impl_(std::make_shared<Impl>(options, handler)) {
  impl_->listen();
  impl_->start();
}

HttpServer::~HttpServer() { impl_->end(); }

uint16_t HttpServer::port() const { return impl_->port(); }

void HttpServer::stop_accepting() { impl_->stop_accepting(); }

size_t HttpServer::connections() const { return impl_->connections; }

bool is_loopback(const std::string& address) {
  error_code error;
  const auto parsed = asio::ip::make_address(address, error);
  check(!error, ErrorKind::usage, "\"", printable(address),
        "\" is no address, expected one as 127.0.0.1 or ::1");
  return parsed.is_loopback();
}

}  // namespace tstitch::serve
