// Counters of the HTTP layer, and the page of all metrics in Prometheus' text format (version 0.0.4).

import Serving
import Synchronization

/// What happened to requests since the start.
final class ServerMetrics: Sendable {
  private struct Key: Hashable {
    var path: String
    var status: Int
  }

  /// Upper bounds of the buckets, in seconds.
  private static let bounds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]

  struct Histogram {
    var buckets = [Int](repeating: 0, count: ServerMetrics.bounds.count + 1)
    var sum = 0.0

    mutating func add(_ seconds: Double) {
      buckets[ServerMetrics.bounds.firstIndex { seconds <= $0 } ?? ServerMetrics.bounds.count] += 1
      sum += seconds
    }
  }

  private struct State {
    var requests: [Key: Int] = [:]
    var disconnects = 0
    var firstToken = Histogram()
    var betweenTokens = Histogram()
    var duration = Histogram()
  }

  private let state = Mutex(State())

  /// - Parameter path: the route, never what a client wrote: that could be anything.
  func count(path: String, status: Int) {
    state.withLock { $0.requests[Key(path: path, status: status), default: 0] += 1 }
  }

  func addFirstToken(_ seconds: Double) { state.withLock { $0.firstToken.add(seconds) } }
  func addBetweenTokens(_ seconds: Double) { state.withLock { $0.betweenTokens.add(seconds) } }
  func addDuration(_ seconds: Double) { state.withLock { $0.duration.add(seconds) } }
  func countDisconnect() { state.withLock { $0.disconnects += 1 } }

  /// The text for `GET /metrics`.
  func text(_ statistics: ServingStatistics) -> String {
    var lines: [String] = []
    func write(_ name: String, _ type: String, _ help: String, _ value: some CustomStringConvertible) {
      lines += ["# HELP ra_\(name) \(help)", "# TYPE ra_\(name) \(type)", "ra_\(name) \(value)"]
    }
    let now = state.withLock { $0 }
    lines += [
      "# HELP ra_http_requests_total Requests by route and status.", "# TYPE ra_http_requests_total counter",
    ]
    for (key, count) in now.requests.sorted(by: {
      ($0.key.path, $0.key.status) < ($1.key.path, $1.key.status)
    }) {
      lines.append("ra_http_requests_total{path=\"\(key.path)\",status=\"\(key.status)\"} \(count)")
    }
    write("http_disconnects_total", "counter", "Clients that went away before their answer.", now.disconnects)
    histogram("first_token_seconds", "Time from a request to its first token.", now.firstToken, &lines)
    histogram(
      "between_tokens_seconds", "Time from a token to the next one of a request.", now.betweenTokens, &lines)
    histogram("request_seconds", "Time of completions from request to end.", now.duration, &lines)
    write("requests_accepted_total", "counter", "Completions taken into the queue.", statistics.accepted)
    write("requests_completed_total", "counter", "Completions that ended.", statistics.completed)
    write(
      "requests_cancelled_total", "counter", "Completions given up by their client.", statistics.cancelled)
    write("requests_failed_total", "counter", "Completions that failed.", statistics.failed)
    write(
      "requests_rejected_total", "counter", "Completions turned away by a full queue.", statistics.rejected)
    write("prompt_tokens_total", "counter", "Tokens of prompts.", statistics.promptTokens)
    write(
      "cached_tokens_total", "counter", "Tokens of prompts that were not computed again.",
      statistics.cachedTokens)
    write("generated_tokens_total", "counter", "Tokens of answers.", statistics.generatedTokens)
    write("batches_total", "counter", "Batches that were evaluated.", statistics.batches)
    write("batch_tokens_total", "counter", "Tokens in these batches.", statistics.batchTokens)
    write("busy_seconds_total", "counter", "Time spent in these batches.", statistics.busySeconds)
    write("sequences_running", "gauge", "Sequences at work.", statistics.running)
    write("sequences_waiting", "gauge", "Sequences in the queue.", statistics.waiting)
    write("sessions", "gauge", "Sessions.", statistics.sessions)
    write("contexts_stored", "gauge", "Contexts kept for later.", statistics.storedContexts)
    write("context_bytes", "gauge", "Bytes of keys, values and indexes.", statistics.contextBytes)
    return lines.joined(separator: "\n") + "\n"
  }

  private func histogram(_ name: String, _ help: String, _ histogram: Histogram, _ lines: inout [String]) {
    lines += ["# HELP ra_\(name) \(help)", "# TYPE ra_\(name) histogram"]
    var total = 0
    for (index, count) in histogram.buckets.enumerated() {
      total += count
      let bound = index < Self.bounds.count ? "\(Self.bounds[index])" : "+Inf"
      lines.append("ra_\(name)_bucket{le=\"\(bound)\"} \(total)")
    }
    lines += ["ra_\(name)_sum \(histogram.sum)", "ra_\(name)_count \(total)"]
  }
}
