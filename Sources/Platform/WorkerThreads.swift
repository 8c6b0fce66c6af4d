// Work that takes long, beside the threads that tasks share: those must stay free for everybody else's next step.

import Foundation
import Synchronization

/// A few threads for parsing, templating and tokenizing.
///
/// Small jobs go first, and large ones never have all threads, so that a short request is not held up by the documents
/// of others. What waits is given up as soon as its task is cancelled.
package final class WorkerThreads: Sendable {
  /// The threads of this process.
  package static let shared = WorkerThreads(
    count: max(2, min(4, ProcessInfo.processInfo.activeProcessorCount)))

  /// Jobs of more bytes are large: tokenizing fewer takes some milliseconds.
  package static let largeSize = 1 << 16

  private let queue: WorkerQueue

  /// - Parameter count: threads, at least two.
  package init(count: Int) {
    let count = max(2, count)
    let queue = WorkerQueue(mostLarge: count - 1)
    self.queue = queue
    for index in 0..<count {
      let thread = Thread { queue.work() }
      thread.name = "worker \(index)"
      // The host's regular expressions and its grammar parser recurse.
      thread.stackSize = 16 << 20
      thread.start()
    }
  }

  deinit { queue.close() }

  /// Runs `work` on one of the threads.
  ///
  /// When the task is cancelled this returns at once: work that has not begun never does, and what has goes on until it
  /// asks, for nobody.
  ///
  /// - Parameters:
  ///   - size: bytes that it goes through.
  ///   - work: asks its argument between its pieces whether anybody still waits for the result.
  /// - Throws: what `work` throws; `CancellationError` when the task was cancelled.
  package func run<Value: Sendable>(
    size: Int, _ work: @escaping @Sendable (WorkCancellation) throws -> Value
  ) async throws -> Value {
    let cancellation = WorkCancellation()
    let result = WorkResult<Value>()
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        result.expect(continuation)
        queue.add(
          WorkerJob(cancellation: cancellation, isLarge: size > Self.largeSize) {
            result.set(
              Result {
                try cancellation.check()
                return try work(cancellation)
              })
          })
        // The task may have been cancelled before there was anything to be given up.
        if cancellation.isCancelled { giveUp(cancellation, result) }
      }
    } onCancel: {
      cancellation.cancel()
      giveUp(cancellation, result)
    }
  }

  private func giveUp<Value>(_ cancellation: WorkCancellation, _ result: WorkResult<Value>) {
    queue.remove(cancellation)
    result.set(.failure(CancellationError()))
  }
}

/// Who waits for a result, until the first one comes.
private final class WorkResult<Value: Sendable>: Sendable {
  private let continuation = Mutex<CheckedContinuation<Value, any Error>?>(nil)

  func expect(_ waiting: CheckedContinuation<Value, any Error>) { continuation.withLock { $0 = waiting } }

  func set(_ result: Result<Value, any Error>) {
    let waiting = continuation.withLock { waiting in
      defer { waiting = nil }
      return waiting
    }
    waiting?.resume(with: result)
  }
}

/// Whether somebody still waits for a piece of work.
package final class WorkCancellation: Sendable {
  private let flag = Atomic(false)

  package init() {}

  package var isCancelled: Bool { flag.load(ordering: .acquiring) }

  /// Throws `CancellationError` when nobody does.
  package func check() throws {
    if isCancelled { throw CancellationError() }
  }

  func cancel() { flag.store(true, ordering: .releasing) }
}

private struct WorkerJob: Sendable {
  let cancellation: WorkCancellation
  let isLarge: Bool
  let run: @Sendable () -> Void
}

/// What the threads share.
private final class WorkerQueue: Sendable {
  private struct State {
    var small: [WorkerJob] = []
    var large: [WorkerJob] = []
    var runningLarge = 0
    var isClosed = false
  }

  /// Most large jobs at once.
  private let mostLarge: Int
  private let state = Mutex(State())
  /// Signalled once for every job, and whenever a large one may follow another one.
  private let signal = DispatchSemaphore(value: 0)

  init(mostLarge: Int) { self.mostLarge = mostLarge }

  func add(_ job: WorkerJob) {
    state.withLock {
      if job.isLarge { $0.large.append(job) } else { $0.small.append(job) }
    }
    signal.signal()
  }

  /// Takes back a job that has not begun.
  func remove(_ cancellation: WorkCancellation) {
    state.withLock {
      $0.small.removeAll { $0.cancellation === cancellation }
      $0.large.removeAll { $0.cancellation === cancellation }
    }
  }

  /// Runs jobs until the queue is closed.
  func work() {
    while true {
      signal.wait()
      let (job, isOver) = state.withLock { state -> (WorkerJob?, Bool) in
        if !state.small.isEmpty { return (state.small.removeFirst(), false) }
        if !state.large.isEmpty, state.runningLarge < mostLarge {
          state.runningLarge += 1
          return (state.large.removeFirst(), false)
        }
        return (nil, state.isClosed)
      }
      if isOver { return signalNext() }
      guard let job else { continue }
      autoreleasepool { job.run() }
      guard job.isLarge else { continue }
      let isMore = state.withLock { state in
        state.runningLarge -= 1
        return !state.large.isEmpty
      }
      if isMore { signal.signal() }
    }
  }

  func close() {
    state.withLock { $0.isClosed = true }
    signal.signal()
  }

  /// Each thread that ends tells the next one.
  private func signalNext() { signal.signal() }
}

#if !canImport(ObjectiveC)
  /// Only Apple's systems have pools to drain.
  private func autoreleasepool<Result>(_ body: () throws -> Result) rethrows -> Result { try body() }
#endif
