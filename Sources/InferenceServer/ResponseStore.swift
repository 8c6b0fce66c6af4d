// Conversations that answers ended, so that the next request can name one instead of sending it.

import LlamaHost
import Serving
import Synchronization

/// The last answers of `/v1/responses`, in memory: bounded in number and in bytes, the oldest go first.
final class ResponseStore: Sendable {
  struct Record: Sendable {
    var messages: [ChatMessage]
    var body: JSONObject
  }

  private struct State {
    var records: [String: Record] = [:]
    var order: [String] = []
    var bytes = 0
  }

  private let state = Mutex(State())
  private let limit: Int
  private let maximumBytes: Int

  init(limit: Int = 1024, maximumBytes: Int = 64 << 20) {
    self.limit = limit
    self.maximumBytes = maximumBytes
  }

  func add(_ id: String, _ record: Record) {
    state.withLock { state in
      state.records[id] = record
      state.order.append(id)
      state.bytes += Self.size(record)
      while let oldest = state.order.first, state.order.count > limit || state.bytes > maximumBytes,
        state.order.count > 1
      {
        state.order.removeFirst()
        if let record = state.records.removeValue(forKey: oldest) { state.bytes -= Self.size(record) }
      }
    }
  }

  func record(_ id: String) -> Record? { state.withLock { $0.records[id] } }

  /// - Returns: whether there was one.
  func remove(_ id: String) -> Bool {
    state.withLock { state in
      guard let record = state.records.removeValue(forKey: id) else { return false }
      state.bytes -= Self.size(record)
      state.order.removeAll { $0 == id }
      return true
    }
  }

  private static func size(_ record: Record) -> Int {
    record.messages.reduce(1024) { $0 + $1.content.utf8.count + ($1.reasoning?.utf8.count ?? 0) }
  }
}
